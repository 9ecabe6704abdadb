"""The schemas of one model's requests and answers, in its OpenAPI document.

They promise what is right to send; the server takes more, as MLflow does (docs/api.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Object = dict[str, Any]
CHATS = ("agent/v1/chat", "agent/v2/chat", "llm/v1/chat")
MESSAGES = {"agent/v1/responses": "input", **dict.fromkeys(CHATS, "messages")}  # by task, what its body holds
FORMS = {"dataframe_split": "Split", "dataframe_records": "Records", "instances": "Instances", "inputs": "Inputs"}
DATE = (
    r"^(17|18|19|20|21)\d{2}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)?$"
)
TYPES: dict[str, Object] = {  # MLflow's types of a column
    "double": {"type": "number", "format": "double", "minimum": -1.797e308, "maximum": 1.797e308},
    "float": {"type": "number", "format": "float", "minimum": -3.4028e38, "maximum": 3.4028e38},
    "long": {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    "integer": {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "datetime": {"type": "string", "pattern": DATE, "description": "ISO 8601 without a time zone: 2024-01-31T12:00:00"},
    "binary": {"type": "string", "format": "byte"},
}
NULLABLE = {"double", "float", "string", "datetime"}  # types with a value for what is not there


def build(description: Object) -> Object:
    """Return the schemas by name: a request in each form, and its answer."""
    if key := MESSAGES.get(description["task"]):
        held = {key: {}, **({"stream": {"type": "boolean"}} if description["streams"] else {})}
        message = {"type": "object", "required": [key], "properties": held, "example": description["example"]}
        return {"Invocation": message, "Predictions": {}}
    columns, params = description["columns"], _params(description)
    shapes = _shapes(columns) if columns else {form: {} for form in FORMS}
    row = {"Row": _row(columns, _value)} if columns else {}
    forms = {
        name: {"type": "object", "required": [form], "properties": {form: shapes[form], **params}}
        for form, name in FORMS.items()
    }
    return {
        **row,
        **forms,
        "Invocation": {"oneOf": [_ref(name) for name in forms]},
        "Predictions": {
            "type": "object",
            "required": ["predictions"],
            "properties": {"predictions": _predictions(description)},
        },
    }


def _shapes(columns: list[Object]) -> Object:
    """Return the schemas of the four forms of a JSON body."""
    names, needed = [column["name"] for column in columns], sum(column["required"] for column in columns)
    split = {
        "type": "object",
        "required": ["columns", "data"],
        "additionalProperties": False,
        "properties": {
            "columns": {
                "type": "array", "items": {"type": "string"}, "minItems": needed, "uniqueItems": True, "example": names,
                "description": "The names, in any order; others may be among them. "
                f"The model's are {', '.join(names)}.",
            },
            "data": {
                "type": "array", "minItems": 1, "description": "Rows: one value per column, in the order of `columns`.",
                "items": {"type": "array", "minItems": needed, "items": {}},
            },
            "index": {"type": "array", "items": {}},
        },
    }  # fmt: skip
    rows = {"type": "array", "minItems": 1, "items": _ref("Row")}
    by_column = _row(columns, lambda column: {"type": "array", "minItems": 1, "items": _value(column)})
    return {"dataframe_split": split, "dataframe_records": rows, "instances": rows, "inputs": by_column}


def _row(columns: list[Object], schema: Callable[[Object], Object]) -> Object:
    required = [column["name"] for column in columns if column["required"]]
    row = {
        "type": "object",
        "properties": {column["name"]: schema(column) for column in columns},
        "additionalProperties": True,
    }
    return {**row, "required": required} if required else row


def _value(column: Object) -> Object:
    kind = TYPES[column["type"]]
    return {**kind, "nullable": True} if not column["required"] and column["type"] in NULLABLE else kind


def _params(description: Object) -> Object:
    """Return the property `params`, where there are any."""
    properties: Object = {}
    for param in description["params"]:
        kind = TYPES.get(param["type"], {})
        schema = {"type": "array", "items": kind} if param.get("shape") else kind
        properties[param["name"]] = (
            {**schema, "default": param["default"]} if param.get("default") is not None else schema
        )
    if not properties and len(description["methods"]) > 1:
        properties["method"] = {"type": "string", "enum": description["methods"]}
    return {"params": {"type": "object", "properties": properties}} if properties else {}


def _predictions(description: Object) -> Object:
    number = {"type": "number", "nullable": True}
    if description["output"] == "number":
        deeper = {"type": "array", "items": {}}  # a row may be an array of any depth
        return {"type": "array", "items": {"anyOf": [number, {"type": "array", "items": {"anyOf": [number, deeper]}}]}}
    if description["output"] == "text":
        return {"type": "array", "items": {"type": "string", "nullable": True}}
    if description["output"] != "class":
        return {}
    classes = description["classes"] or []
    kinds = {bool: "boolean", int: "integer", str: "string"}
    found = {kinds.get(type(each)) for each in classes}
    label = {"type": found.pop()} if len(found) == 1 and None not in found else {}
    if len(description["methods"]) == 1 or not label:
        return {"type": "array", "items": label}
    shares = {"type": "array", "items": number, "description": f"One number per class: {', '.join(map(str, classes))}"}
    scores = [number] if "decision_function" in description["methods"] else []  # of two classes: one number a row
    return {"type": "array", "items": {"anyOf": [label, shares, *scores]}}


def _ref(name: str) -> Object:
    return {"$ref": f"#/components/schemas/{name}"}
