// Small charts: a line over time as inline SVG, with the same in words, and as a table for whoever asks.

import { make } from "./dom.js";

const WIDTH = 240, HEIGHT = 56, PAD = 3;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// The pieces of a line: where nothing was measured, there is a gap.
function pieces(points) {
  const found = [[]];
  for (const point of points) {
    if (typeof point.value === "number") found.at(-1).push(point);
    else if (found.at(-1).length) found.push([]);
  }
  return found.filter((piece) => piece.length);
}

// A picture of points {at, value}, from the time `from` to `to`; it starts at zero.
export function line(points, { from, to, words }) {
  const values = points.map((point) => point.value).filter((value) => typeof value === "number");
  const top = Math.max(...values, 0) || 1, span = to - from || 1;
  const x = (at) => (PAD + ((at - from) / span) * (WIDTH - 2 * PAD)).toFixed(1);
  const y = (value) => (HEIGHT - PAD - (Math.max(0, value) / top) * (HEIGHT - 2 * PAD)).toFixed(1);
  const lines = pieces(points).map((piece) => (piece.length === 1
    ? svg("circle", { cx: x(piece[0].at), cy: y(piece[0].value), r: 1.8, class: "dot" })
    : svg("polyline", { points: piece.map((point) => `${x(point.at)},${y(point.value)}`).join(" "), class: "line" })));
  const floor = svg("line", { x1: 0, y1: HEIGHT - 1, x2: WIDTH, y2: HEIGHT - 1, class: "floor" });
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words, preserveAspectRatio: "none", class: "chart" }, floor, ...lines);
}

// A table of rows; the first cell of each is its head.
export function table(caption, heads, rows) {
  const head = heads.map((name, at) => make("th", { scope: "col", class: at > 0 && "number" }, name));
  const body = rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...rest.map((cell, at) => make("td", { class: "number", "data-name": heads[at + 1] }, cell))));
  const all = make("table", {}, make("caption", { class: "unseen" }, caption), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  return make("div", { class: "scrolled", role: "region", tabindex: "0", "aria-label": caption }, all);
}
