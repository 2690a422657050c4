// Score against size: parameters and training operations on logarithmic axes.
"use strict";

const scatter = (item, column, against, title) => () => {
  const models = item.models.filter((model) => model[against] && model.scores[column]);
  const scores = models.map((model) => model.scores[column]);
  const colour = plots.style("--tuned");
  const trend = item.trends.find((one) => one.column === item.columns[column] && one.against === against);
  const sizes = models.map((model) => model[against]);
  const traces = [{
    x: sizes, y: scores.map(([mean]) => mean), mode: "markers+text", marker: { color: colour, size: 9 },
    text: models.map((model) => plots.plain(model.label)), 
    textposition: models.map((_, place) => (place % 2 ? "bottom center" : "top center")),
    textfont: { color: plots.style("--ink"), size: 11 }, cliponaxis: false,
    error_y: {
      type: "data", symmetric: false, color: colour, thickness: 1.4, width: 0,
      array: scores.map(([mean, , high]) => (high === null ? 0 : high - mean)),
      arrayminus: scores.map(([mean, low]) => (low === null ? 0 : mean - low)),
    },
    hovertemplate: scores.map(([mean, low, high], place) =>
      `<b>${plots.plain(models[place].label)}</b><br>${size(models[place].parameters)} · `
      + `${mean.toFixed(3)}${low === null ? "" : ` (${low.toFixed(3)} – ${high.toFixed(3)})`}`
      + "<extra></extra>"),
  }];
  if (trend) { // least squares pass through the mean of both
    const logs = sizes.map(Math.log10);
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const at = (log) => mean(scores.map(([one]) => one)) + trend.slope * (log - mean(logs));
    const ends = [Math.min(...logs), Math.max(...logs)];
    traces.push({
      x: ends.map((log) => 10 ** log), y: ends.map(at), mode: "lines", hoverinfo: "skip",
      line: { color: plots.style("--soft"), width: 1.2, dash: "dot" },
    });
  }
  return [traces, plots.layout({
    margin: { l: 44, r: 24, t: 16, b: 46 },
    xaxis: plots.axis({
      type: "log", title: { text: title, font: { color: plots.style("--soft") } },
      exponentformat: against === "flops" ? "power" : "B", dtick: 1,
      ...(models.length ? { range: [
        Math.log10(Math.min(...sizes)) - 0.35, Math.log10(Math.max(...sizes)) + 0.35] } : {}),
    }),
    yaxis: plots.axis({ title: { text: item.columns[column], font: { color: plots.style("--soft") } } }),
  })];
};

const modelsTable = (item) =>
  sortableTable(words.say("models"), [
    { label: words.say("model") }, { label: words.say("parameters"), descends: true },
    { label: words.say("tokens"), descends: true }, { label: "FLOPs", descends: true },
    ...item.columns.map((label) => ({ label, title: words.category(label), descends: true })),
  ], item.models.map((model) => ({
    cells: [
      { content: model.label, key: model.label },
      { content: size(model.parameters), key: model.parameters },
      { content: size(model.tokens), key: model.tokens },
      { content: model.flops === null ? MISSING : model.flops.toExponential(1), key: model.flops },
      ...model.scores.map((score) => ({
        content: scoreText(...(score ?? [null])), key: score && score[0],
      })),
    ],
  })));

const trendsTable = (item) =>
  sortableTable(words.say("trends"), [
    { label: words.say("score") }, { label: words.say("against") },
    { label: words.say("num_models"), descends: true }, { label: words.say("points"), descends: true },
    { label: words.say("rank_correlation"), descends: true },
  ], item.trends.map((trend) => ({
    cells: [
      { content: trend.column, key: trend.column },
      {
        content: trend.against === "flops" ? "FLOPs" : words.say("parameters"), key: trend.against,
      },
      { content: count(trend.num_models), key: trend.num_models },
      {
        content: [signed(trend.slope),
          make("small", {}, `${signed(trend.low)} – ${signed(trend.high)}`)],
        key: trend.slope,
      },
      { content: signed(trend.spearman, 2), key: trend.spearman },
    ],
  })));

const drawItem = (item, article) => {
  const halves = make("div", { className: "halves" });
  const sides = [["parameters", words.say("parameters")], ["flops", words.say("training_flops")]]
    .filter(([against]) => item.models.some((model) => model[against]))
    .map(([against, title]) => {
      const plot = make("div", {
        className: "plot", role: "img", ariaLabel: words.say("sizes_label", { name: title }),
      });
      halves.append(make("figure", {}, plot));
      return [plot, against, title];
    });
  const show = (column) => sides.forEach(([plot, against, title]) =>
    plots.show(plot, scatter(item, Number(column), against, title)));
  article.append(make("div", { className: "choices" },
    choice(words.say("score"), item.columns.map((name, index) => [index, name]), "0", show)), halves);
  show(0);
  article.append(section(words.say("models"), modelsTable(item)));
  if (item.trends.length) {
    article.append(section(words.say("trends"),
      make("p", { className: "lead" }, words.say("trends_lead")), trendsTable(item)));
  }
};
