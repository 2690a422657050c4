// What safety costs: violations across, over-refusals up, usefulness as colour.
"use strict";

const placedOf = (item) =>
  item.models.filter(({ measured }) => measured[item.axes[0]] && measured[item.axes[1]]);

const percent = (share) => `${(100 * share).toFixed(1)} %`;

const bars = (shares) => ({
  type: "data", symmetric: false, color: plots.style("--soft"), thickness: 1, width: 0,
  array: shares.map((share) => share.high - share.mean),
  arrayminus: shares.map((share) => share.mean - share.low),
});

const cloud = (item) => () => {
  const [across, up, useful] = item.axes;
  const groups = [true, false].map((known) =>
    placedOf(item).filter(({ measured }) => Boolean(measured[useful]) === known));
  const traces = groups.map((models, place) => {
    const shares = (axis) => models.map(({ measured }) => measured[axis].share);
    const colours = place ? { color: plots.style("--soft"), symbol: "circle-open" } : {
      color: shares(useful).map((share) => share.mean), colorscale: "Viridis", cmin: 0, cmax: 1,
      colorbar: { title: { text: words.say("usefulness") }, thickness: 12, outlinewidth: 0 },
    };
    return {
      x: shares(across).map((share) => share.mean), y: shares(up).map((share) => share.mean),
      error_x: bars(shares(across)), error_y: bars(shares(up)), mode: "markers+text",
      text: models.map(({ model }) => plots.plain(model)), textposition: "top right",
      marker: { size: 14, line: { width: 1, color: plots.style("--ink") }, ...colours },
      hovertemplate: models.map(({ model, measured }) =>
        `<b>${plots.plain(model)}</b>${item.axes.filter((axis) => measured[axis]).map((axis) =>
          `<br>${words.say(axis)} ${percent(measured[axis].share.mean)}`).join("")}<extra></extra>`),
    };
  }).filter((trace) => trace.x.length);
  const axis = (name) => plots.axis({
    tickformat: ".0%", rangemode: "tozero",
    title: { text: words.say(name), font: { color: plots.style("--soft") } },
  });
  return [traces, plots.layout({
    margin: { l: 56, r: 16, t: 16, b: 48 }, xaxis: axis(across), yaxis: axis(up),
  })];
};

const drawItem = (item, article) => {
  if (placedOf(item).length) {
    const plot = make("div", {
      className: "plot tall", role: "img", ariaLabel: words.say("tradeoff_label"),
    });
    article.append(make("figure", {}, plot));
    plots.show(plot, cloud(item));
  } else {
    article.append(make("p", { className: "warning" }, words.say("nothing_placed")));
  }
  article.append(sortableTable(words.say("models"), [
    { label: words.say("model") },
    ...item.axes.map((axis) => ({ label: words.say(axis), descends: axis === item.axes[2] })),
  ], item.models.map(({ model, measured }) => ({
    cells: [
      { content: model, key: model },
      ...item.axes.map((axis) => {
        const share = measured[axis]?.share;
        return share ? { content: scoreText(share.mean, share.low, share.high), key: share.mean }
          : { content: MISSING };
      }),
    ],
  }))));
  article.append(make("ul", { className: "footnotes" }, item.notes.map((note) => make("li", {}, note))));
};
