// Small means to build and change the page.

export const find = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// Show words in an element, or hide it when there are none.
export function say(element, words) {
  element.textContent = words || "";
  element.hidden = !words;
}

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
