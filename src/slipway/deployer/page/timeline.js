// Deployments, newest first: each has a card that changes in place, so that the focus and what is open stay.

import { find, make, say } from "./dom.js";
import { badge, seconds, shape, when, withdraw } from "./parts.js";

const ACTIONS = { deploy: "deploy", rollback: "roll back to", follow: "follow @champion to" };
const cards = new Map();
let newest = null; // when the newest deployment that was shown began

const ended = (step) => step.state !== "running" && step.ended !== null;
const span = (step) => (ended(step) ? step.ended - step.started : null);
const lasted = (from, to) => (to === null ? make("span", { "data-since": from }, seconds(Date.now() / 1000 - from)) : seconds(to - from));

class Card {
  constructor(id, cancel) {
    this.element = make("li", { class: "card deployment" });
    this.title = make("h3", { tabindex: "-1" });
    this.state = make("span");
    this.about = make("p", { class: "hint" });
    this.reason = make("p", { class: "reason" });
    this.bar = make("div", { class: "bar", "aria-hidden": "true" });
    this.steps = make("ol", { class: "steps", "aria-label": "Steps" });
    this.cancel = make("button", { type: "button", class: "small" }, "Cancel");
    this.cancel.addEventListener("click", () => cancel(this.shown));
    this.words = make("dl", { class: "words" });
    this.summary = make("summary", {}, "What each step said");
    this.details = make("details", {}, this.summary, this.words);
    const head = make("div", { class: "head" }, make("div", { class: "name" }, this.title, this.state), this.cancel);
    this.element.append(head, this.about, this.reason, this.bar, this.steps, this.details);
    this.picture = `/deployments/${encodeURIComponent(id)}/verdict.png`;
  }

  update(shown) {
    this.shown = shown;
    const { state, steps } = shown;
    this.element.dataset.state = state;
    this.title.textContent = `Version ${shown.version}`;
    this.state.replaceChildren(badge(state, shown.cancel && state === "running" ? "running, is being cancelled" : state));
    const facts = [`${ACTIONS[shown.action] || shown.action} ${shown.model} on ${shown.target}`, `by ${shown.by}`];
    if (shown.attempts > 1) facts.push(`attempt ${shown.attempts}`);
    const took = shown.ended === null ? lasted(shown.created, null) : lasted(shown.created, shown.ended);
    this.about.replaceChildren(`${facts.join(", ")} · `, when(shown.created * 1000), " · ", make("span", { class: "duration" }, took));
    say(this.reason, shown.reason);
    this.bar.replaceChildren(...steps.map(draw));
    this.bar.hidden = !steps.length;
    this.steps.replaceChildren(...steps.map(tell));
    this.steps.hidden = !steps.length;
    const said = steps.filter((step) => step.words);
    this.words.replaceChildren(...said.map((step) => make("div", {}, make("dt", {}, step.name), make("dd", {}, step.words))));
    this.details.hidden = !said.length;
    const open = ["pending", "running"].includes(state) && !shown.cancel && !steps.some((step) => step.name === "alias");
    this.cancel.setAttribute("aria-label", `Cancel the ${shown.action} of version ${shown.version}`);
    if (open) this.cancel.hidden = false;
    else withdraw(this.cancel, this.title);
    const gate = steps.findLast((step) => step.name === "gate" && ended(step));
    if (gate && !this.figure) this.illustrate(gate.words);
  }

  // The picture of a verdict is loaded when the details are opened; one that was not drawn is left out.
  illustrate(verdict) {
    this.summary.textContent = "What each step said, and the verdict as a picture";
    const image = make("img", { src: this.picture, loading: "lazy", alt: `The candidate's metrics beside the champion's. Verdict: ${verdict}` });
    this.figure = make("figure", {}, image);
    image.addEventListener("error", () => {
      this.figure.hidden = true;
      this.summary.textContent = "What each step said";
    });
    this.details.append(this.figure);
  }
}

// A step as a part of the bar, as wide as it took long.
function draw(step) {
  const part = make("span", { class: "part", "data-state": step.state, title: `${step.name}: ${step.state}` }, make("span", {}, step.name));
  if (!ended(step)) part.dataset.since = step.started;
  part.style.flexGrow = span(step) ?? Date.now() / 1000 - step.started;
  return part;
}

const tell = (step) =>
  make("li", { "data-state": step.state }, shape(step.state), make("b", {}, step.name), make("span", { class: "outcome" }, step.state),
    make("span", { class: "number" }, lasted(step.started, ended(step) ? step.ended : null)));

// Show deployments; return in words what has changed since they were shown last.
export function show(deployments, cancel) {
  const list = find("timeline"), news = [];
  const wanted = deployments.map((deployment) => {
    const text = JSON.stringify(deployment), known = cards.get(deployment.id) || new Card(deployment.id, cancel);
    if (known.text !== text) {
      const isNews = known.shown ? known.shown.state !== deployment.state : newest !== null && deployment.created > newest;
      if (isNews) news.push(`Version ${deployment.version}: ${[deployment.state, deployment.reason].filter(Boolean).join(", ")}.`);
      known.update(deployment);
      known.text = text;
    }
    return [deployment.id, known];
  });
  newest = Math.max(newest ?? 0, ...deployments.map((deployment) => deployment.created));
  cards.clear();
  for (const [id, card] of wanted) cards.set(id, card);
  const elements = wanted.map(([, card]) => card.element);
  for (const gone of [...list.children].filter((element) => !elements.includes(element))) gone.remove();
  elements.forEach((element, at) => list.children[at] === element || list.insertBefore(element, list.children[at] || null));
  return news.join(" ");
}

// What runs grows.
setInterval(() => {
  for (const element of document.querySelectorAll("[data-since]")) {
    const all = Date.now() / 1000 - element.dataset.since;
    if (element.classList.contains("part")) element.style.flexGrow = Math.max(0, all);
    else element.textContent = seconds(all);
  }
}, 500);
