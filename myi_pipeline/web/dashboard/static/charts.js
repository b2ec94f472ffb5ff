// Draws each figure.chart from its own table, in the page's colours, and folds the table away. Without this script, or
// without the library, the table stays.
"use strict";

const colour = (name) => {
  // A custom property is told as it was written; a colour of an element is told as it is.
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.className = `probe-${name}`;
  document.body.append(probe);
  probe.style.color = `var(--${name})`;
  const told = getComputedStyle(probe).color;
  probe.remove();
  return told;
};

const pointsOf = (figure) =>
  [...figure.querySelectorAll("tbody tr")].map((row) => {
    const [x, y] = [row.querySelector("[data-x]"), row.querySelector("[data-y]")];
    return { x: x.dataset.x, y: y.dataset.y === "" ? null : Number(y.dataset.y), said: `${x.textContent}: ${y.textContent}` };
  });

const trace = (kind, points, unit) => {
  const common = {
    x: points.map((point) => point.x),
    y: points.map((point) => point.y),
    text: points.map((point) => point.said),
    hovertemplate: kind === "ranks" ? "%{text}<extra></extra>" : `%{text} ${unit.toLowerCase()}<extra></extra>`,
    textposition: "none",
  };
  if (kind === "bars") return { ...common, type: "bar", marker: { color: colour("accent"), cornerradius: 3 } };
  return { ...common, type: "scatter", mode: points.length > 40 ? "lines" : "lines+markers", line: { color: colour("accent"), width: 2 }, marker: { size: 5 } };
};

const draw = (figure) => {
  let drawing = figure.querySelector(".drawing");
  if (!drawing) {
    drawing = document.createElement("div");
    drawing.className = "drawing";
    drawing.setAttribute("aria-hidden", "true"); // The table below says the same.
    figure.prepend(drawing);
    figure.querySelector("details").open = false;
  }
  const [soft, line] = [colour("soft"), colour("line")];
  const { chart: kind, unit } = figure.dataset;
  const points = pointsOf(figure);
  const isFew = points.every(({ y }) => Number.isInteger(y) && y <= 5); // No half plays on the axis.
  const axis = { color: soft, gridcolor: line, linecolor: line, zerolinecolor: line, fixedrange: true };
  const layout = {
    margin: { l: 40, r: 8, t: 8, b: 32 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: soft },
    xaxis: { ...axis, showgrid: false },
    yaxis: { ...axis, ...(isFew ? { dtick: 1 } : {}), rangemode: kind === "ranks" ? "normal" : "tozero", autorange: kind === "ranks" ? "reversed" : true },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: line, font: { color: colour("ink") } },
    showlegend: false,
    dragmode: false,
    bargap: points.length > 48 ? 0.08 : 0.25,
  };
  Plotly.react(drawing, [trace(kind, points, unit)], layout, { displayModeBar: false, responsive: true });
};

const drawAll = () => document.querySelectorAll("figure.chart").forEach((figure) => {
  if (figure.querySelector("tbody tr")) draw(figure);
});

if (window.Plotly) {
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}
