"""The rows of a model's input example.

A table (columns, data), or what a tensor or a dictionary goes in as ({"inputs": …}). Pure.
"""

from __future__ import annotations

import copy
from typing import Any

Json = Any  # a JSON document, or a part of one, as Python objects
Rows = dict[str, Any]
KEYS = ("inputs", "instances")


def read(given: dict[str, Any] | None) -> Rows | None:
    """Return the rows of a request that MLflow wrote beside a model, or None where it holds none."""
    if not given:
        return None
    if "dataframe_split" in given:
        data = given["dataframe_split"]["data"]
        counted = list(range(len(data[0]) if data else 0))  # MLflow leaves out names that are pandas's own numbers
        return {"columns": given["dataframe_split"].get("columns", counted), "data": data}
    return dict(given) if any(key in given for key in KEYS) else None


def make_request(rows: Rows, count: int | None = None) -> dict[str, Any]:
    """Return the body that sends the rows, or the first `count` of them."""
    if "data" in rows:
        return {"dataframe_split": {**rows, "data": rows["data"][:count]}}
    key = _key(rows)
    inputs = rows[key]
    if isinstance(inputs, dict):
        cut: Any = {name: value[:count] if isinstance(value, list) else value for name, value in inputs.items()}
    else:
        cut = inputs[:count] if isinstance(inputs, list) else inputs
    return {**rows, key: cut}


def count(rows: Rows) -> int:
    """Return how many rows there are; 1 for what is no list."""
    values = rows["data"] if "data" in rows else rows[_key(rows)]
    if isinstance(values, dict):
        values = next((value for value in values.values() if isinstance(value, list)), None)
    return len(values) if isinstance(values, list) else 1


def make_incomplete(rows: Rows) -> tuple[str, dict[str, Any]] | None:
    """Return what is missing (the first column, or input) and a request without it; None if all is optional."""
    if "data" in rows:
        if not rows["columns"]:
            return None
        shorter = {"columns": rows["columns"][1:], "data": [line[1:] for line in rows["data"]]}
        return str(rows["columns"][0]), make_request(shorter)
    key, request = _key(rows), make_request(rows)
    inputs = request[key]
    if isinstance(inputs, dict) and inputs:
        name = next(iter(inputs))
        return name, {**request, key: {other: value for other, value in inputs.items() if other != name}}
    if isinstance(inputs, list) and inputs and isinstance(inputs[0], list) and len(inputs[0]) > 1:
        return "the first value of each row", {**request, key: [line[1:] for line in inputs]}
    return None


def make_wrong(rows: Rows) -> dict[str, Any]:
    """Return a request with words where numbers belong, or lists where words do, in its first row."""
    if "data" in rows:
        return make_request({**rows, "data": [_spoil(rows["data"][0]), *copy.deepcopy(rows["data"][1:])]})
    key, request = _key(rows), make_request(rows)
    inputs = request[key]
    if isinstance(inputs, dict):
        wrong: Any = {name: _spoil(value) for name, value in inputs.items()}
    else:
        wrong = [_spoil(inputs[0]), *inputs[1:]] if isinstance(inputs, list) and inputs else _spoil(inputs)
    return {**request, key: wrong}


def list_lines(rows: Rows) -> tuple[list[str], list[list[Any]]]:
    """Return headings, and a line for each row, to show to people."""
    if "data" in rows:
        return [str(name) for name in rows["columns"]], rows["data"]
    inputs = rows[_key(rows)]
    if isinstance(inputs, dict):
        names, total = list(inputs), count(rows)
        return names, [
            [value[at] if isinstance(value, list) else value for value in inputs.values()] for at in range(total)
        ]
    lines = [line if isinstance(line, list) else [line] for line in (inputs if isinstance(inputs, list) else [inputs])]
    return [str(at) for at in range(max(map(len, lines), default=0))], lines


def _key(rows: Rows) -> str:
    return next(key for key in KEYS if key in rows)


def _spoil(value: Json) -> Json:
    if isinstance(value, list):
        return [_spoil(each) for each in value]
    return "a word" if isinstance(value, int | float) or value is None else ["a", "list"]
