// What the pages of views are built of: elements that hold text, scores, tables that sort.
"use strict";

const MISSING = "–";

// An element with properties and children; strings become text, never markup.
const make = (tag, properties = {}, ...children) => {
  const node = document.createElement(tag);
  Object.entries(properties).forEach(([name, value]) => {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  });
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
};

const fixed = (value, digits = 3) =>
  (value === null ? MISSING : value.toFixed(digits).replace("-", "\u2212"));

const signed = (value, digits = 3) => {
  const text = value.toFixed(digits);
  return Number(text) < 0 ? text.replace("-", "\u2212") : `+${text.replace("-", "")}`;
};

const pValue = (value) => (value < 0.001 ? "<.001" : value.toFixed(3).replace(/^0/, ""));

const count = (value) => (value === null ? MISSING : value.toLocaleString("en"));

// A size in words: 1.87B.
const size = (value) => {
  if (value === null) return MISSING;
  const unit = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]].find(([least]) => value >= least);
  return unit ? `${Number((value / unit[0]).toPrecision(3))}${unit[1]}` : String(Math.round(value));
};

// The name of a task without that of its suite.
const short = (task) => task.slice(task.lastIndexOf(":") + 1);

// A score with half its interval below.
const scoreText = (mean, low, high, digits = 3) =>
  mean === null ? [MISSING]
    : [mean.toFixed(digits), low === null ? null
      : make("small", { title: `${low.toFixed(digits)} – ${high.toFixed(digits)}` },
        `±${((high - low) / 2).toFixed(digits)}`)];

// A choice among a few, each [value, label]; `changed` gets the value.
const choice = (label, options, value, changed) => {
  const select = make("select", {}, options.map(([one, text]) => make("option", { value: one }, text)));
  select.value = value;
  select.addEventListener("input", () => changed(select.value));
  return make("label", {}, `${label} `, select);
};

const section = (title, ...children) =>
  make("section", {}, title ? make("h2", {}, title) : null, ...children);

// A region that scrolls sideways where it is wider than the page.
const scrolling = (label, node) =>
  make("div", { className: "scroll", tabIndex: 0, role: "group", ariaLabel: label }, node);

/* A table that sorts by its columns.

   columns: [{ label, title, descends }]; `descends` puts the largest first at the first click.
   rows: [{ cells, className, last }]; a cell is { content, key, className, style }, `key` what it
   sorts by (null always at the end), `content` text or nodes; rows marked `last` stay below the
   others. The first cell of a row is its heading. `sorted` is [column, 1 or -1]. */
const sortableTable = (label, columns, rows, { className = "", sorted = null } = {}) => {
  const lines = rows.map(({ cells, className: kind = "", last = false }) => {
    const line = make("tr", { className: kind }, cells.map((cell, index) => {
      const content = [cell.content].flat();
      const node = index === 0 ? make("th", { scope: "row" }, content) : make("td", {}, content);
      if (cell.className) node.className = cell.className;
      Object.assign(node.style, cell.style ?? {});
      node.dataset.value = cell.key ?? "";
      return node;
    }));
    if (last) line.dataset.last = "";
    return line;
  });
  const heads = columns.map(({ label: name, title = "", descends = false }) => {
    const head = make("th", { scope: "col" },
      make("button", { type: "button", className: "sort", title }, name));
    if (descends) head.dataset.descends = "";
    return head;
  });
  const table = make("table", { className }, make("caption", { className: "unseen" }, label),
    make("thead", {}, make("tr", {}, heads)), make("tbody", {}, lines));
  makeSortable(table, sorted);
  return scrolling(label, table);
};
