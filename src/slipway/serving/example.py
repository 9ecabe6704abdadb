"""A model's input example: a request to /invocations in the form that MLflow wrote it, and what can be made of it.

`inputs` are those of the model's signature: columns, tensors or nested types, as MLflow writes them. Pure.
"""

from __future__ import annotations

import copy
from typing import Any

Json = Any  # a JSON document, or a part of one, as Python objects
Request = dict[str, Any]
Inputs = list[dict[str, Any]]
SPLIT = "dataframe_split"
FORMS = (SPLIT, "dataframe_records", "inputs", "instances")
NUMBERS = {"double", "float", "long", "integer"}
WORD, LIST = "a word", ["a", "list"]
WRONG: dict[str, Json] = {  # by type, what is not of that type
    **dict.fromkeys([*NUMBERS, "boolean", "datetime", "array"], WORD),
    **dict.fromkeys(["string", "binary", "object", "map"], LIST),
}
MADE_UP = 2  # rows


def cut(request: Request, count: int) -> Request:
    """Return the request with the first `count` rows; a body without rows, such as a chat's, as it is."""
    form = _form(request)
    data: Json = request.get(form)
    if form == SPLIT and isinstance(data, dict):
        return {**request, form: {name: each if name == "columns" else each[:count] for name, each in data.items()}}
    if isinstance(data, dict):
        return {
            **request,
            form: {name: each[:count] if isinstance(each, list) else each for name, each in data.items()},
        }
    return {**request, form: data[:count]} if isinstance(data, list) else request


def count_rows(request: Request) -> int | None:
    """Return how many rows a table has; None for a request of another form, whose answers may be of any length."""
    if "dataframe_split" in request:
        return len(request["dataframe_split"]["data"])
    return len(request["dataframe_records"]) if "dataframe_records" in request else None


def make_incomplete(request: Request, inputs: Inputs) -> tuple[str, Request] | None:
    """Return what is missing (a column or input that the signature requires) and a request without it.

    None where nothing can be missing: the signature requires nothing by name, or there is none.
    """
    form, name = _form(request), _required(inputs)
    data: Json = copy.deepcopy(request.get(form))
    if not data or not inputs:
        return None
    if form == SPLIT:
        kept = _drop_column(data, name)
    elif name is not None:
        rows = [data] if isinstance(data, dict) else data
        is_there = all(isinstance(row, dict) and row.pop(name, None) is not None for row in rows)
        kept = data if is_there else None
    else:
        kept = [row[1:] for row in data] if _is_wide(inputs) and isinstance(data, list) else None
    return None if kept is None else (name or "the first value of each row", {**request, form: kept})


def make_wrong(request: Request, inputs: Inputs) -> Request | None:
    """Return a request whose first row has values of types that the signature excludes; None where it excludes none."""
    form = _form(request)
    data: Json = copy.deepcopy(request.get(form))
    wrong = {str(spec.get("name", "")): WRONG.get(spec["type"]) for spec in inputs if "tensor-spec" not in spec}
    if not form or not inputs or not data:
        return None
    if not wrong:  # tensors
        kinds = {spec["tensor-spec"]["dtype"] for spec in inputs}
        return (
            {**request, form: _spoil(data)}
            if all(kind.startswith(("int", "uint", "float")) for kind in kinds)
            else None
        )
    if not any(wrong.values()):
        return None
    if form == SPLIT and data["data"]:
        row, names = data["data"][0], _columns(data) if "" not in wrong else [""] * len(data["data"][0])
        data["data"][0] = [wrong.get(str(name)) or value for name, value in zip(names, row, strict=False)]
    elif isinstance(data, list) and "" in wrong:
        data[0] = wrong[""] if wrong[""] != LIST or isinstance(data[0], str) else WORD
    elif isinstance(data, list) and isinstance(data[0], dict):
        data[0] = {name: wrong.get(name) or value for name, value in data[0].items()}
    elif isinstance(data, dict):
        data = {
            name: [wrong.get(name), *value[1:]] if isinstance(value, list) else wrong.get(name)
            for name, value in data.items()
        }
    else:
        return None
    return {**request, form: data}


