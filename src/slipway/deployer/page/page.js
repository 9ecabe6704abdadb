// The status page: what is champion, what answers, and how it came to be so.

import { change, follow } from "./api.js";
import { confirm } from "./asking.js";
import { find, make, say } from "./dom.js";
import { show as showFigures } from "./figures.js";
import { badge, score, shape, when, withdraw } from "./parts.js";
import { show as showDeployments } from "./timeline.js";

const FEW = 10, MOST = 499;
const MOVES = ["promoted", "rolled back", "put back"]; // what a release did to the alias; "refused" did nothing
const troubles = new Map();
let limit = FEW, all = false, last = "", status;

function complain(about, words) {
  troubles.set(about, words);
  const said = [...new Set(troubles.values())].filter(Boolean).join(" ");
  say(find("trouble"), said && `${said} What stands below may be old.`);
}

function drawStatus(found) {
  if (JSON.stringify(found) === last) return; // what is selected or has the focus stays
  [last, status] = [JSON.stringify(found), found];
  document.title = `${found.model}${found.champion === null ? "" : ` ${found.champion}`} – Slipway deployer`;
  find("model").textContent = found.model;
  find("alias").textContent = `@${found.alias}`;
  complain("registry", found.error === null ? "" : `The tracking server does not answer: ${found.error}.`);
  drawChampion(found);
  drawWayBack(found);
  find("targets").replaceChildren(...Object.entries(found.targets).map(([name, target]) => drawTarget(name, target, found.champion)));
  drawReleases(found.releases);
  find("champion").hidden = false;
}

function drawChampion({ champion, error, releases, metrics, metric }) {
  const none = error === null ? "No champion yet" : "Unknown";
  find("champion-title").textContent = champion === null ? none : `Version ${champion}`;
  const move = releases.find((release) => MOVES.includes(release.action));
  const known = champion !== null && move?.version === champion; // else the alias was moved by hand
  const since = known ? [`${move.action} `, when(move.at), ` by ${move.by}`] : champion === null ? [] : ["set by hand: no release says so"];
  find("since").replaceChildren(...since);
  find("since").hidden = !since.length;
  say(find("verdict"), known ? verdictOf(move) : "");
  const names = Object.keys(metrics).filter((name) => !(name.endsWith("_std") && name.slice(0, -4) in metrics));
  const sorted = [...names.filter((name) => name === metric), ...names.filter((name) => name !== metric)];
  find("metrics").replaceChildren(...sorted.map((name) => make("div", { class: name === metric && "deciding" },
    make("dt", {}, name === metric ? `${name}, the deciding metric` : name),
    make("dd", { title: metrics[name] }, score(metrics[name], metrics[`${name}_std`])))));
  find("metrics").hidden = !sorted.length;
}

const verdictOf = (release) => `${release.verdict}${release.forced ? ` – forced: ${release.why || "no reason given"}` : ""}`;

function drawWayBack({ previous, error }) {
  const button = find("roll-back");
  say(find("no-way-back"), previous !== null ? "" : error === null ? "No version to roll back to" : "No rollback without the tracking server");
  if (previous === null) {
    withdraw(button, find("champion-title"));
  } else {
    button.textContent = `Roll back to version ${previous}`;
    button.hidden = false;
  }
}

function drawTarget(name, { version, url }, champion) {
  const place = url ? [" at ", make("a", { href: url }, url)] : [];
  if (version === null) return make("li", { "data-state": "nothing" }, shape("nothing"), make("span", {}, make("b", {}, name), ": nothing answers", ...place));
  const state = champion === null || version === champion ? "answers" : "another";
  const words = `: version ${version} answers${state === "another" ? `, not the champion, version ${champion}${url ? "," : ""}` : ""}`;
  return make("li", { "data-state": state }, shape(state), make("span", {}, make("b", {}, name), words, ...place));
}

function drawReleases(releases) {
  const cell = (name, attributes, ...children) => make("td", { "data-name": name, ...attributes }, ...children);
  find("history").replaceChildren(...releases.slice(0, all ? undefined : FEW).map((release) => make("tr", {},
    cell("", {}, when(release.at)),
    cell("", {}, badge(release.action)),
    cell("version", { class: "number" }, String(release.version)),
    cell("before", { class: "number" }, release.previous === null ? "none" : String(release.previous)),
    cell("by", {}, release.by),
    cell("", { class: "verdict" }, release.verdict, release.forced ? badge("forced", `forced: ${release.why || "no reason given"}`) : ""))));
  find("releases").hidden = !releases.length;
  say(find("all"), all || releases.length <= FEW ? "" : `Show all ${releases.length} releases`);
}

function drawDeployments({ deployments }) {
  const news = showDeployments(deployments.slice(0, limit), cancel);
  if (news) find("news").textContent = news;
  find("no-deployments").hidden = deployments.length > 0;
  if (deployments.length > limit && limit < MOST) find("older").hidden = false;
  else withdraw(find("older"), find("deployments"));
}

const lookAtStatus = follow(() => "/status", drawStatus, (words) => complain("status", words));
const lookAtDeployments = follow(() => `/deployments?limit=${limit + 1}`, drawDeployments, (words) => complain("deployments", words));
follow(() => "/figures", showFigures, (words) => complain("figures", words), 10_000);

async function act(...request) {
  await change(...request);
  lookAtStatus();
  lookAtDeployments();
}

function cancel({ id, version, action }) {
  confirm({
    title: `Cancel the ${action} of version ${version}?`,
    words: "The running step ends at once; what answers now keeps serving.",
    button: "Cancel the deployment",
    act: (token) => act("DELETE", `/deployments/${encodeURIComponent(id)}`, token),
  });
}

find("roll-back").addEventListener("click", () => {
  const { previous, champion, targets } = status;
  confirm({
    title: `Roll back to version ${previous}?`,
    words: `Version ${previous} is smoke tested, then answers in place of version ${champion}.`,
    button: "Roll back",
    act: (token) => act("POST", "/rollbacks", token, { target: Object.keys(targets)[0], to: previous }), // what was asked is what is done
  });
});

find("older").addEventListener("click", () => {
  limit = Math.min(limit * 5, MOST);
  lookAtDeployments();
});

find("all").addEventListener("click", () => {
  all = true;
  drawReleases(status.releases);
  find("releases-title").focus();
});
