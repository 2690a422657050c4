// The effect of tuning: a forest of differences, their table, and the answers that turned.
"use strict";

// The averages, then each category with its tasks. A task that is alone in its category says what the
// category says.
const toldRows = (item) => {
  const of = (kind) => item.rows.filter((row) => row.kind === kind);
  const names = new Set([...of("category").map((row) => row.name),
    ...of("task").map((row) => row.category)]);
  const groups = [...names].sort().map((name) => {
    const whole = of("category").filter((row) => row.name === name);
    const tasks = of("task").filter((row) => row.category === name);
    return whole.length && tasks.length === 1 ? whole : [...whole, ...tasks];
  });
  return [...of("average"), ...groups.flat()];
};

// What stands below a row's name: the category's in full, or the one of a task that stands alone.
const aboutOf = (row, rows) => {
  if (row.kind === "category") return words.category(row.name);
  const hasOwn = rows.some((one) => one.kind === "category" && one.name === row.category);
  return row.kind === "task" && !hasOwn && row.category !== row.name ? row.category : "";
};

const nameOf = (row) => (row.kind === "task" ? short(row.name) : row.name);

const mixtureOf = (row) => {
  if (!row.in_distribution) return "";
  return row.in_distribution === row.num_tasks ? words.say("in_distribution")
    : words.say("some_tasks", { some: row.in_distribution, all: row.num_tasks });
};

const headline = (row) =>
  make("div", {}, make("dt", {}, row.name),
    make("dd", {}, signed(row.interval.mean),
      make("small", {}, `${signed(row.interval.low)} – ${signed(row.interval.high)}`),
      make("small", {}, make("span", { className: "before" }, fixed(row.before)), " → ",
        make("span", { className: "after" }, fixed(row.after)))));

const forest = (rows) => () => {
  const names = rows.map((row, place) => place);
  // What is summed up stands out from what it is of.
  const sizes = { average: 11, category: 9, task: 6 };
  const marks = {
    average: ["<b>", "</b>"], category: ["", ""],
    task: [`<span style="color:${plots.style("--soft")}">`, "</span>"],
  };
  const label = (row) => `${marks[row.kind][0]}${plots.plain(nameOf(row))}${marks[row.kind][1]} `;
  const trace = (isInside, colour, symbol) => {
    const own = names.filter((place) => Boolean(rows[place].in_distribution) === isInside);
    const intervals = own.map((place) => rows[place].interval);
    return {
      x: intervals.map((one) => one.mean), y: own, mode: "markers", type: "scatter",
      name: words.say(isInside ? "in_distribution" : "other_tasks"),
      marker: {
        color: colour, symbol, opacity: 1, line: { width: 0 },
        size: own.map((place) => sizes[rows[place].kind]),
      },
      error_x: {
        type: "data", symmetric: false, color: colour, thickness: 1.6, width: 0,
        array: intervals.map((one) => one.high - one.mean),
        arrayminus: intervals.map((one) => one.mean - one.low),
      },
      hovertemplate: own.map((place) => {
        const { interval, adjusted } = rows[place];
        return `<b>${plots.plain(nameOf(rows[place]))}</b><br>${signed(interval.mean)} `
          + `(${signed(interval.low)} – ${signed(interval.high)})<br>Holm ${pValue(adjusted)}`
          + "<extra></extra>";
      }),
    };
  };
  const inside = rows.some((row) => row.in_distribution);
  return [
    [
      trace(false, plots.style("--tuned"), "circle"),
      ...(inside ? [trace(true, plots.style("--base"), "diamond")] : []),
    ],
    plots.layout({
      margin: { l: 20, r: 16, t: 8, b: 44 }, showlegend: inside,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      xaxis: plots.axis({
        zeroline: true, zerolinecolor: plots.style("--soft"), zerolinewidth: 1.5, tickformat: "+.2~f",
        rangemode: "tozero",
        title: { text: words.say("difference"), font: { color: plots.style("--soft") } },
      }),
      yaxis: plots.axis({
        range: [rows.length - 0.4, -0.6], tickvals: names, showgrid: false, automargin: true, ticks: "",
        ticktext: rows.map(label),
        tickfont: { color: plots.style("--ink"), size: 12 },
      }),
    }),
  ];
};

