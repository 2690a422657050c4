// Training progress: categories over steps or tokens with their intervals, the tuning loss beside.
"use strict";

// Tokens at a step that was not evaluated: between two that were, in proportion.
const tokensAt = (points, step) => {
  const known = points.filter((point) => point.tokens !== null);
  const after = known.findIndex((point) => point.step >= step);
  if (after < 0) return null;
  const to = known[after];
  if (to.step === step || after === 0) return to.step === step ? to.tokens : null;
  const from = known[after - 1];
  const part = (step - from.step) / (to.step - from.step);
  return from.tokens + part * (to.tokens - from.tokens);
};

const across = (title) => plots.axis({
  showgrid: false, nticks: 5, rangemode: "tozero",
  title: { text: title, font: { color: plots.style("--soft"), size: 11 }, standoff: 6 },
});

const scorePanel = (item, column, xOf, title) => () => {
  const points = item.points.filter((point) => point.scores[column] && xOf(point.step) !== null);
  const banded = points.filter((point) => point.scores[column][1] !== null);
  const back = [...banded].reverse();
  const colour = plots.style("--tuned");
  const x = (some) => some.map((point) => xOf(point.step));
  const y = (some, which) => some.map((point) => point.scores[column][which]);
  return [
    [
      {
        x: [...x(banded), ...x(back)], y: [...y(banded, 1), ...y(back, 2)], fill: "toself",
        fillcolor: plots.translucent(colour, 0.18), line: { width: 0 }, mode: "lines",
        hoverinfo: "skip",
      },
      {
        x: x(points), y: y(points, 0), mode: "lines+markers", line: { color: colour, width: 2 },
        marker: { size: 5, color: colour },
        customdata: points.map(({ scores: { [column]: [, low, high] } }) =>
          (low === null ? "" : `<br>${low.toFixed(3)} – ${high.toFixed(3)}`)),
        hovertemplate: `${title} %{x:,}<br><b>%{y:.3f}</b>%{customdata}<extra></extra>`,
      },
    ],
    plots.layout({
      margin: { l: 34, r: 10, t: 8, b: 40 }, xaxis: across(title),
      yaxis: plots.axis({ range: [-0.02, 1.02], tickvals: [0, 0.5, 1] }),
    }),
  ];
};

const lossPanel = (item, xOf, title) => () => {
  const colour = plots.style("--base");
  const seen = item.losses.steps.map((step, place) => [xOf(step), item.losses.losses[place]])
    .filter(([x]) => x !== null);
  return [
    [{
      x: seen.map(([x]) => x), y: seen.map(([, loss]) => loss), mode: "lines",
      line: { color: colour, width: 1.4 },
      hovertemplate: `${title} %{x:,}<br><b>%{y:.3f}</b><extra></extra>`,
    }],
    plots.layout({
      margin: { l: 34, r: 10, t: 8, b: 40 }, xaxis: across(title),
      yaxis: plots.axis({ rangemode: "tozero", nticks: 4 }),
    }),
  ];
};

const pointsTable = (item) =>
  sortableTable(words.say("all_steps"), [
    { label: words.say("step") }, { label: words.say("tokens") }, { label: words.say("loss") },
    ...item.columns.map((label) => ({ label, title: words.category(label), descends: true })),
  ], item.points.map((point) => ({
    cells: [
      { content: count(point.step), key: point.step }, { content: size(point.tokens), key: point.tokens },
      { content: fixed(point.loss), key: point.loss },
      ...point.scores.map((score) => ({
        content: scoreText(...(score ?? [null])), key: score && score[0],
      })),
    ],
  })));

const drawItem = (item, article) => {
  article.append(make("p", { className: "run" },
    make("i", { className: "mark tuned", ariaHidden: "true" }), item.label));
  const panels = make("div", { className: "panels" });
  const panel = (title, about, label) => {
    const plot = make("div", { className: "plot small", role: "img", ariaLabel: label });
    panels.append(make("figure", {},
      make("figcaption", {}, make("b", {}, title), ` ${about}`), plot));
    return plot;
  };
  const show = (kind) => {
    panels.querySelectorAll(".plot").forEach(plots.drop);
    panels.replaceChildren();
    const title = words.say(kind === "tokens" ? "tokens" : "step");
    const xOf = kind === "tokens" ? (step) => tokensAt(item.points, step) : (step) => step;
    const label = (name) => words.say("panel_label", { name });
    item.columns.forEach((name, column) => {
      plots.show(panel(name, words.category(name), label(name)), scorePanel(item, column, xOf, title));
    });
    if (item.losses.steps) {
      const name = words.say("loss");
      plots.show(panel(name, words.say("loss_about"), label(name)), lossPanel(item, xOf, title));
    }
  };
  const kinds = [["steps", words.say("step")], ["tokens", words.say("tokens")]];
  const known = item.points.filter((point) => point.tokens !== null).length > 1;
  article.append(make("div", { className: "choices" },
    known ? choice(words.say("against"), kinds, "steps", show) : null), panels);
  show("steps");
  article.append(section(words.say("all_steps"), pointsTable(item)));
};
