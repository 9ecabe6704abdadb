// What the page gives out: numbers to read, files to keep.

import { make } from "./dom.js";

// Give text to the browser to save as a file.
export function save(name, text, type) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Six digits are enough to read; the whole number stands in the table.
export function short(number) {
  if (typeof number !== "number" || Number.isInteger(number)) return String(number);
  const size = Math.abs(number);
  return size >= 1e9 || size < 1e-4 ? number.toExponential(4) : String(Number(number.toPrecision(6)));
}
