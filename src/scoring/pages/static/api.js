// Calls of this server's API. The key, where one is needed, is kept for this tab only.

import { FIELD } from "./files.js";
import { save } from "./output.js";
import { readEvents } from "./stream.js";

const KEY = "slipway-api-key";

export const key = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

const WORDS = {
  0: "The server does not answer. Is it still running?",
  401: "The API key is missing or wrong.",
  413: "That is more than the server takes in one request.",
  503: "The server is busy. Try again in a moment.",
  504: "The model took too long to answer.",
};

// Raised for every answer that is no prediction: its status, words for people, the server's own words, and the model that it serves.
export class Refused extends Error {
  constructor(status, said, by) {
    super(said ? `${WORDS[status] ? `${WORDS[status]} ` : ""}The server says: ${said}.` : WORDS[status] || `The server answers with status ${status}.`);
    this.status = status;
    this.said = said;
    this.by = by;
  }
}

// Ask the server: the value of its answer, and which model gave it. Events go to `tell` as they come.
async function ask(path, options = {}, tell = null) {
  const headers = { ...options.headers };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch {
    throw new Refused(0, "");
  }
  const name = response.headers.get("X-Model-Name");
  const by = name === null ? null : `${name} ${response.headers.get("X-Model-Version")}`;
  if (tell && response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
    try {
      await readEvents(response, tell);
    } catch {
      throw new Refused(0, "", by);
    }
    return { value: null, by };
  }
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(response.status, "");
  }
  if (!response.ok) throw new Refused(response.status, value.message || value.error || "", by);
  return { value, by };
}

export const model = () => ask("model.json");

export function predict(request, tell) {
  if (!request.files) return ask("invocations", { method: "POST", headers: { "Content-Type": request.type }, body: request.body }, tell);
  const form = new FormData();
  for (const file of request.files) form.append(FIELD, file, file.name);
  return ask("predict", { method: "POST", body: form });
}

export const openapi = async () => (await ask("openapi.json")).value;

// A link sends no key: where one is used, the document is fetched with it and saved.
export function carryKey(link) {
  link.addEventListener("click", async (event) => {
    if (!key.get()) return;
    event.preventDefault();
    try {
      save("openapi.json", JSON.stringify(await openapi(), null, 2), "application/json");
    } catch {
      location.assign(link.href); // the server's own words
    }
  });
}
