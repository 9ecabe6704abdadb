// Swagger UI, on the document of the present model. The key, where one is needed, is the try-it page's.

import { carryKey, key, openapi } from "./api.js";
import { find } from "./dom.js";

async function start() {
  try {
    const spec = await openapi();
    find("key-form").hidden = true;
    find("openapi").hidden = false;
    find("failed").textContent = "";
    document.title = `${spec.info.title} ${spec.info.version}: API docs`;
    window.SwaggerUIBundle({ spec, dom_id: "#docs", deepLinking: true, defaultModelsExpandDepth: 0, validatorUrl: null, requestInterceptor: authorize });
  } catch (error) {
    find("key-form").hidden = error.status !== 401;
    find("openapi").hidden = error.status === 401;
    find("failed").textContent = error.status === 401 && !key.get() ? "" : error.message;
    if (error.status === 401) find("key").focus();
  }
}

function authorize(request) {
  if (key.get() && !request.headers.Authorization) request.headers.Authorization = `Bearer ${key.get()}`;
  return request;
}

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(find("key").value.trim());
  start();
});
carryKey(find("openapi"));

start();
