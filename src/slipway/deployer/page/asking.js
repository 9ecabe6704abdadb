// The dialog that asks for the token before something is changed.

import { find } from "./dom.js";

const dialog = find("asking"), input = find("token"), submit = find("do-it"), problem = find("asking-problem");
let present, known = ""; // the token is kept here and nowhere else, once the server took it

find("token-file").textContent = `.slipway/deployer/${location.port || 80}/token`;
find("close").addEventListener("click", () => dialog.close());

// Ask whether to do something: `act` is given the token, and its error is shown.
export function confirm({ title, words, button, act }) {
  present = act;
  find("asking-title").textContent = title;
  find("asking-words").textContent = words;
  submit.textContent = button;
  submit.disabled = false;
  problem.textContent = "";
  input.value = known;
  dialog.showModal(); // the browser keeps the focus inside, closes it by Escape, and gives the focus back
}

find("asking-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const act = present, token = input.value.trim();
  submit.disabled = true;
  problem.textContent = "";
  try {
    await act(token);
    known = token;
    if (act === present) dialog.close();
  } catch (error) {
    problem.textContent = error.message;
    input.select();
    input.focus();
  }
  submit.disabled = false;
});

dialog.addEventListener("close", () => {
  if (dialog.open) return; // the event comes later than the closing, and may find the dialog open for something else
  input.value = "";
  present = null;
});
