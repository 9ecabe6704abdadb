// What is sent as files: chosen ones, the example, or a drawing.

import { make } from "./dom.js";

const SIGNS = [["\x89PNG", "png", "image/png"], ["\xff\xd8\xff", "jpg", "image/jpeg"], ["GIF8", "gif", "image/gif"], ["%PDF", "pdf", "application/pdf"]];
const SHOWN = 12; // previews
const INK = 22; // pixels, the width of a line of a drawing
export const FIELD = "input";

// The example's files: the base64 texts of a body for /invocations.
export function examplesOf(example) {
  const given = example?.dataframe_split?.data ?? example?.inputs ?? example?.instances ?? [];
  const texts = (Array.isArray(given) ? given : Object.values(given)).flat().map((value) => (value && typeof value === "object" ? Object.values(value)[0] : value));
  return texts.filter((text) => typeof text === "string").flatMap((text, at) => {
    try {
      const bytes = atob(text);
      const [, ending, type] = SIGNS.find(([sign]) => bytes.startsWith(sign)) ?? ["", "bin", "application/octet-stream"];
      return [new File([Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))], `example${at ? at + 1 : ""}.${ending}`, { type })];
    } catch { // it is no base64
      return [];
    }
  });
}

// A picture of a file, in a canvas, as a strict policy lets no image in; null for a file that is no picture.
async function preview(file) {
  try {
    const image = await createImageBitmap(file);
    const shown = make("canvas", { width: image.width, height: image.height, role: "img", "aria-label": `Preview of ${file.name}` });
    shown.getContext("2d").drawImage(image, 0, 0);
    return shown;
  } catch {
    return null;
  }
}

// Show files by name, and those that are pictures as such.
export async function list(element, files) {
  const entries = files.slice(0, SHOWN).map((file) => make("li", {}, make("span", {}, file.name)));
  if (files.length > SHOWN) entries.push(make("li", {}, `and ${files.length - SHOWN} more`));
  element.replaceChildren(...entries);
  const pictures = await Promise.all(files.slice(0, SHOWN).map(preview));
  pictures.forEach((picture, at) => picture && entries[at].prepend(picture));
}

// A sheet to draw on, with a mouse, a finger or a pen.
export class Sheet {
  constructor(canvas, colours, changed) {
    this.canvas = canvas;
    this.colours = colours; // a select: black on white, or the other way round
    this.changed = changed;
    this.pen = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.at = null));
    colours.addEventListener("change", () => this.clear());
    this.clear();
  }

  clear() {
    const isDark = this.colours.value === "dark";
    Object.assign(this.pen, { fillStyle: isDark ? "#000" : "#fff", strokeStyle: isDark ? "#fff" : "#000", lineWidth: INK, lineCap: "round", lineJoin: "round" });
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = true;
    this.at = null;
    this.changed();
  }

  place(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [((event.clientX - left) * this.canvas.width) / width, ((event.clientY - top) * this.canvas.height) / height];
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.at = this.place(event);
    this.line([this.at[0] + 0.1, this.at[1]]); // a dot; a line without a length leaves no ink
    this.isEmpty = false;
    this.changed();
  }

  go(event) {
    if (!this.at) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) this.line(this.place(each));
    this.line(this.place(event));
  }

  line(to) {
    this.pen.beginPath();
    this.pen.moveTo(...this.at);
    this.pen.lineTo(...to);
    this.pen.stroke();
    this.at = to;
  }

  // At once: toBlob waits until the page has nothing else to do, which on a busy machine takes seconds.
  file() {
    const text = this.canvas.toDataURL("image/png").split(",")[1];
    return new File([Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0))], "drawing.png", { type: "image/png" });
  }
}
