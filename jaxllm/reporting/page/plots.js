// What all charts look like: Plotly in the colours that the style sheet has at the moment.
"use strict";

const plots = (() => {
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const runColour = (index) => style(index % 4 === 0 ? "--tuned" : `--tuned-${(index % 4) + 1}`);

  const translucent = (hex, alpha) => {
    const channels = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${channels.join(",")},${alpha})`;
  };

  const axis = (more) => ({
    gridcolor: style("--rule"), linecolor: style("--rule"), zeroline: false, fixedrange: true,
    tickfont: { color: style("--soft"), size: 11 }, ...more,
  });

  // Names of models are data: Plotly would read tags in them.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    font: { family: getComputedStyle(document.body).fontFamily, color: style("--ink"), size: 12 },
    hoverlabel: {
      bgcolor: style("--surface"), bordercolor: style("--rule"), font: { color: style("--ink") },
    },
    margin: { l: 34, r: 8, t: 8, b: 28 }, ...more,
  });

  const shown = new Map(); // what draws a node, by node

  // Shows what `draw` gives, [traces, layout], and draws it again when the colours change.
  const show = (node, draw) => {
    shown.set(node, draw);
    const [traces, look] = draw();
    Plotly.react(node, traces, look, { displayModeBar: false, responsive: true });
  };

  const drop = (node) => {
    Plotly.purge(node);
    shown.delete(node);
  };

  const clear = () => [...shown.keys()].forEach(drop);

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    shown.forEach((draw, node) => show(node, draw));
  });

  return { style, runColour, translucent, axis, plain, layout, show, drop, clear };
})();
