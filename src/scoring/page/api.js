// Calls of this server's API. The key, where one is needed, is kept for this tab only.

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
  503: "The server has too much to do just now. Try again in a moment.",
  504: "The model took too long to answer.",
};

// Raised for every answer that is no prediction: its status, words for people, and the server's own words.
export class Refused extends Error {
  constructor(status, said) {
    super(said ? `${WORDS[status] ? `${WORDS[status]} ` : ""}The server says: ${said}.` : WORDS[status] || `The server answers with status ${status}.`);
    this.status = status;
    this.said = said;
  }
}

export async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch {
    throw new Refused(0, "");
  }
  const text = await response.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refused(response.status, "");
  }
  if (!response.ok) throw new Refused(response.status, value.message || value.error || "");
  return value;
}

export const predict = (request) =>
  call("invocations", { method: "POST", headers: { "Content-Type": request.type }, body: request.body });
