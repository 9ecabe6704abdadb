"""The OpenAPI document of one model, made from its description: generated clients and /docs know its columns.

Version 3.0.3, because Swagger UI 4 and many generators read no later one. Source: spec.openapis.org/oas/v3.0.3.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from scoring.pages import schemas
from scoring.pages.schemas import FORMS, MESSAGES, Object

if TYPE_CHECKING:
    from scoring.models.aliases import Json

COMMON = Path(__file__).parent / "openapi.yaml"  # the half that is the same for all models
JSON, CSV, EVENTS = "application/json", "text/csv", "text/event-stream"
PARQUET = "application/vnd.apache.parquet"
FILE: Object = {"type": "string", "format": "binary"}
NOT_IN_CSV = {"binary"}  # it would reach the model as the text that stands there
V2 = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL"}  # all others: BYTES


def build(description: Object) -> Object:
    """Return the OpenAPI document for what `GET /model.json` answers."""
    description = _with_texts(description)
    document: Object = json.loads(_read())
    about = {"title": description["name"], "version": description["version"], "description": _about(description)}
    document["info"] = about
    paths, components = document["paths"], document["components"]
    components["schemas"] = {**schemas.build(description), **components["schemas"]}
    operation = paths["/invocations"]["post"]
    _fill_invocations(operation, description)
    if description["files"]:
        body = operation["requestBody"]
        files_first = {**body, "content": dict(reversed(body["content"].items()))}  # as Swagger UI shows the first
        files = {"operationId": "predict_files", "summary": "Predict, for files", "requestBody": files_first}
        paths["/predict"] = {"post": {**operation, **files}}
    if description["task"] == "agent/v1/responses":
        paths["/responses"] = {"post": {**operation, "operationId": "respond", "summary": "OpenAI's name of it"}}
    for path in paths:
        if path.startswith("/v2/models/"):
            _fill_v2(paths[path], description)
    if description["api_keys"]:
        document["security"] = [{"bearer": []}, {"key": []}]
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
    else:
        for operation in [each for path in paths.values() for each in path.values() if "responses" in each]:
            operation["responses"].pop("401", None)
    return document


@functools.cache
def _read() -> str:
    """Return the half of the document that is the same for all models, as JSON."""
    text, loader = COMMON.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(yaml.load(text, Loader=loader))  # noqa: S506 -- both are safe


def _with_texts(description: Object) -> Object:
    """Return a description with texts for names that are numbers, as JSON's objects and CSV have them."""
    columns = description["columns"]
    if not columns or all(isinstance(column["name"], str) for column in columns):
        return description
    example, named = description["example"], [{**column, "name": str(column["name"])} for column in columns]
    split = example.get("dataframe_split") if isinstance(example, dict) else None
    if isinstance(split, dict) and isinstance(split.get("columns"), list):
        example = {**example, "dataframe_split": {**split, "columns": list(map(str, split["columns"]))}}
    return {**description, "columns": named, "example": example}


def _about(description: Object) -> str:
    run = f", from run {description['run']}" if description["run"] else ""
    measured = "".join(f"\n- {name}: {value}" for name, value in description["metrics"].items())
    return f"Version {description['version']} of the model {description['name']}{run}.\n{measured}".strip()


def _fill_invocations(operation: Object, description: Object) -> None:
    """Add the example in each form, and CSV where a line of it can hold a row."""
    content, columns = operation["requestBody"]["content"], description["columns"] or []
    if description["streams"]:
        operation["responses"]["200"]["content"][EVENTS] = {"schema": {"type": "string"}}
        operation["description"] += " With `stream`, the answer comes in pieces: a line `data: <JSON>` for each."
    if description["files"]:
        form = {"type": "array", "minItems": 1, "items": FILE}
        schema = {"type": "object", "required": ["input"], "properties": {"input": form}}
        content["image/*"] = content["application/octet-stream"] = {"schema": FILE}
        content["multipart/form-data"] = {"schema": schema}
        operation["description"] += (
            " A file is a row: the form's field `input` has one or several, another body is one."
        )
    if description["task"] in MESSAGES:
        content.pop(PARQUET)
        content[JSON]["example"] = description["example"]
        return
    examples = _examples(description)
    if examples:
        content[JSON]["examples"] = {form: {"value": {form: value}} for form, value in examples.items()}
    if not any(column["required"] and column["type"] in NOT_IN_CSV for column in columns):
        content[CSV] = {"schema": {"type": "string"}}
        told = _told(columns, examples.get("dataframe_records"), NOT_IN_CSV)
        if told:
            content[CSV]["example"] = _csv(told)
    if any(column["type"] in NOT_IN_CSV for column in columns):
        operation["description"] += " CSV takes no binary values."


def _fill_v2(path: Object, description: Object) -> None:
    """Name the model and its columns, and add the example as tensors."""
    for parameter in path["parameters"]:
        value = description[parameter["name"]]
        parameter["schema"]["enum"], parameter["example"] = [value], value
    if "post" not in path:
        return
    if columns := description["columns"]:
        path["post"]["description"] += f" Columns: {', '.join(str(column['name']) for column in columns)}."
    if tensors := _tensors(description):
        path["post"]["requestBody"]["content"][JSON]["example"] = {"inputs": tensors}


def _examples(description: Object) -> Object:
    """Return the example in each form that it can be told in."""
    given = description["example"] if isinstance(description["example"], dict) else {}
    forms = {form: given[form] for form in FORMS if form in given}
    split = forms.get("dataframe_split")
    if not (description["columns"] and isinstance(split, dict) and split.get("columns") and split.get("data")):
        return forms
    records = [dict(zip(split["columns"], row, strict=False)) for row in split["data"]]
    by_column = {name: [record.get(name) for record in records] for name in split["columns"]}
    return {"dataframe_split": split, "dataframe_records": records, "instances": records, "inputs": by_column}


def _told(columns: list[Object], records: list[Object] | None, without: set[str]) -> Object:
    """Return an example's values by column; an optional column without a value in each row is left out.

    Empty when one is wanting.
    """
    told: Object = {}
    for column in columns if records else []:
        values = [record.get(column["name"]) for record in records or []]
        if column["type"] not in without and None not in values:
            told[column["name"]] = values
        elif column["required"]:
            return {}
    return told


def _tensors(description: Object) -> list[Object]:
    """Return the example as the tensors of a v2 request: one a column."""
    columns = description["columns"] or []
    told = _told(columns, _examples(description).get("dataframe_records"), {"binary"})
    return [
        {
            "name": each["name"],
            "shape": [len(told[each["name"]])],
            "datatype": V2.get(each["type"], "BYTES"),
            "data": told[each["name"]],
        }
        for each in columns
        if each["name"] in told
    ]


def _csv(told: Object) -> str:
    def cell(value: Json) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text

    return "".join(",".join(map(cell, row)) + "\n" for row in [list(told), *zip(*told.values(), strict=True)])
