// What stands around the list of samples: filters above it, pages below, in both languages.
"use strict";

const sampleForm = (() => {
  const PAGES = ["first", "previous", "next", "last"];

  const taskGroups = (tasks) => {
    const placed = tasks.map((task, place) => ({ ...task, place }));
    return [...Map.groupBy(placed, (task) => task.category)].map(([category, some]) => {
      const group = make("optgroup", { label: category ?? "–" });
      if (some.length > 1) {
        group.append(make("option", { value: `c${category}` }, `${category} (${some.length})`));
      }
      group.append(...some.map((task) => make("option", { value: `t${task.place}` }, task.name)));
      return group;
    });
  };

  // Lays everything out in `board`; `speak` says it all in the language of the moment.
  return (board, { tasks, runs }, outcomes) => {
    const spoken = []; // nodes, which part, and the word's key
    const worded = (node, key, part = "textContent") => {
      spoken.push([node, part, key]);
      return node;
    };
    const labelled = (key, field, className = "") =>
      make("label", { className }, worded(make("span"), key), field);
    const button = (name) => worded(make("button", { type: "button", className: name }), name);
    const select = (name, ...options) => make("select", { name }, ...options);
    const ofRuns = (name) =>
      select(name, ...runs.map((run, value) => make("option", { value }, run.label)));

    const all = worded(make("option", { value: "" }), "all_tasks");
    const shown = outcomes.map(([value, key]) => worded(make("option", { value }), key));
    const search = make("input", { name: "search", type: "search" });
    const form = make(
      "form", { className: "filters", autocomplete: "off" },
      labelled("task", select("task", all, ...taskGroups(tasks))),
      labelled("left", ofRuns("left")),
      labelled("right_side", ofRuns("right")),
      labelled("show", select("outcome", ...shown)),
      labelled("search", worded(search, "search_where", "placeholder"), "wide"),
    );
    const count = make("p", { className: "count", role: "status" });
    const list = make("ol", { className: "cards", tabIndex: -1 });
    const number = make("input", { type: "number", min: 1, name: "page" });
    const last = make("span", { className: "of" });
    const buttons = PAGES.map(button);
    const page = make("label", {}, worded(make("span"), "page"), number, last);
    const pages = make("nav", { className: "pages" });
    pages.append(...buttons.slice(0, 2), page, ...buttons.slice(2));
    worded(pages, "pages", "ariaLabel");
    board.append(form, count, list, pages, worded(make("p", { className: "note" }), "sample_keys"));

    const speak = () => spoken.forEach(([node, part, key]) => (node[part] = words.say(key)));
    speak();
    return { form, count, list, pages, number, last, buttons, speak };
  };
})();
