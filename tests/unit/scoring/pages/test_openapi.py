"""The OpenAPI document: valid, and exact about what a model takes and gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from scoring.pages import openapi

if TYPE_CHECKING:
    from tests.aliases import Data, Json

TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime", "binary"]
ROW = {
    "double": 1.5,
    "float": 2.5,
    "long": 3,
    "integer": 4,
    "boolean": True,
    "string": 'a, "b"',
    "datetime": "2024-01-31T12:00:00",
    "binary": "AQI=",
}


def describe(columns: list[dict[str, Any]] | None, **facts: Json) -> dict[str, Any]:
    """Return what GET /model.json answers for a model."""
    return {
        "name": "model", "version": "3", "run": "", "metrics": {"rmse": 53.1}, "methods": ["predict"], "classes": None,
        "columns": columns, "params": [], "example": None, "output": "number", "mlflow_version": "3.17.2",
        "api_keys": False, "task": "", "streams": False, "files": False, **facts,
    }  # fmt: skip


def split(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return rows as an example body."""
    return {"dataframe_split": {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}}


EVERY = [{"name": kind, "type": kind, "required": True} for kind in TYPES] + [
    {"name": f"optional {kind}", "type": kind, "required": False} for kind in TYPES
]
NUMBERS = [{"name": "age", "type": "double", "required": True}, {"name": "sex", "type": "long", "required": True}]
WORDS = [
    {"name": "word", "type": "string", "required": True},
    {"name": "count", "type": "long", "required": False},
    {"name": "when", "type": "datetime", "required": False},
]
PARAMS = [
    {"name": "count", "type": "long", "default": 1, "shape": None},
    {"name": "many", "type": "double", "default": [1.0], "shape": [-1]},
]
CLASSES = {"methods": ["predict", "predict_proba"], "classes": ["high", "low"], "output": "class"}
MESSAGES = [{"role": "user", "content": "Hello!"}]
MODELS = {
    "numbers": describe(NUMBERS, example=split({"age": 59.0, "sex": 2})),
    "text and maybe whole": describe(
        WORDS, example=split({"word": 'a, "b"', "count": None, "when": "2024-01-31"}), output="text"
    ),
    "every type": describe(EVERY, example=split(ROW), params=PARAMS, output="object"),
    "only optional columns": describe([{"name": "a", "type": "double", "required": False}], output="text"),
    "names that are numbers": describe(
        [{"name": at, "type": "double", "required": True} for at in range(2)],
        example=split({0: 1.0, 1: 2.0}),  # type: ignore[dict-item]
    ),
    "no columns": describe(None, example={"inputs": [[1.0, 2.0]]}, output="object"),
    "classifier": describe(NUMBERS, example=split({"age": 59.0, "sex": 2}), **CLASSES),
    "classes that are numbers": describe(NUMBERS, **{**CLASSES, "classes": [0, 1]}),
    "files": describe([{"name": "input", "type": "binary", "required": True}], files=True),
    "an agent": describe(None, task="agent/v1/responses", streams=True, example={"input": MESSAGES}),
    "a chat": describe(None, task="agent/v2/chat", example={"messages": MESSAGES}),
    "with API keys": describe(NUMBERS, api_keys=True, run="1a2b"),
}


