// The editable rows: one row is a form, several are a table.

import { make } from "./dom.js";
import { fieldOf, kindOf, toJson } from "./values.js";

export class Rows {
  constructor(element, columns, example, changed) {
    this.element = element;
    this.columns = columns;
    this.example = example;
    this.changed = changed;
    this.texts = [];
  }

  reset() {
    this.texts = [[...this.example[0]]];
    this.draw();
  }

  add() {
    this.texts.push([...(this.example[this.texts.length] ?? this.texts.at(-1))]);
    this.draw();
    this.field(this.texts.length - 1, 0).focus();
  }

  remove(at) {
    this.texts.splice(at, 1);
    this.draw();
    this.field(Math.min(at, this.texts.length - 1), 0).focus();
  }

  field(row, column) {
    return this.element.querySelector(`[data-row="${row}"][data-column="${column}"]`);
  }

  draw() {
    this.element.replaceChildren(this.texts.length === 1 ? this.drawForm() : this.drawTable());
    this.changed();
  }

  drawForm() {
    const fields = this.columns.map((column, at) => {
      const field = this.make(0, at);
      const kind = kindOf(column) && make("small", { id: `${field.id}-kind` }, kindOf(column));
      if (kind) field.setAttribute("aria-describedby", `${kind.id} ${field.id}-problem`);
      const top = make("div", { class: "top" }, make("label", { for: field.id }, column.name), kind);
      return make("div", { class: "field" }, top, field, this.problemOf(field));
    });
    return make("div", { class: "fields" }, ...fields);
  }

  drawTable() {
    const titles = this.columns.map((column) => make("th", { scope: "col" }, column.name, make("small", {}, kindOf(column))));
    const body = this.texts.map((_, row) => {
      const remove = make("button", { type: "button", class: "remove", "aria-label": `Remove row ${row + 1}` }, "×");
      remove.addEventListener("click", () => this.remove(row));
      const cells = this.columns.map((column, at) => {
        const field = this.make(row, at);
        field.setAttribute("aria-label", `${column.name}, row ${row + 1}`);
        return make("td", {}, field, this.problemOf(field));
      });
      return make("tr", {}, make("th", { scope: "row" }, String(row + 1)), ...cells, make("td", {}, remove));
    });
    const head = make("tr", {}, make("th", { scope: "col" }, make("span", { class: "unseen" }, "Row")), ...titles, make("td"));
    const table = make("table", {}, make("caption", { class: "unseen" }, "The rows to predict"), make("thead", {}, head), make("tbody", {}, ...body));
    return make("div", { class: "scroll" }, table);
  }

  make(row, at) {
    const { tag, ...attributes } = fieldOf(this.columns[at]);
    const id = `field-${row}-${at}`;
    const field = make(tag, { id, ...attributes, "data-row": row, "data-column": at, "aria-describedby": `${id}-problem` });
    if (tag === "select") field.append(make("option", { value: "" }, "–"), make("option", { value: "true" }, "yes"), make("option", { value: "false" }, "no"));
    if (this.columns[at].required && field.type !== "checkbox") field.setAttribute("aria-required", "true");
    if (field.type === "checkbox") field.checked = this.texts[row][at] === "true";
    else field.value = this.texts[row][at];
    field.addEventListener("input", () => {
      this.texts[row][at] = field.type === "checkbox" ? String(field.checked) : field.value;
      this.mark(field, "");
      this.changed();
    });
    return field;
  }

  problemOf(field) {
    return make("p", { id: `${field.id}-problem`, class: "problem" });
  }

  mark(field, words) {
    this.element.querySelector(`#${field.id}-problem`).textContent = words;
    if (words) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  }

  // The request's body, and what is wrong with the rows. An optional column without any value is left out.
  read() {
    const problems = [];
    const json = this.texts.map((row, at) => row.map((text, column) => {
      try {
        return toJson(this.columns[column], text, this.field(at, column).validity.badInput);
      } catch (error) {
        problems.push({ field: this.field(at, column), words: error.message });
        return "null";
      }
    }));
    const kept = this.columns.map((_, column) => column).filter((column) => this.columns[column].required || json.some((row) => row[column] !== "null"));
    const names = kept.map((column) => JSON.stringify(this.columns[column].name)).join(", ");
    const data = json.map((row) => `    [${kept.map((column) => row[column]).join(", ")}]`).join(",\n");
    return { problems, body: `{"dataframe_split": {\n  "columns": [${names}],\n  "data": [\n${data}\n  ]\n}}` };
  }

  show(problems) {
    for (const field of this.element.querySelectorAll("[aria-invalid]")) this.mark(field, "");
    for (const { field, words } of problems) this.mark(field, words);
    problems[0]?.field.focus();
  }

  // The server's words, as a problem of the columns that they name; none when they name no column.
  locate(said) {
    const named = /^column (.+) contains a value/.exec(said)?.slice(1) ?? /missing: (.+)$/.exec(said)?.[1].split(", ") ?? [];
    const words = `${said.slice(0, 1).toUpperCase()}${said.slice(1)}.`;
    return this.columns.flatMap((column, at) => (named.includes(column.name) ? [{ field: this.field(0, at), words }] : []));
  }
}
