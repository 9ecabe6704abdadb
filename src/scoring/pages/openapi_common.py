"""What the OpenAPI documents of all models have in common.

Errors, health, the model's own description, the v2 protocol.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
JSON, BINARY = "application/json", "application/octet-stream"
DATATYPES = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
TEXT: Object = {"type": "string"}
SIZE: Object = {"type": "integer", "format": "int64", "minimum": 0}
ERRORS = {
    400: ("BadRequest", "BAD_REQUEST", "The input is not what the model takes; the message says what is wrong."),
    401: ("NoKey", "UNAUTHENTICATED", "The API key is missing or wrong."),
    403: ("WrongHost", "PERMISSION_DENIED", "The server does not answer to the name in the Host header."),
    404: ("NotFound", "NOT_FOUND", "There is no such model here."),
    408: ("BodyTooSlow", "REQUEST_TIMEOUT", "The body did not arrive in time."),
    413: ("TooLarge", "REQUEST_TOO_LARGE", "The body is too large, or has too many rows."),
    415: ("WrongContentType", "UNSUPPORTED_MEDIA_TYPE", "The content type is missing, or is none of those listed."),
    500: ("Failed", "INTERNAL_ERROR", "The model failed, or the server did."),
    503: ("Busy", "TEMPORARILY_UNAVAILABLE", "The server has too much to do; Retry-After says when to ask again."),
    504: ("TooSlow", "DEADLINE_EXCEEDED", "The answer took longer than a request may."),
}
HEADERS = {
    "X-Model-Name": "The model that answered",
    "X-Model-Version": "Its version",
    "X-Request-Id": "The caller's X-Request-Id, or a new one; it stands in the server's log",
}


def ref(name: str, kind: str = "schemas") -> Object:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def closed(**properties: Object) -> Object:
    """Return the schema of an object in which every property is always there."""
    return {"type": "object", "required": list(properties), "properties": properties}


def answer(words: str, content: Object) -> Object:
    """Return a response that names the model which gave it."""
    return {"description": words, "headers": {name: ref(name, "headers") for name in HEADERS}, "content": content}


def refused(*statuses: int, v2: bool = False) -> Object:
    """Return references to the answers for errors."""
    return {
        str(status): ref(("Inference" if v2 else "") + ERRORS[status][0], "responses")
        for status in sorted({403, *statuses})
    }


def responses() -> Object:
    """Return all answers for errors, in the shape of each protocol."""
    found: Object = {}
    for name, code, words in ERRORS.values():
        for prefix, schema, example in (
            ("", "Error", {"error_code": code, "message": words}),
            ("Inference", "InferenceError", {"error": words}),
        ):
            found[prefix + name] = answer(words, {JSON: {"schema": ref(schema), "example": example}})
    for prefix in ("", "Inference"):
        found[f"{prefix}Busy"]["headers"] = {
            **found["Busy"]["headers"],
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}},
        }
        found[f"{prefix}NoKey"]["headers"] = {**found["NoKey"]["headers"], "WWW-Authenticate": {"schema": TEXT}}
    return found


def headers() -> Object:
    """Return the headers of all answers."""
    return {name: {"description": words, "schema": TEXT} for name, words in HEADERS.items()}


def schemas() -> Object:
    """Return the schemas that no model changes."""
    parameters = {"type": "object", "properties": {"binary_data_size": SIZE}}
    tensor = {
        "name": TEXT,
        "shape": {"type": "array", "items": SIZE},
        "datatype": {"type": "string", "enum": DATATYPES},
    }
    several = {"type": "array", "items": {}}
    data = {
        "data": {**several, "description": "Row by row, flat or nested; with binary data it is absent"},
        "parameters": parameters,
    }
    asked = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": TEXT,
            "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
        },
    }
    described = {
        "name": TEXT,
        "datatype": TEXT,
        "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
    }
    return {
        "Error": closed(error_code={"type": "string", "enum": [code for _, code, _ in ERRORS.values()]}, message=TEXT),
        "InferenceError": closed(error=TEXT),
        "Tensor": {"type": "object", "required": list(tensor), "properties": {**tensor, **data}},
        "InferenceRequest": {
            "type": "object",
            "required": ["inputs"],
            "properties": {
                "id": TEXT,
                "inputs": {"type": "array", "minItems": 1, "items": ref("Tensor")},
                "outputs": {"type": "array", "items": asked},
                "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
            },
        },
        "InferenceResponse": {
            "type": "object",
            "required": ["model_name", "model_version", "outputs"],
            "properties": {
                "model_name": TEXT, "model_version": TEXT, "id": TEXT,
                "outputs": {"type": "array", "items": ref("Tensor")},
            },
        },
        "Described": closed(**described),
        "ModelMetadata": closed(
            name=TEXT, versions={"type": "array", "items": TEXT}, platform=TEXT,
            inputs={"type": "array", "items": ref("Described")}, outputs={"type": "array", "items": ref("Described")},
        ),
        "ServerMetadata": closed(name=TEXT, version=TEXT, extensions={"type": "array", "items": TEXT}),
        "Live": closed(live={"type": "boolean"}),
        "Ready": closed(
            ready={"type": "boolean"}, model=TEXT, version=TEXT, reload_error={"type": "string", "nullable": True}
        ),
        "ModelReady": closed(name=TEXT, ready={"type": "boolean"}),
    }  # fmt: skip


def health() -> Object:
    """Return the paths that tell how the server is."""
    line: Object = {JSON: {}}  # MLflow calls it JSON, and it is none
    return {
        "/ping": _get("ping", "MLflow's health check: an empty line", line, "health"),
        "/health": _get("health", "The same as /ping", line, "health"),
        "/version": _get("version", "MLflow's version", line, "health"),
        "/livez": _get("live", "Whether the process lives", {JSON: {"schema": ref("Live")}}, "health"),
        "/readyz": _ready("ready", "Ready", "health"),
        "/metrics": _get("metrics", "Figures for Prometheus", {"text/plain": {"schema": TEXT}}, "health", refused(401)),
    }


def model() -> Object:
    """Return the paths that tell what is served."""
    anything = {JSON: {"schema": {"type": "object"}}}
    return {
        "/model.json": _get("describe", "What the model is, takes and gives", anything, "model", refused(401)),
        "/openapi.json": _get("openapi", "This document", anything, "model", refused(401)),
    }


def v2(description: Object, example: list[Object]) -> Object:
    """Return the paths of the Open Inference Protocol; the example is tensors, or none."""
    tag, paths = "inference v2", {}
    paths["/v2"] = _get(
        "server", "What server this is", {JSON: {"schema": ref("ServerMetadata")}}, tag, refused(401, v2=True)
    )
    paths["/v2/health/live"] = _get("server_live", "Whether the process lives", {JSON: {"schema": ref("Live")}}, tag)
    paths["/v2/health/ready"] = _ready("server_ready", "Ready", tag)
    given = [_path("name", description["name"]), _path("version", description["version"])]
    for path, suffix, parameters in (
        ("/v2/models/{name}", "", given[:1]),
        ("/v2/models/{name}/versions/{version}", "_version", given),
    ):
        errors = refused(401, 404, v2=True)
        about = _get(
            f"model{suffix}", "What the model takes and gives", {JSON: {"schema": ref("ModelMetadata")}}, tag, errors
        )
        paths[path] = {"parameters": parameters, **about}
        paths[f"{path}/ready"] = {"parameters": parameters, **_ready(f"model_ready{suffix}", "ModelReady", tag, errors)}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": _infer(f"infer{suffix}", description, example)}
    return paths


def _get(name: str, words: str, content: Object, tag: str, errors: Object | None = None) -> Object:
    """Return a path with one GET; it needs no key when no errors are listed, as it tells nothing of the model."""
    operation = {
        "tags": [tag],
        "operationId": name,
        "summary": words,
        "responses": {"200": answer(words, content), **(errors or {})},
    }
    return {"get": operation if errors else {**operation, "security": []}}


def _ready(name: str, schema: str, tag: str, errors: Object | None = None) -> Object:
    content = {JSON: {"schema": ref(schema)}}
    path = _get(name, "Whether requests should be sent here", content, tag, errors)
    path["get"]["responses"]["503"] = answer("Not now.", content)
    return path


def _path(name: str, value: str) -> Object:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [value]},
        "example": value,
    }


def _infer(name: str, description: Object, example: list[Object]) -> Object:
    columns = description["columns"]
    named = f" Columns: {', '.join(str(column['name']) for column in columns)}." if columns else ""
    length = {
        "description": "Bytes of the JSON, when binary data follow it",
        "schema": {"type": "integer", "minimum": 0},
    }
    binary = {"schema": {"type": "string", "format": "binary"}}
    tensors = {"schema": ref("InferenceRequest"), **({"example": {"inputs": example}} if example else {})}
    done = answer("The output tensors.", {JSON: {"schema": ref("InferenceResponse")}, BINARY: binary})
    done["headers"] = {**done["headers"], "Inference-Header-Content-Length": length}
    return {
        "tags": ["inference v2"],
        "operationId": name,
        "summary": "Predict from tensors",
        "description": "One tensor a column, named as it, shape [rows] or [rows, 1]; "
        f"or one tensor [rows, columns] of numbers.{named}",
        "parameters": [{"name": "Inference-Header-Content-Length", "in": "header", **length}],
        "requestBody": {"required": True, "content": {JSON: tensors, BINARY: binary}},
        "responses": {"200": done, **refused(400, 401, 404, 408, 413, 415, 500, 503, 504, v2=True)},
    }
