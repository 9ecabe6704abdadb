// What the page is made of: states as shapes and badges, times, scores.

import { make } from "./dom.js";

// Hide an element; the focus, when it is there, goes to another.
export function withdraw(element, heir) {
  const focused = element === document.activeElement;
  element.hidden = true;
  if (focused) heir.focus();
}

const SHAPES = {
  done: "✓", failed: "✕", "rolled back": "↺", cancelled: "–", pending: "…", running: "▸", interrupted: "!",
  promoted: "✓", refused: "✕", "put back": "↺", "taken back": "↺", forced: "!", answers: "✓", nothing: "✕", another: "!",
};

// A shape that says the same as the word beside it.
export const shape = (state) => make("span", { class: "shape", "aria-hidden": "true" }, SHAPES[state] || "•");

export const badge = (state, ...words) => make("span", { class: "badge", "data-state": state }, shape(state), ...(words.length ? words : [state]));

export function seconds(span) {
  const all = Math.max(0, span);
  if (all < 100) return `${all.toFixed(1)} s`;
  const whole = Math.round(all), hours = Math.floor(whole / 3600);
  return hours ? `${hours} h ${Math.floor((whole % 3600) / 60)} min` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

export function when(ms) {
  const date = new Date(ms);
  return make("time", { datetime: date.toISOString() }, DATE.format(date));
}

// A score and its spread, with three places, as verdicts have them; a small or large one with four digits.
export function score(value, spread) {
  if (typeof value !== "number") return "not a number";
  const size = Math.abs(value), plain = size === 0 || (size >= 0.1 && size < 1e6);
  const write = (number) => (plain ? number.toFixed(3) : number.toPrecision(4));
  return typeof spread === "number" ? `${write(value)} ± ${write(spread)}` : write(value);
}
