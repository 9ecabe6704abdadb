// The present request as a command and as a program: what they send is what this page sends.

import { FIELD } from "./files.js";

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const url = (path = "invocations") => new URL(path, document.baseURI).href;

export function curl({ type, body, file, files, streams }, hasKey) {
  const lines = files ? [`curl ${quote(url("predict"))}`] : [`curl ${streams ? "-N " : ""}${quote(url())}`, `-H 'Content-Type: ${type}'`];
  if (hasKey) lines.push('-H "Authorization: Bearer $API_KEY"');
  if (files) lines.push(...files.map(({ name }) => `-F ${quote(`${FIELD}=@"${name.replace(/["\\]/g, "\\$&")}"`)}`));
  else lines.push(file ? `--data-binary @${quote(file)}` : `--data-raw ${quote(body)}`);
  return lines.join(" \\\n  ");
}

export function python({ type, body, file, files, streams, isBare }, hasKey) {
  const imports = hasKey ? "import os\n\nimport requests\n" : "import requests\n";
  const isJson = type === "application/json";
  const headers = [
    ...(isJson || files ? [] : [`"Content-Type": ${JSON.stringify(type)}`]),
    ...(hasKey ? [`"Authorization": "Bearer " + os.environ["API_KEY"]`] : []),
  ];
  const opened = files?.map(({ name }) => `("${FIELD}", open(${JSON.stringify(name)}, "rb"))`);
  const data = files ? `files=[${opened.join(", ")}]` : isJson ? `json=${literal(body)}` : file ? `data=open(${JSON.stringify(file)}, "rb")` : `data=${bytes(body)}`;
  const lines = [`    ${JSON.stringify(files ? url("predict") : url())},`, ...`${data},`.split("\n").map((line) => `    ${line}`)];
  if (headers.length) lines.push(`    headers={${headers.join(", ")}},`);
  if (streams) lines.push("    stream=True,");
  const last = streams ? "for line in filter(None, answer.iter_lines()):\n    print(line.decode())" : `print(answer.json()${isBare ? "" : '["predictions"]'})`;
  return `${imports}\nanswer = requests.post(\n${lines.join("\n")}\n    timeout=60,\n)\nanswer.raise_for_status()\n${last}`;
}

// JSON as Python: only three words differ, outside of strings.
function literal(json) {
  const words = { true: "True", false: "False", null: "None" };
  return json.replace(/"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b/g, (found) => words[found] ?? found.replaceAll("\\/", "/"));
}

// Text as the lines of a Python expression of bytes.
function bytes(text) {
  const lines = text.split(/(?<=\n)/).map((line) => `    ${JSON.stringify(line)}`);
  return `(\n${lines.join("\n") || '    ""'}\n).encode()`;
}
