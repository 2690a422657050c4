// The charts of every board: categories over steps, profiles, training loss.
"use strict";

(() => {
  const ROLE_LINES = { majority: "dot", control: "dash" };

  const { style, runColour, translucent, axis, plain, layout } = plots;

  const panel = (data, index) => {
    const { lines, references } = data.panels[index];
    const lastStep = Math.max(...lines.flatMap((line) => line.points.map((point) => point[0])));
    const traces = [];
    lines.forEach((line, run) => {
      const colour = runColour(run);
      const banded = line.points.filter((point) => point[2] !== null);
      const back = [...banded].reverse();
      traces.push({
        x: [...banded, ...back].map((point) => point[0]),
        y: [...banded.map((point) => point[2]), ...back.map((point) => point[3])],
        fill: "toself", fillcolor: translucent(colour, 0.16), line: { width: 0 }, mode: "lines",
        hoverinfo: "skip",
      });
      traces.push({
        x: line.points.map((point) => point[0]), y: line.points.map((point) => point[1]),
        customdata: line.points.map((point) =>
          point[2] === null ? "" : `<br>${point[2].toFixed(3)} to ${point[3].toFixed(3)}`),
        mode: "lines+markers", line: { color: colour, width: 2 }, marker: { size: 4.5, color: colour },
        hovertemplate:
          `step %{x:,}<br><b>%{y:.3f}</b>%{customdata}<extra>${plain(line.label)}</extra>`,
      });
    });
    references.forEach(({ role, mean }) => {
      traces.push({
        x: [0, lastStep], y: [mean, mean], mode: "lines", hoverinfo: "skip",
        line: { color: style(`--${role}`), width: 1.5, dash: ROLE_LINES[role] },
      });
    });
    return [traces, layout({
      xaxis: axis({ range: [-0.03 * lastStep, 1.04 * lastStep], showgrid: false, nticks: 4 }),
      yaxis: axis({ range: [0, 1], tickvals: [0, 0.5, 1] }),
    })];
  };

  const profile = (data) => {
    let tuned = 0;
    const traces = data.profiles.map(({ label, role, scores }) => {
      const isTuned = role === "tuned";
      const colour = isTuned ? runColour(tuned++) : style("--base");
      const close = (values) => [...values, values[0]];
      const means = scores.map((score) => (score === null ? null : score[0]));
      return {
        type: "scatterpolar", name: plain(label), theta: close(data.categories), r: close(means),
        mode: "lines+markers", line: { color: colour, width: 2, dash: isTuned ? "solid" : "dash" },
        marker: { size: 6, symbol: isTuned ? "circle" : "diamond", color: colour },
        fill: "toself", fillcolor: translucent(colour, isTuned ? 0.13 : 0.08),
        hovertemplate: "%{theta} <b>%{r:.3f}</b><extra></extra>",
      };
    });
    const rim = axis({
      tickfont: { color: style("--ink"), size: 13 }, rotation: 90, direction: "clockwise", ticks: "",
    });
    const spoke = axis({ // its labels stand between the first two categories
      range: [0, 1], tickvals: [0.25, 0.5, 0.75, 1], ticktext: ["", "0.5", "", "1"],
      angle: 90 - 180 / data.categories.length, tickangle: 0, showline: false, ticks: "",
    });
    return [traces, layout({
      showlegend: true, legend: { orientation: "h", x: 0.5, xanchor: "center", y: -0.08 },
      margin: { l: 40, r: 40, t: 28, b: 40 },
      polar: { bgcolor: "rgba(0,0,0,0)", angularaxis: rim, radialaxis: spoke },
    })];
  };

  const runningMean = (values) => {
    const width = Math.max(1, Math.round(values.length / 40));
    return values.map((_, at) => {
      const part = values.slice(Math.max(0, at - width), at + width + 1);
      return part.reduce((sum, value) => sum + value, 0) / part.length;
    });
  };

  const loss = (data) => {
    const traces = data.losses.flatMap(({ label, steps, losses }, run) => {
      const colour = runColour(run);
      return [
        {
          x: steps, y: losses, mode: "lines", hoverinfo: "skip", showlegend: false,
          line: { color: translucent(colour, 0.32), width: 1 },
        },
        {
          x: steps, y: runningMean(losses), mode: "lines", name: plain(label),
          line: { color: colour, width: 2.2 },
          hovertemplate: "step %{x:,}<br><b>%{y:.3f}</b><extra></extra>",
        },
      ];
    });
    return [traces, layout({
      margin: { l: 40, r: 12, t: 28, b: 40 }, showlegend: data.losses.length > 1,
      legend: { orientation: "h", x: 0.5, xanchor: "center", y: -0.12 },
      xaxis: axis({ showgrid: false, title: { text: "step", font: { color: style("--soft") } } }),
      yaxis: axis({}),
    })];
  };

  const CHARTS = { panel, profile, loss };

  document.querySelectorAll(".board").forEach((board) => {
    const data = JSON.parse(board.querySelector(".chart-data").textContent);
    board.querySelectorAll(".plot").forEach((plot) => {
      plots.show(plot, () => CHARTS[plot.dataset.chart](data, Number(plot.dataset.index)));
    });
  });
})();
