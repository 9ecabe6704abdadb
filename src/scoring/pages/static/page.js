// The try-it page: reads what the model is, makes its form, sends requests and shows their answers.

import { carryKey, key, model as ask, predict } from "./api.js";
import { show as draw } from "./answer.js";
import { parse, write } from "./csv.js";
import { find, make, say } from "./dom.js";
import { Sheet, examplesOf, list } from "./files.js";
import { save, short } from "./output.js";
import { Rows } from "./rows.js";
import * as snippets from "./snippets.js";
import { Told } from "./stream.js";
import { csvColumns, rowsOf } from "./values.js";

const CSV = "text/csv", JSON_TYPE = "application/json";
const PROBABILITIES = "predict_proba", OWN = "";
const TASKS = {
  "agent/v1/responses": "This model is an agent. The body has input: a list of messages with role and content.",
  "agent/v2/chat": "This model is an agent that chats. The body has messages: a list with role and content.",
  "agent/v1/chat": "This model chats. The body has messages: a list with role and content.",
  "llm/v1/chat": "This model chats. The body has messages: a list with role and content.",
};
const NO_TABLE = "This model does not take a table of named columns. The body must have one of inputs, instances, dataframe_split, dataframe_records.";
const MESSAGES = ["messages", "prompt", "input"]; // keys of a body whose answer is bare
const PANES = { form: "rows", csv: "csv", json: "json", file: "file", draw: "draw" };
const LONG = 20_000; // characters; the snippets read a longer CSV from a file
let sheet, offered = ["json"], files = []; // offered: the ways to give the input; files: those that will be sent
let model, by, rows, example, file; // `by` is the model's name and version, as its answers give them

const named = (columns) => columns.map((column) => column.name);
const mode = () => offered.find((name) => find(`mode-${name}`)?.checked) ?? offered[0];
const isFiles = () => mode() === "file" || mode() === "draw";

async function start() {
  try {
    ({ value: model, by } = await ask());
  } catch (error) {
    askForKey(error);
    return;
  }
  find("key-form").hidden = true;
  find("openapi").hidden = false;
  find("key-used").hidden = !model.api_keys;
  say(find("failed"), "");
  describe();
  fill();
  find("workbench").hidden = false;
}

function askForKey(error) {
  find("workbench").hidden = true;
  find("key-used").hidden = true;
  find("key-form").hidden = error.status !== 401;
  find("openapi").hidden = error.status === 401;
  say(find("failed"), error.status === 401 ? "" : error.message);
  find("key-error").textContent = error.status === 401 && key.get() ? "This key is wrong." : "";
  if (error.status === 401) find("key").focus();
}

function describe() {
  document.title = `${model.name} ${model.version}`;
  find("name").textContent = model.name;
  say(find("version"), /^\d/.test(model.version) ? `version ${model.version}` : model.version);
  say(find("run"), model.run ? `from run ${model.run}` : "");
  const metrics = Object.entries(model.metrics || {});
  find("metrics").replaceChildren(...metrics.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", { title: value }, short(value)))));
  find("metrics").hidden = !metrics.length;
  find("served").textContent = `Served by Slipway, which speaks MLflow ${model.mlflow_version}'s protocol and the Open Inference Protocol v2.`;
}

function fill() {
  if (model.columns && !model.files) {
    example = rowsOf(model.example, model.columns);
    rows = new Rows(find("rows"), model.columns, example, tell);
    find("csv-help").textContent = `Columns: ${named(model.columns.filter((column) => column.type !== "binary")).join(", ")}. Others may be among them.`;
  }
  const methods = model.params.length ? [] : model.methods;
  find("method").replaceChildren(make("option", { value: OWN }, "the model's own"), ...methods.map((name) => make("option", { value: name }, name)));
  if (model.files) offered = ["file", "draw"];
  else offered = model.columns ? ["form", ...(csvColumns(model.columns, example) ? ["csv"] : [])] : ["json"];
  for (const field of document.querySelectorAll("[name=mode]")) field.hidden = field.nextElementSibling.hidden = !offered.includes(field.value);
  if (find(`mode-${offered[0]}`)) find(`mode-${mode()}`).checked = true;
  find("modes").hidden = offered.length < 2;
  find("json-help").textContent = TASKS[model.task] ?? NO_TABLE;
  find("stream-choice").hidden = !model.streams;
  sheet ??= new Sheet(find("sheet"), find("colours"), tell);
  reset();
}

// JSON with a line a list of plain values.
const pretty = (value) => JSON.stringify(value, null, 2).replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, inner) => `[${inner.replace(/\s*\n\s*/g, " ")}]`);