def inline(value: Json, document: dict[str, Any]) -> Json:
    """Return a schema with its references replaced by what they name."""
    if isinstance(value, list):
        return [inline(each, document) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return inline(document["components"]["schemas"][value["$ref"].split("/")[-1]], document)
    return {name: inline(each, document) for name, each in value.items()}


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return each operation of a document, with its path."""
    return [
        (path, item[method]) for path, item in document["paths"].items() for method in ("get", "post") if method in item
    ]


def is_valid(model: str, schema: str, body: Json) -> bool:
    """Whether a body is what a schema of the model's document says."""
    document = openapi.build(MODELS[model])
    return bool(OAS30Validator(inline({"$ref": schema}, document)).is_valid(body))


@pytest.mark.parametrize("name", MODELS)
def test_it_is_valid_openapi(name: str) -> None:
    """The document of any model is valid OpenAPI 3.0, and JSON."""
    document = json.loads(json.dumps(openapi.build(MODELS[name]), allow_nan=False))

    OpenAPIV30SpecValidator(document).validate()

    assert document["info"]["title"] == "model"
    assert document["info"]["version"] == "3"


def test_files_are_a_form_or_a_body() -> None:
    """A model that takes files has them in two paths, and JSON with base64 still; others have neither."""
    paths = openapi.build(MODELS["files"])["paths"]
    content = paths["/predict"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]

    assert list(content) == [
        "multipart/form-data", "application/octet-stream", "image/*", "application/vnd.apache.parquet",
        "application/json",
    ]  # fmt: skip
    assert paths["/invocations"]["post"]["requestBody"]["content"] == content
    assert (form["required"], form["properties"]["input"]["items"]["format"]) == (["input"], "binary")
    assert "/predict" not in openapi.build(MODELS["numbers"])["paths"]


@pytest.mark.parametrize(
    ("name", "paths", "answers"),
    [
        ("an agent", {"/invocations", "/responses"}, ["application/json", "text/event-stream"]),
        ("a chat", {"/invocations"}, ["application/json"]),
    ],
)
def test_an_agent_takes_messages(name: str, paths: set[str], answers: list[str]) -> None:
    """It has MLflow's form of a body, and says whether it streams; OpenAI's clients find an agent's path."""
    document, example = openapi.build(MODELS[name]), MODELS[name]["example"]
    found = {path: each for path, each in operations(document) if path in {"/invocations", "/responses", "/predict"}}

    assert set(found) == paths
    for operation in found.values():
        assert list(operation["requestBody"]["content"]) == ["application/json"]
        assert list(operation["responses"]["200"]["content"]) == answers
    assert is_valid(name, "Invocation", example)
    assert not is_valid(name, "Invocation", {"inputs": [1]})


@pytest.mark.parametrize("name", ["numbers", "names that are numbers", "every type", "classifier"])
def test_the_example_comes_in_every_form(name: str) -> None:
    """A model's example stands in all four forms of JSON, each valid by its schema."""
    content = openapi.build(MODELS[name])["paths"]["/invocations"]["post"]["requestBody"]["content"]
    examples = {form: each["value"] for form, each in content["application/json"]["examples"].items()}

    assert list(examples) == ["dataframe_split", "dataframe_records", "instances", "inputs"]
    assert [form for form, body in examples.items() if not is_valid(name, "Invocation", body)] == []


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("numbers", "age,sex\n59.0,2\n"),
        ("names that are numbers", "0,1\n1.0,2.0\n"),
        ("text and maybe whole", 'word,when\n"a, ""b""",2024-01-31\n'),
        ("only optional columns", None),
    ],
)
def test_the_example_comes_as_csv(name: str, example: str | None) -> None:
    """The example as CSV has its dates, and no optional column that is empty: MLflow reads none."""
    content = openapi.build(MODELS[name])["paths"]["/invocations"]["post"]["requestBody"]["content"]

    assert content["text/csv"].get("example") == example


def test_no_csv_is_offered_where_a_binary_value_is_needed() -> None:
    """A model that needs a binary value gets none from CSV, so the document speaks of none."""
    content = openapi.build(MODELS["every type"])["paths"]["/invocations"]["post"]["requestBody"]["content"]

    assert list(content) == ["application/json", "application/vnd.apache.parquet"]