const differencesTable = (item, rows) =>
  sortableTable(words.say("differences"), [
    { label: words.say("score") }, { label: words.say("before"), descends: true },
    { label: words.say("after"), descends: true },
    { label: words.say("difference"), descends: true },
    { label: "p", title: words.say("p_means") }, { label: "Holm", title: words.say("holm_means") },
    { label: words.say("samples"), descends: true },
    { label: words.say("turned"), title: words.say("turned_means"), descends: true },
    { label: words.say("mixture") },
  ], rows.map((row) => {
    const { mean, low, high } = row.interval;
    const tasks = item.rows.filter((one) => one.kind === "task"
      && (row.kind === "category" ? one.category === row.name : one.name === row.name));
    const sum = (which) => tasks.reduce((total, one) => total + item.counts[one.name][which], 0);
    const clear = row.adjusted <= 0.05 ? (mean > 0 ? "better" : "worse") : "";
    return {
      className: row.kind,
      cells: [
        {
          content: [nameOf(row), make("small", {}, aboutOf(row, rows))],
          key: nameOf(row),
        },
        { content: fixed(row.before), key: row.before }, { content: fixed(row.after), key: row.after },
        {
          content: [signed(mean), make("small", {}, `${signed(low)} – ${signed(high)}`)],
          key: mean, className: clear,
        },
        { content: pValue(row.p_value), key: row.p_value },
        { content: pValue(row.adjusted), key: row.adjusted },
        { content: count(row.num_samples), key: row.num_samples },
        row.kind === "average" ? { content: "" }
          : { content: `+${count(sum("gained"))} \u2212${count(sum("lost"))}`, key: sum("gained") },
        { content: mixtureOf(row), key: row.in_distribution },
      ],
    };
  }), { className: "differences" });

const turnedAnswers = (item) => {
  const items = item.flips.map((flip) => ({
    task: flip.task, id: flip.id, prompt: item.texts[flip.prompt], gold: item.texts[flip.gold],
    outcome: flip.gained ? "gained" : "lost",
    answers: [
      { text: item.texts[flip.before], right: !flip.gained, score: null },
      { text: item.texts[flip.after], right: flip.gained, score: null },
    ],
  }));
  const all = Object.values(item.counts).reduce((sum, one) => sum + one.gained + one.lost, 0);
  const lead = words.say("turned_lead", { all: count(all) });
  return section(words.say("turned_title"),
    make("p", { className: "lead" }, all > items.length
      ? `${lead} ${words.say("turned_limit", { some: count(item.max_samples) })}` : lead),
    items.length ? answerList(items, {
      labels: [`${words.say("before")}: ${item.before}`, `${words.say("after")}: ${item.after}`],
      outcomes: [["gained", words.say("gained")], ["lost", words.say("lost")]],
    }) : null);
};

const drawItem = (item, article) => {
  const rows = toldRows(item);
  const averages = rows.filter((row) => row.kind === "average");
  article.append(make("p", { className: "key" },
    make("span", {}, make("i", { className: "mark base", ariaHidden: "true" }), item.before, " →"),
    make("span", {}, make("i", { className: "mark tuned", ariaHidden: "true" }), item.after)));
  if (averages.length) article.append(make("dl", { className: "figures" }, averages.map(headline)));
  const plot = make("div", {
    className: "plot", role: "img", ariaLabel: words.say("forest_label"),
  });
  plot.style.height = `${90 + 26 * rows.length}px`;
  article.append(section(words.say("differences"), plot, differencesTable(item, rows),
    make("ul", { className: "footnotes" },
      ...[...item.remarks, ...item.not_compared.map((reason) =>
        words.say("not_compared", { reason }))].map((note) => make("li", {}, note)))));
  plots.show(plot, forest(rows));
  article.append(turnedAnswers(item));
};