function reset() {
  dropFile();
  if (model.files) {
    find("upload").value = "";
    choose(examplesOf(model.example));
  } else if (model.columns) {
    const shown = example.slice(0, 3), told = csvColumns(model.columns, shown) || [];
    find("csv-text").value = write(named(told), shown.map((row) => row.filter((_, at) => told.includes(model.columns[at]))));
    rows.reset();
  } else {
    find("json-text").value = pretty(model.example ?? { inputs: [] });
  }
  change();
}

function change() {
  for (const [name, pane] of Object.entries(PANES)) find(pane).hidden = mode() !== name;
  find("add-row").hidden = mode() !== "form";
  find("clear").hidden = mode() !== "draw";
  find("reset").hidden = mode() === "draw";
  find("method-choice").hidden = mode() === "csv" || isFiles() || find("method").options.length < 3;
  say(find("problem"), "");
  tell();
}

function dropFile() {
  file = null;
  find("csv-file").value = "";
  find("csv-chosen").hidden = true;
  find("csv-text").disabled = false;
}

function chooseFile() {
  file = find("csv-file").files[0] || null;
  find("csv-chosen").hidden = !file;
  find("csv-text").disabled = Boolean(file);
  if (file) find("csv-chosen").firstElementChild.textContent = `${file.name} (${short(Number((file.size / 1024).toFixed(1)))} KiB) will be sent as it is.`;
  tell();
}

function choose(chosen) {
  files = chosen;
  list(find("chosen"), files);
  tell();
}

// A body that asks for a stream; one that is no JSON is left for the server to judge.
function streamed(body) {
  try {
    return pretty({ ...JSON.parse(body), stream: true });
  } catch {
    return body;
  }
}

function isMessage(body) {
  try {
    return MESSAGES.some((name) => name in JSON.parse(body));
  } catch {
    return Boolean(model.task);
  }
}

// The request of the present input; which method is the model's own was said when it was logged.
function request(method = OWN) {
  if (mode() === "csv") {
    const text = find("csv-text").value;
    return { type: CSV, body: file || text, file: file?.name ?? (text.length > LONG ? "rows.csv" : null) };
  }
  if (isFiles()) return { files: mode() === "draw" ? [{ name: "drawing.png" }] : files };
  if (mode() === "json") {
    const text = find("json-text").value.trim(), streams = model.streams && find("stream").checked, isBare = isMessage(text);
    if (streams || isBare) return { type: JSON_TYPE, body: streams ? streamed(text) : text, streams, isBare };
  }
  const { body, problems = [] } = mode() === "form" ? rows.read() : { body: find("json-text").value.trim() };
  return { type: JSON_TYPE, problems, body: method && body.endsWith("}") ? `${body.slice(0, -1)}, "params": {"method": ${JSON.stringify(method)}}}` : body };
}

function tell() {
  const present = request(find("method").value);
  const hasKey = model.api_keys;
  find("curl").textContent = snippets.curl(present, hasKey);
  find("python").textContent = snippets.python(present, hasKey);
  const notes = [hasKey ? "Both read the key from the environment variable API_KEY." : "", present.file ? `Both send the file ${present.file} of the folder that they run in.` : "", present.files?.length ? "Both send files of the folder that they run in." : ""];
  say(find("snippet-help"), notes.join(" ").trim());
  find("keep").hidden = !(mode() === "draw" ? !sheet.isEmpty : mode() === "file" && files.length && !find("upload").files.length);
  document.body.classList.toggle("many", mode() === "csv" || (mode() === "form" && rows.texts.length > 1));
}

async function send() {
  const first = request();
  if (mode() === "draw") first.files = sheet.isEmpty ? [] : [sheet.file()];
  say(find("problem"), first.files?.length === 0 ? (mode() === "draw" ? "Draw something first." : "Choose a file first.") : "");
  if (first.files?.length === 0) {
    showNone();
    return;
  }
  rows?.show([]);
  if (first.problems?.length) {
    rows.show(first.problems);
    find("status").textContent = `${first.problems.length === 1 ? "One field needs" : `${first.problems.length} fields need`} a look.`;
    return;
  }
  find("predict").setAttribute("aria-disabled", "true");
  find("status").textContent = "Asking the model …";
  try {
    await show(first);
  } catch (error) {
    refuse(error);
  } finally {
    find("predict").removeAttribute("aria-disabled");
  }
}