def test_the_example_comes_as_tensors() -> None:
    """The example of /v2/…/infer is a tensor a column with the column's datatype; a model without columns has none."""
    infer = "/v2/models/{name}/infer"
    asked = {
        name: openapi.build(model)["paths"][infer]["post"]["requestBody"]["content"] for name, model in MODELS.items()
    }

    assert asked["numbers"]["application/json"]["example"]["inputs"] == [
        {"name": "age", "shape": [1], "datatype": "FP64", "data": [59.0]},
        {"name": "sex", "shape": [1], "datatype": "INT64", "data": [2]},
    ]
    assert is_valid("numbers", "InferenceRequest", asked["numbers"]["application/json"]["example"])
    assert "example" not in asked["no columns"]["application/json"]


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"dataframe_records": [ROW]}, True),
        ({"dataframe_records": [{**ROW, "other": [1]}]}, True),
        ({"dataframe_records": [ROW], "other": 1}, True),
        ({"dataframe_records": [{**ROW, "optional double": None, "optional string": None}]}, True),
        ({"dataframe_records": [{**ROW, "optional double": "word"}]}, False),
        ({"dataframe_records": [{name: value for name, value in ROW.items() if name != "long"}]}, False),
        ({"dataframe_records": [{**ROW, "double": None}]}, False),
        ({"dataframe_records": [{**ROW, "long": 2.5}]}, False),
        ({"dataframe_records": [{**ROW, "long": 2**63}]}, False),
        ({"dataframe_records": [{**ROW, "integer": 2**31}]}, False),
        ({"dataframe_records": [{**ROW, "float": 1e39}]}, False),
        ({"dataframe_records": [{**ROW, "boolean": "yes"}]}, False),
        ({"dataframe_records": [{**ROW, "datetime": "tomorrow"}]}, False),
        ({"dataframe_records": []}, False),
        ({"inputs": {name: [value] for name, value in ROW.items()}}, True),
        ({"inputs": {name: value for name, value in ROW.items() if name != "long"}}, False),
        ({"dataframe_split": {"data": [list(ROW.values())]}}, False),
        ({"dataframe_split": {**split(ROW)["dataframe_split"], "dtype": "x"}}, False),
        ({"dataframe_records": [ROW], "instances": [ROW]}, False),
        ({"params": {"count": 1}}, False),
        ({"dataframe_records": [ROW], "params": {"count": 1, "many": [1.0, 2.0], "other": None}}, True),
        ({"dataframe_records": [ROW], "params": {"count": "one"}}, False),
        ([ROW], False),
    ],
    ids=[
        "a row", "another column", "another key", "null where optional", "a word where optional", "a column is missing",
        "null where required", "a fraction for a long", "beyond a long", "beyond an integer", "beyond a float",
        "a word for a boolean", "a word for a datetime", "no rows", "by column", "by column, one missing",
        "no columns named", "an unknown key in split", "two forms", "no form", "params", "a wrong param", "a list",
    ],
)  # fmt: skip
def test_a_request_is_valid_when_it_is_right(body: Json, valid: bool) -> None:
    """The schema of requests knows each column's name, type and need; more than the model wants may be sent."""
    assert is_valid("every type", "Invocation", body) is valid


@pytest.mark.parametrize(
    ("model", "predictions", "valid"),
    [
        ("numbers", [1.5, None, 2], True),
        ("numbers", [[1.5, 2.5]], True),
        ("numbers", [[[1.5], [2.5]]], True),
        ("numbers", [["high"]], False),
        ("numbers", ["high"], False),
        ("classifier", ["high", "low"], True),
        ("classifier", [[0.2, 0.8]], True),
        ("classifier", [1], False),
        ("classes that are numbers", [0, 1], True),
        ("only optional columns", ["words"], True),
        ("no columns", {"any": "thing"}, True),
    ],
)
def test_an_answer_is_what_the_model_gives(model: str, predictions: Data, valid: bool) -> None:
    """The schema of answers follows the kind of the model's output."""
    assert is_valid(model, "Predictions", {"predictions": predictions}) is valid


def test_a_method_is_offered_where_there_are_two() -> None:
    """A classifier's params name its methods; a model with one method has none to name."""
    methods = openapi.build(MODELS["classifier"])["components"]["schemas"]["Records"]["properties"]["params"][
        "properties"
    ]["method"]
    plain = openapi.build(MODELS["numbers"])["components"]["schemas"]["Records"]["properties"]

    assert methods["enum"] == ["predict", "predict_proba"]
    assert "params" not in plain


def test_keys_are_asked_for_only_where_they_are_needed() -> None:
    """With API keys a call needs one and may be refused with 401, but for health; without, nothing speaks of keys."""
    closed, open_ = openapi.build(MODELS["with API keys"]), openapi.build(MODELS["numbers"])

    assert closed["security"] == [{"bearer": []}, {"key": []}]
    assert "401" in closed["paths"]["/invocations"]["post"]["responses"]
    assert closed["paths"]["/readyz"]["get"]["security"] == []
    assert "security" not in closed["paths"]["/metrics"]["get"]
    assert "securitySchemes" not in open_["components"]
    assert [path for path, operation in operations(open_) if "401" in operation["responses"]] == []


def test_all_errors_have_the_shape_of_their_protocol() -> None:
    """Every answer for an error refers to MLflow's shape, and under /v2 to the Open Inference Protocol's."""
    document = openapi.build(MODELS["numbers"])
    shapes = {
        (path.startswith("/v2"), answer["$ref"].split("/")[-1].startswith("Inference"))
        for path, operation in operations(document)
        for answer in operation["responses"].values()
        if "$ref" in answer
    }

    assert shapes == {(False, False), (True, True)}
