// CSV as RFC 4180 has it: a header line, commas, quotes doubled within quotes.

export function parse(text) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign === '"' && text[at + 1] === '"') { cell += '"'; at += 1; }
      else if (sign === '"') quoted = false;
      else cell += sign;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === ",") { row.push(cell); cell = ""; }
    else if (sign === "\n" || sign === "\r") {
      if (sign === "\r" && text[at + 1] === "\n") at += 1;
      rows.push([...row, cell]);
      row = []; cell = "";
    } else cell += sign;
  }
  if (cell !== "" || row.length) rows.push([...row, cell]);
  const [header = [], ...rest] = rows.filter((each) => each.length > 1 || each[0] !== "");
  return { columns: header, rows: rest };
}

export function write(columns, rows) {
  const quote = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(quote).join(",")}\n`).join("");
}
