// The answer beside the rows sent; bars for a classifier's probabilities.

import { make } from "./dom.js";
import { save, short } from "./output.js";
import { write } from "./csv.js";

const SHOWN = 100; // rows in the table
const CHARTS = 8; // rows that get bars
const CLASSES = 12; // bars of a row: the likeliest

// The titles and rows of predictions: a number or word a row, a list a row, or an object a row. Null for anything else.
function tableOf(predictions, classes) {
  if (!Array.isArray(predictions) || !predictions.length) return null;
  const isObject = (value) => value !== null && typeof value === "object";
  if (predictions.every(Array.isArray)) {
    const width = Math.max(...predictions.map((row) => row.length));
    const titles = classes?.length === width ? classes.map(String) : Array.from({ length: width }, (_, at) => `prediction ${at + 1}`);
    return { titles, rows: predictions };
  }
  if (predictions.every(isObject)) {
    const titles = [...new Set(predictions.flatMap((row) => Object.keys(row)))];
    return { titles, rows: predictions.map((row) => titles.map((title) => row[title])) };
  }
  return { titles: ["prediction"], rows: predictions.map((value) => [value]) };
}

const text = (value) => (value === null || value === undefined ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));

// Fill `element`; `sent` is {columns, rows}, empty for a body that is no table. Returns words on what was answered.
export function show(element, { predictions, probabilities, classes, sent, name }) {
  const table = tableOf(predictions, classes);
  if (!table) {
    element.replaceChildren(make("pre", { tabindex: "0", role: "region", "aria-label": "Answer as JSON" }, JSON.stringify(predictions, null, 2)));
    return "Answered";
  }
  const parts = [];
  const only = table.rows.length === 1 && table.titles.length === 1;
  if (only) {
    parts.push(make("p", { class: "figure", title: text(table.rows[0][0]) }, short(table.rows[0][0] ?? "none")));
  }
  if (Array.isArray(probabilities) && classes) parts.push(...charts(probabilities, classes, predictions));
  parts.push(drawTable(table, sent));
  if (table.rows.length > 1) parts.push(download(table, sent, name));
  element.replaceChildren(...parts);
  if (only) return `Prediction: ${short(table.rows[0][0] ?? "none")}`;
  return table.rows.length === 1 ? "1 prediction" : `${table.rows.length} predictions`;
}

function charts(probabilities, classes, predictions) {
  const drawn = probabilities.slice(0, CHARTS).map((shares, at) => {
    const sorted = shares.map((share, each) => ({ share, label: String(classes[each]) }));
    if (sorted.length > CLASSES) sorted.sort((one, other) => other.share - one.share);
    const isClass = classes.includes(predictions[at]); // else the model's own answer is the probabilities
    const most = Math.max(...shares);
    const bars = sorted.slice(0, CLASSES).map(({ share, label }) => {
      const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"));
      bar.firstChild.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
      const isChosen = isClass ? label === String(predictions[at]) : share === most;
      return make("li", { class: isChosen ? "chosen" : null }, make("span", { class: "label" }, label), bar, make("span", { class: "share" }, `${(100 * share).toFixed(1)} %`));
    });
    const title = probabilities.length > 1 ? `Row ${at + 1}${isClass ? `: ${text(predictions[at])}` : ""}` : "Probabilities";
    return make("div", { class: "chart" }, make("h3", {}, title), make("ul", { role: "list" }, ...bars));
  });
  const more = probabilities.length > CHARTS ? [make("p", { class: "hint" }, `Bars for the first ${CHARTS} of ${probabilities.length} rows.`)] : [];
  return [make("div", { class: "charts" }, ...drawn), ...more];
}

function drawTable({ titles, rows }, sent) {
  const shown = rows.slice(0, SHOWN).map((row, at) => [...titles.map((_, each) => row[each]), ...sent.columns.map((_, each) => sent.rows[at]?.[each] ?? "")]);
  const isNumber = (value) => value === "" || (value !== null && typeof value !== "boolean" && Number.isFinite(Number(value)));
  const kinds = [...titles, ...sent.columns].map((_, each) => [each < titles.length ? "predicted" : "", shown.every((row) => isNumber(row[each])) ? "number" : ""].join(" ").trim() || null);
  const head = [...titles, ...sent.columns].map((title, each) => make("th", { scope: "col", class: kinds[each] }, title));
  const body = shown.map((row, at) => make("tr", {}, make("th", { scope: "row" }, String(at + 1)), ...row.map((value, each) => make("td", { class: kinds[each] }, text(value)))));
  const caption = make("caption", { class: "unseen" }, "Predictions beside the rows that were sent");
  const table = make("table", {}, caption, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Row"), ...head)), make("tbody", {}, ...body));
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Predictions and rows" }, table);
  if (rows.length <= SHOWN) return scroll;
  return make("div", {}, scroll, make("p", { class: "hint" }, `The first ${SHOWN} of ${rows.length} rows; the file below has all.`));
}

function download({ titles, rows }, sent, name) {
  const button = make("button", { type: "button" }, "Download as CSV");
  button.addEventListener("click", () => {
    const all = rows.map((row, at) => [...titles.map((_, each) => row[each]), ...sent.columns.map((_, each) => sent.rows[at]?.[each])]);
    save(`${name}-predictions.csv`, write([...titles, ...sent.columns], all), "text/csv");
  });
  return make("p", {}, button);
}
