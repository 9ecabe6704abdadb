// The deployer's API.

const REFRESH = 2000; // ms between two looks, while somebody sees the page
const PATIENCE = 30_000; // ms for an answer

// Ask, and return what is answered; an error has the server's own words.
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Error("The deployer does not answer.");
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok || !told) throw new Error(told?.message || `The deployer answers ${answer.status}.`);
  return told;
}

// Ask for what may change a thing, with the token that allows it.
export function change(method, path, token, body) {
  const headers = token ? { Authorization: `Bearer ${token.replace(/[^\x20-\x7e]/g, "?")}` } : {}; // a header holds no other character
  if (!body) return ask(path, { method, headers });
  return ask(path, { method, headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// Look at a path now and again, and draw each answer; return a function that looks at once.
export function follow(path, draw, trouble, refresh = REFRESH) {
  let timer, latest = 0;
  async function look() {
    clearTimeout(timer);
    if (document.hidden) return;
    const mine = ++latest;
    let found = null, words = "";
    try {
      found = await ask(path());
    } catch (error) {
      words = error.message;
    }
    if (mine !== latest) return;
    timer = setTimeout(look, refresh);
    trouble(words);
    if (found) draw(found);
  }
  document.addEventListener("visibilitychange", look);
  look();
  return look;
}