def list_lines(request: Request) -> tuple[list[str], list[list[Json]]]:
    """Return headings, and a line for each row, to show to people."""
    form = _form(request)
    data: Json = request[form] if form else [request]
    if form == SPLIT:
        return [str(name) for name in _columns(data)], data["data"]
    if isinstance(data, dict):
        total = max((len(value) for value in data.values() if isinstance(value, list)), default=1)
        return list(data), [
            [(value[at] if at < len(value) else "") if isinstance(value, list) else value for value in data.values()]
            for at in range(total)
        ]
    rows = data if isinstance(data, list) else [data]
    if rows and all(isinstance(row, dict) for row in rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        return names, [[row.get(name, "") for name in names] for row in rows]
    lines = [row if isinstance(row, list) else [row] for row in rows]
    return [str(at) for at in range(max(map(len, lines), default=0))], lines


def make_up(inputs: Inputs) -> Request | None:
    """Return a request of made-up rows with the signature's types; None where an input has none."""
    try:
        if inputs and all("tensor-spec" in spec for spec in inputs):
            tensors = {spec.get("name", ""): _fill(spec["tensor-spec"]) for spec in inputs}
            return {"inputs": tensors.get("", tensors)}
        rows = [[_value(spec, at) for spec in inputs] for at in range(MADE_UP)]
    except KeyError:
        return None
    if not inputs:
        return None
    if all("name" in spec for spec in inputs):
        return {SPLIT: {"columns": [spec["name"] for spec in inputs], "data": rows}}
    return {"inputs": [row[0] for row in rows]} if len(inputs) == 1 else {SPLIT: {"data": rows}}


def read_lines(heading: list[str], lines: list[list[str]], inputs: Inputs) -> Request:
    """Return the rows of a CSV file as a request, of the signature's types.

    Raises ValueError for a value that is not of its column's type.
    """
    kinds = {str(spec.get("name")): spec.get("type", "") for spec in inputs}
    rows = [
        [_parse(text, kinds.get(name, "double")) for name, text in zip(heading, line, strict=True)] for line in lines
    ]
    return {SPLIT: {"columns": heading, "data": rows}}


def _form(request: Request) -> str:
    return next((form for form in FORMS if form in request), "")


def _columns(split: Json) -> list[Json]:
    """Return the names of a table's columns; MLflow leaves out those that are pandas's own numbers."""
    return list(split.get("columns") or range(len(split["data"][0]) if split["data"] else 0))


def _drop_column(split: Json, name: str | None) -> Json:
    """Return a table without a column, or None where it has none of that name."""
    columns = _columns(split)
    at = next((at for at, each in enumerate(columns) if str(each) == name), None)
    if at is None:
        return None
    rows = [row[:at] + row[at + 1 :] for row in split["data"]]
    return {**split, "columns": columns[:at] + columns[at + 1 :], "data": rows}


def _required(inputs: Inputs) -> str | None:
    """Return the first column, input or property that must be there."""
    specs: list[tuple[Json, dict[str, Any]]] = [(spec.get("name"), spec) for spec in inputs]
    if len(inputs) == 1 and "name" not in inputs[0] and inputs[0].get("type") == "object":
        specs = list(inputs[0]["properties"].items())
    return next((str(name) for name, spec in specs if name is not None and spec.get("required", True)), None)


def _is_wide(inputs: Inputs) -> bool:
    """Whether the only input is a tensor whose rows have a fixed number of values, more than one."""
    shape = inputs[0].get("tensor-spec", {}).get("shape", []) if len(inputs) == 1 else []
    return len(shape) > 1 and shape[1] > 1


def _spoil(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _spoil(each) for name, each in value.items()}
    return [_spoil(value[0]), *value[1:]] if isinstance(value, list) and value else WORD


def _fill(tensor: dict[str, Any]) -> Json:
    """Return a tensor of a shape whose open dimensions are `MADE_UP` rows, and 1."""
    kind, shape = tensor["dtype"].rstrip("0123456789"), tensor["shape"]
    value: Json = {"float": 0.5, "int": 1, "uint": 1, "bool": True, "str": "a"}[kind]
    for at, size in reversed(list(enumerate(shape))):
        value = [copy.deepcopy(value) for _ in range(size if size > 0 else 1 if at else MADE_UP)]
    return value


def _value(spec: dict[str, Any], at: int) -> Json:
    """Return a value of a type. Raises KeyError for a type that does not say what it holds."""
    kind = spec["type"]
    if kind == "array":
        return [_value(spec["items"], at)]
    if kind == "object":
        return {name: _value(each, at) for name, each in spec["properties"].items()}
    if kind == "map":
        return {"a": _value(spec["values"], at)}
    plain = {"boolean": at % 2 == 0, "string": "a", "datetime": "2024-01-01T00:00:00", "binary": "YQ=="}
    return ({"double": at + 0.5, "float": at + 0.5, "long": at + 1, "integer": at + 1} | plain)[kind]


def _parse(text: str, kind: str) -> Json:
    if kind in {"string", "datetime", "binary"}:
        return text
    if kind == "boolean":
        return text.lower() in {"true", "1", "1.0"}
    return int(float(text)) if kind in {"long", "integer"} else float(text)
