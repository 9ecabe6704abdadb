// An answer that comes in pieces: server-sent events, as MLflow's agents send them.

import { make } from "./dom.js";

const END = "[DONE]";

// Read a response's events, and give each, as JSON, to `tell`.
export async function readEvents(response, tell) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const data = text.slice(0, end).replace(/^data: /, "");
      text = text.slice(end + 2);
      if (data !== END) tell(JSON.parse(data));
    }
  }
}

// What an event adds to the text of the answer: ResponsesAgent's, ChatModel's and ChatAgent's, or a bare text.
export function textOf(event) {
  if (typeof event === "string") return event;
  if (event?.type) return event.type === "response.output_text.delta" ? event.delta : "";
  const delta = event?.choices?.[0]?.delta ?? event?.delta;
  return typeof delta?.content === "string" ? delta.content : "";
}

// The answer as it comes: its text, and below it the events.
export class Told {
  constructor(element) {
    this.count = 0;
    this.text = make("p", { class: "told", "aria-live": "polite" });
    this.events = make("pre", { tabindex: "0", role: "region", "aria-label": "Events as JSON" });
    element.replaceChildren(this.text, this.events);
  }

  add(event) {
    this.count += 1;
    this.text.append(textOf(event));
    this.events.append(`${JSON.stringify(event)}\n`);
    this.events.scrollTop = this.events.scrollHeight;
  }
}
