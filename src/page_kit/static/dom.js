// Small means to build and change a page. What is told becomes text nodes, never markup: names may hold anything.

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
  const text = words || "";
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}