async function show(first, after = "") {
  const bars = ["form", "json"].includes(mode()) && model.classes && model.methods.includes(PROBABILITIES) && !model.params.length;
  const sent = await sentRows(first);
  const began = performance.now();
  let told = null, failure = "";
  const tellEvent = (event) => {
    told ??= new Told(find("result"));
    told.add(event);
    failure = typeof event?.error === "string" ? event.error : failure;
  };
  const asked = [predict(first, tellEvent), bars ? predict(request(PROBABILITIES)) : null];
  const ends = await Promise.allSettled(asked);
  const took = performance.now() - began;
  if (!after && ends.map(({ value, reason }) => (value ?? reason)?.by).some((each) => each && each !== by)) {
    await renew();
    return;
  }
  const [answer, shares] = await Promise.all(asked);
  if (told) {
    say(find("problem"), failure ? `The server says: ${failure}.` : "");
    find("status").textContent = `${told.count} events, in ${Math.round(took)} ms${after}`;
    return;
  }
  const facts = { predictions: answer.value.predictions ?? answer.value, probabilities: shares?.value.predictions, classes: model.classes, sent, name: model.name };
  find("status").textContent = `${draw(find("result"), facts)}, in ${took < 10 ? took.toFixed(1) : Math.round(took)} ms${after}`;
}

// Another model answers by now: say so at the top, and ask it again; where it takes other input, show that first.
async function renew() {
  const taken = () => JSON.stringify([model.columns, model.methods, model.classes, model.params, model.files, model.task]);
  const before = taken();
  ({ value: model, by } = await ask());
  describe();
  if (taken() === before) {
    await show(request(), `, by version ${model.version}, which is new here`);
    return;
  }
  fill();
  say(find("problem"), `${model.name} ${model.version} is served here now, and takes another input. Look at it, and predict again.`);
  showNone();
}

async function sentRows(first) {
  if (first.files) return { columns: ["file"], rows: first.files.map(({ name }) => [name]) };
  if (mode() === "csv") return parse(file ? await file.text() : first.body);
  return mode() === "form" ? { columns: named(model.columns), rows: rows.texts.map((row) => [...row]) } : { columns: [], rows: [] };
}

function showNone() {
  find("status").textContent = "No answer.";
  find("result").replaceChildren(make("p", { class: "empty" }, "The request was not answered with predictions."));
}

function refuse(error) {
  showNone();
  if (error.status === 401) {
    askForKey(error);
    return;
  }
  // The server names the column, not the row.
  const problems = mode() === "form" && error.status === 400 && rows.texts.length === 1 ? rows.locate(error.said) : [];
  if (problems.length) rows.show(problems);
  else say(find("problem"), error.message || "This page could not read the answer.");
}

async function copy(button) {
  const code = find(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch { // without https a browser has no clipboard of this kind
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  find("copied").textContent = `Copied: ${button.dataset.copies}`;
}

find("input").addEventListener("submit", (event) => {
  event.preventDefault();
  if (find("predict").getAttribute("aria-disabled") !== "true") send();
});
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(find("key").value.trim());
  find("key").value = "";
  start();
});
find("key-forget").addEventListener("click", () => {
  key.forget();
  start();
});
for (const field of document.querySelectorAll("[name=mode], #method")) field.addEventListener("change", change);
for (const name of ["csv-text", "json-text"]) {
  find(name).addEventListener("input", tell);
  find(name).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("input").requestSubmit();
  });
}
find("csv-file").addEventListener("change", chooseFile);
find("upload").addEventListener("change", () => choose([...find("upload").files]));
find("stream").addEventListener("change", tell);
find("clear").addEventListener("click", () => sheet.clear());
find("keep").addEventListener("click", () => {
  for (const each of mode() === "draw" ? [sheet.file()] : files) save(each.name, each, each.type);
});
find("csv-drop").addEventListener("click", () => {
  dropFile();
  tell();
  find("csv-text").focus();
});
find("add-row").addEventListener("click", () => rows.add());
find("reset").addEventListener("click", reset);
carryKey(find("openapi"));
for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", () => copy(button));

start();
