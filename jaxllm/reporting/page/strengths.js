// Strengths: the categories of each model as a radar, and heat maps of what stands out.
"use strict";

const MOST_LINES = 4; // the best are shown at first; the legend shows and hides

const radar = (item) => () => {
  const names = Object.keys(item.profiles[0].against_own_mean);
  const close = (values) => [...values, values[0]];
  const ordered = [...item.profiles].sort((one, other) => other.mean - one.mean);
  const traces = ordered.map((profile, place) => {
    const colour = plots.runColour(place);
    const scores = names.map((name) => profile.mean + profile.against_own_mean[name].raw);
    return {
      type: "scatterpolar", name: plots.plain(profile.label), theta: close(names), r: close(scores),
      mode: "lines+markers", fill: "toself", fillcolor: plots.translucent(colour, 0.1),
      line: { color: colour, width: 2, dash: ["solid", "dash", "dot", "dashdot"][place % 4] },
      marker: { size: 6, color: colour, symbol: ["circle", "diamond", "square", "cross"][place % 4] },
      visible: place < MOST_LINES ? true : "legendonly",
      hovertemplate: "%{theta} <b>%{r:.3f}</b><extra></extra>",
    };
  });
  return [traces, plots.layout({
    showlegend: true, legend: { orientation: "h", x: 0.5, xanchor: "center", y: -0.08 },
    margin: { l: 40, r: 40, t: 28, b: 40 },
    polar: {
      bgcolor: "rgba(0,0,0,0)",
      angularaxis: plots.axis({
        tickfont: { color: plots.style("--ink"), size: 13 }, rotation: 90, direction: "clockwise",
        ticks: "",
      }),
      radialaxis: plots.axis({
        range: [0, 1], tickvals: [0.25, 0.5, 0.75, 1], ticktext: ["", "0.5", "", "1"], tickangle: 0,
        angle: 90 - 180 / names.length, showline: false, ticks: "",
      }),
    },
  })];
};

const heatMap = (item, against) => {
  const profiles = item.profiles.filter((one) => Object.keys(one[against]).length);
  if (!profiles.length) return null;
  const names = Object.keys(profiles[0][against]);
  const all = profiles.flatMap((one) => names.map((name) => Math.abs(one[against][name].shrunken)));
  const most = Math.max(...all, 0.1); // what is tiny looks tiny
  const rows = profiles.map((profile) => ({
    cells: [
      { content: profile.label, key: profile.label }, { content: fixed(profile.mean), key: profile.mean },
      ...names.map((name) => {
        const { shrunken, is_clear: isClear } = profile[against][name];
        const wash = Math.round(60 * Math.abs(shrunken) / most);
        return {
          content: `${signed(shrunken, 2)}${isClear ? "*" : ""}`, key: shrunken,
          className: isClear ? "clear" : "",
          style: {
            backgroundColor: `color-mix(in srgb, var(${shrunken < 0 ? "--base" : "--tuned"}) ${wash}%, `
              + "transparent)",
          },
        };
      }),
    ],
  }));
  return section(words.say(against), sortableTable(words.say(against), [
    { label: words.say("model") }, { label: words.say("mean"), descends: true },
    ...names.map((label) => ({ label, title: words.category(label), descends: true })),
  ], rows, { className: "heat" }));
};

const drawItem = (item, article) => {
  if (Object.keys(item.profiles[0].against_own_mean).length > 2) {
    const plot = make("div", {
      className: "plot tall", role: "img", ariaLabel: words.say("radar_label"),
    });
    article.append(make("figure", {}, plot));
    plots.show(plot, radar(item));
  }
  ["against_own_mean", "against_peers"].forEach((against) => {
    const map = heatMap(item, against);
    if (map) article.append(map);
  });
  article.append(make("p", { className: "note" }, words.say("heat_about")));
};
