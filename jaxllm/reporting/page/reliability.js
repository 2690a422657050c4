// The evaluation itself: what its tasks can tell apart, how firm its ranks are, how it was asked.
"use strict";

// Points with a range each, one below the other: [name, value, low, high].
const dots = (entries, title, more = {}) => () => {
  const colour = plots.style("--tuned");
  const places = entries.map((_, place) => place);
  return [
    [{
      x: entries.map(([, value]) => value), y: places, mode: "markers", marker: { color: colour, size: 9 },
      error_x: {
        type: "data", symmetric: false, color: colour, thickness: 1.6, width: 0,
        array: entries.map(([, value, , high = value]) => high - value),
        arrayminus: entries.map(([, value, low = value]) => value - low),
      },
      hovertemplate: entries.map(([name, value]) =>
        `<b>${plots.plain(name)}</b><br>${Number(value.toFixed(3))}<extra></extra>`),
    }],
    plots.layout({
      margin: { l: 20, r: 16, t: 8, b: 44 },
      xaxis: plots.axis({
        rangemode: "tozero", title: { text: title, font: { color: plots.style("--soft") } }, ...more,
      }),
      yaxis: plots.axis({
        range: [entries.length - 0.4, -0.6], tickvals: places, automargin: true, ticks: "",
        ticktext: entries.map(([name]) => `${plots.plain(name)} `),
        tickfont: { color: plots.style("--ink"), size: 12 },
      }),
    }),
  ];
};

const dotPlot = (parent, entries, label, ...rest) => {
  const plot = make("div", { className: "plot", role: "img", ariaLabel: label });
  plot.style.height = `${70 + 24 * entries.length}px`;
  parent.append(plot);
  plots.show(plot, dots(entries, label, ...rest));
};

const tasksTable = (item) =>
  sortableTable(words.say("tasks"), [
    { label: words.say("task") }, { label: words.say("samples"), descends: true },
    { label: words.say("num_models"), descends: true },
    { label: words.say("split_half"), title: words.say("split_half_means"), descends: true },
    { label: words.say("detectable"), title: words.say("detectable_means") },
    { label: words.say("needed", { wanted: item.wanted }), descends: true },
  ], item.tasks.map((task) => ({
    cells: [
      { content: short(task.task), key: short(task.task) },
      { content: count(task.num_samples), key: task.num_samples },
      { content: count(task.num_models), key: task.num_models },
      { content: fixed(task.split_half, 2), key: task.split_half },
      { content: fixed(task.detectable), key: task.detectable },
      { content: count(task.needed), key: task.needed },
    ],
  })));

const ranksTable = (item) =>
  sortableTable(words.say("ranks"), [
    { label: words.say("model") }, { label: words.say("average"), descends: true },
    { label: words.say("rank") }, { label: "95 %" },
    { label: words.say("stays"), title: words.say("stays_means"), descends: true },
  ], item.ranks.map((one) => ({
    cells: [
      { content: one.label, key: one.label }, { content: fixed(one.average), key: one.average },
      { content: count(one.rank), key: one.rank }, { content: `${one.low} – ${one.high}`, key: one.low },
      { content: `${Math.round(100 * one.stays)} %`, key: one.stays },
    ],
  })));

const sensitivityTable = (item) =>
  sortableTable(words.say("sensitivity"), [
    { label: words.say("task") }, { label: words.say("model") }, { label: words.say("conditions") },
    { label: words.say("score"), descends: true }, { label: words.say("spread"), descends: true },
  ], item.sensitivities.flatMap((one) => one.variants.map((variant) => ({
    cells: [
      { content: short(one.task), key: short(one.task) }, { content: one.model, key: one.model },
      {
        content: variant.conditions.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", "),
      },
      { content: scoreText(variant.mean, variant.low, variant.high), key: variant.mean },
      { content: fixed(one.spread), key: one.spread },
    ],
  }))), { className: "wordy" });

const drawItem = (item, article) => {
  if (item.sensitivities) {
    article.append(section(words.say("sensitivity"),
      make("p", { className: "lead" }, words.say("sensitivity_lead")), sensitivityTable(item)));
    return;
  }
  const told = section(words.say("what_tasks_tell"));
  article.append(told);
  const found = item.tasks.filter((task) => task.detectable !== null);
  if (found.length) {
    dotPlot(told, found.map((task) => [short(task.task), task.detectable]), words.say("detectable_label"));
  }
  told.append(tasksTable(item));
  if (!item.ranks.length) return;
  const ranks = section(words.say("ranks"), make("p", { className: "lead" }, words.say("ranks_lead"),
    item.kendall === null ? null
      : ` ${words.say("kendall", { tau: item.kendall.toFixed(2) })}`));
  article.append(ranks);
  dotPlot(ranks, item.ranks.map((one) => [one.label, one.rank, one.low, one.high]), words.say("rank"),
    { dtick: 1, rangemode: "normal", range: [0.5, Math.max(...item.ranks.map((one) => one.high)) + 0.5] });
  ranks.append(ranksTable(item));
};
