// The eight figures of what is served, of the last hour or day, and what monitoring found of each version.

import { line, table } from "./charts.js";
import { find, make, say } from "./dom.js";

const rate = (value) => `${value >= 100 ? Math.round(value) : value.toPrecision(2)} /s`;
const share = (value) => `${(value * 100).toFixed(value && value < 0.1 ? 2 : 0)} %`;
const time = (value) => (value < 1 ? `${(value * 1000).toPrecision(2)} ms` : `${value.toFixed(1)} s`);
const size = (value) => `${Math.round(value / 2 ** 20)} MiB`;
const count = (value) => String(value);
const worth = (value) => (typeof value === "number" ? value.toPrecision(4) : "–");
const FIGURES = [
  ["requests", "Requests", rate], ["errors", "Errors", share], ["p50", "Latency p50", time], ["p99", "Latency p99", time],
  ["waiting", "Waiting requests", count], ["predict", "Time of a predict", time], ["memory", "Memory", size], ["restarts", "Restarts", count],
];
const ROWS = 12; // of the table: the newest points
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const SPANS = { hour: ["last hour", 3600], day: ["last day", 86400] };
const shown = new Map(); // target: its element, which stays while its charts change
let last = null, span = "hour";

const tell = (value, write) => (typeof value === "number" ? write(value) : "–");
const clock = (at) => CLOCK.format(new Date(at * 1000));

// What a figure was, in words: the newest value, and the highest.
function describe(name, points, write) {
  const values = points.map((point) => point.value).filter((value) => typeof value === "number");
  if (!values.length) return `${name}, ${SPANS[span][0]}: nothing measured`;
  return `${name}, ${SPANS[span][0]}: now ${tell(points.at(-1).value, write)}, highest ${write(Math.max(...values))}`;
}

function drawFigure([key, name, write], points, now) {
  const own = points.map((point) => ({ at: point.at, value: point[key] }));
  const values = own.map((point) => point.value).filter((value) => typeof value === "number");
  const total = key === "restarts" ? values.reduce((all, value) => all + value, 0) : null;
  const words = total === null ? tell(own.at(-1)?.value, write) : count(total);
  const most = total === null && values.length ? `highest ${write(Math.max(...values))}` : "";
  return make("li", { class: "figure", "data-figure": key },
    make("span", { class: "hint" }, name), make("b", {}, words),
    line(own, { from: now - SPANS[span][1], to: now, words: describe(name, own, write) }), make("span", { class: "hint" }, most));
}

function drawTarget(name, series) {
  if (!shown.has(name)) {
    const list = make("ul", { class: "figures", "aria-label": `Figures of ${name}` }), rows = make("div");
    const details = make("details", {}, make("summary", {}, `The newest figures of ${name} as a table`), rows);
    shown.set(name, { element: make("div", { class: "card" }, make("h3", {}, name), list, details), list, rows });
  }
  const { element, list, rows } = shown.get(name), { points } = series[span];
  list.replaceChildren(...FIGURES.map((figure) => drawFigure(figure, points, Date.now() / 1000)));
  const newest = points.slice(-ROWS).reverse();
  rows.replaceChildren(table(`Figures of ${name}, newest first`, ["Time", "Version", ...FIGURES.map((figure) => figure[1])],
    newest.map((point) => [clock(point.at), point.version ?? "none", ...FIGURES.map(([key, , write]) => tell(point[key], write))])));
  return element;
}

// Each version's last monitoring: how much drifted, and its metrics by the truth.
function drawMonitored(monitored) {
  const names = [...new Set(monitored.flatMap(({ metrics }) => Object.keys(metrics).filter((name) => name.startsWith("realised."))))];
  const worst = ({ metrics }) => Math.max(...Object.entries(metrics).filter(([name]) => /^(prediction_)?drift\./.test(name)).map(([, value]) => value ?? 0), 0);
  const charts = [["Highest PSI", worst], ...names.map((name) => [name.slice("realised.".length), ({ metrics }) => metrics[name]])];
  find("over-versions").replaceChildren(...charts.map(([name, read]) => {
    const points = monitored.map((each, at) => ({ at, value: read(each) }));
    const words = `${name} by version: ${monitored.map((each, at) => `version ${each.version} ${worth(points[at].value)}`).join(", ")}`;
    return make("li", { class: "figure" }, make("span", { class: "hint" }, `${name}, by version`), make("b", {}, worth(points.at(-1)?.value)),
      line(points, { from: 0, to: points.length - 1, words }));
  }));
  const day = (text) => text.slice(0, 10) || "–";
  const rows = monitored.toReversed().map((each) => [each.version, `${day(each.since)} to ${day(each.until)}`, String(each.metrics.rows ?? "–"),
    each.drifted.join(", ") || "none", ...names.map((name) => worth(each.metrics[name]))]);
  find("monitored-table").replaceChildren(table("The last monitoring of each version, newest first", ["Version", "Of", "Rows", "Drifted", ...names.map((name) => name.slice("realised.".length))], rows));
  find("monitored").hidden = !monitored.length;
}

function draw() {
  const targets = Object.entries(last.targets);
  const elements = targets.map(([name, series]) => drawTarget(name, series));
  const list = find("figures-list");
  if (list.children.length !== elements.length) list.replaceChildren(...elements);
  const seen = targets.some(([, series]) => series[span].points.length);
  say(find("no-figures"), seen ? "" : span === "day" ? "The first point of the day comes after five minutes." : "The first figures come within ten seconds.");
}

// Show what /figures answers.
export function show(found) {
  const text = JSON.stringify(found.monitored);
  if (!last || JSON.stringify(last.monitored) !== text) drawMonitored(found.monitored);
  last = found;
  draw();
}

for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => {
    span = button.dataset.span;
    for (const each of document.querySelectorAll("[data-span]")) each.setAttribute("aria-pressed", String(each === button));
    if (last) draw();
  });
}
