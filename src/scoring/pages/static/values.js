// Columns and their values: what a field takes, and the JSON that it means.

const WHOLE = new Set(["long", "integer"]);
const NUMBERS = new Set(["double", "float", ...WHOLE]);
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const LOCAL_DATE = /^(\d{4}-\d{2}-\d{2})[T ]?(\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?)?$/;
const KINDS = { double: "number", float: "number", long: "whole number", integer: "whole number", boolean: "yes or no", string: "text", datetime: "date and time", binary: "base64" };

export const isNumber = (column) => NUMBERS.has(column.type);

// What a field's looks do not tell.
export function kindOf(column) {
  const plain = ["double", "float", "string", "boolean"].includes(column.type);
  return [plain ? "" : KINDS[column.type], column.required ? "" : "optional"].filter(Boolean).join(", ");
}

// Binary values would reach the model as the text that stands in a CSV: the columns that a CSV of these rows has, or null where none would do.
// An optional column that is empty somewhere is left out, as not every type has a value for that.
export function csvColumns(columns, rows) {
  if (columns.some((column) => column.required && column.type === "binary")) return null;
  return columns.filter((column, at) => column.required || (column.type !== "binary" && rows.every((row) => row[at] !== "")));
}

// The attributes of a column's field; an optional yes or no has a third state, so it is a list.
export function fieldOf(column) {
  if (isNumber(column)) return { tag: "input", type: "number", step: WHOLE.has(column.type) ? "1" : "any", inputmode: "decimal" };
  if (column.type === "boolean") return column.required ? { tag: "input", type: "checkbox" } : { tag: "select" };
  if (column.type === "datetime") return { tag: "input", type: "datetime-local", step: "any" };
  return { tag: "input", type: "text", spellcheck: "false", autocomplete: "off" };
}

// A value of the example, as the text of its field.
export function toText(column, value) {
  if (value === null || value === undefined) return column.type === "boolean" && column.required ? "false" : "";
  if (column.type === "boolean") return String(value === true || value === 1 || value === "true");
  if (column.type === "datetime") {
    const [, day, time = "00:00"] = LOCAL_DATE.exec(String(value).replace(/(\.\d{3})\d+$/, "$1")) || [];
    return day ? `${day}T${time}` : "";
  }
  return String(value);
}

// The JSON of a field's text; throws words for what is none.
export function toJson(column, text, isBad) {
  const given = column.type === "string" ? text : text.trim();
  if (isBad) throw new Error(`${column.name} is not a ${KINDS[column.type]}.`);
  if (given === "") {
    if (!column.required) return "null";
    if (column.type === "string" || column.type === "binary") return '""';
    throw new Error(`${column.name} needs a ${KINDS[column.type]}.`);
  }
  if (isNumber(column)) {
    if (!Number.isFinite(Number(given))) throw new Error(`${column.name} is not a number that can be sent.`);
    if (WHOLE.has(column.type) && !/^-?\d+$/.test(given) && !Number.isInteger(Number(given))) throw new Error(`${column.name} takes whole numbers.`);
    return JSON_NUMBER.test(given) ? given : String(Number(given));
  }
  return column.type === "boolean" ? given : JSON.stringify(given);
}

// The rows of an example body, by the model's columns, as texts.
export function rowsOf(example, columns) {
  const split = example?.dataframe_split;
  const listed = example?.dataframe_records || example?.instances || example?.inputs;
  let records = [];
  if (split?.data) records = split.data.map((row) => Object.fromEntries(row.map((value, at) => [(split.columns || columns.map((column) => column.name))[at], value])));
  else if (Array.isArray(listed)) records = listed;
  else if (listed) records = [Object.fromEntries(Object.entries(listed).map(([name, values]) => [name, Array.isArray(values) ? values[0] : values]))];
  const rows = records.filter((record) => record && typeof record === "object" && !Array.isArray(record));
  return (rows.length ? rows : [{}]).map((record) => columns.map((column) => toText(column, record[column.name])));
}
