"""The Open Inference Protocol over the wire: its paths, right requests, and wrong ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.contract.conftest import ask
from tests.protocols import wrong
from tests.protocols.conftest import LENGTH, tensor, texts, with_binary

if TYPE_CHECKING:
    from tests.aliases import Json
    from tests.protocols.conftest import Client

pytestmark = pytest.mark.fast

ROWS = (np.arange(20.0).reshape(2, 10) / 8).tolist()
MATRIX = tensor("any", "FP64", ROWS)
BINARY = ("any", "FP64", [2, 10], np.array(ROWS).tobytes())


@pytest.fixture(scope="module")
def expected(served: dict[str, Client]) -> list[float]:
    """Return what /invocations predicts for ROWS."""
    split = {"columns": [f"x{at}" for at in range(10)], "data": ROWS}
    return list(served["numbers"].invoke({"dataframe_split": split}))


@pytest.mark.parametrize(
    "path", ["/v2/health/live", "/v2/health/ready", "/v2/models/numbers/ready", "/v2/models/numbers/versions/3/ready"]
)
def test_health(numbers: Client, path: str) -> None:
    """A server that answers says that it lives and is ready."""
    answer = numbers.get(path)

    assert answer.status == 200
    assert set(json.loads(answer.body).values()) & {True}


def test_the_server_tells_its_extensions(numbers: Client) -> None:
    """The server's metadata name the binary tensor extension."""
    told = json.loads(numbers.get("/v2").body)

    assert told.keys() == {"name", "version", "extensions"}
    assert told["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("path", ["/v2/models/numbers", "/v2/models/numbers/versions/3"])
def test_the_model_tells_its_tensors(numbers: Client, path: str) -> None:
    """The model's metadata name every column, and the output."""
    told = json.loads(numbers.get(path).body)

    assert (told["name"], told["versions"]) == ("numbers", ["3"])
    assert told["inputs"] == [{"name": f"x{at}", "datatype": "FP64", "shape": [-1]} for at in range(10)]
    assert told["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1]}]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("model", ["other", "numbers/versions/2", "numbers/versions/"])
def test_other_models_are_not_here(numbers: Client, method: str, model: str) -> None:
    """A wrong name or version is 404, in the protocol's form of error."""
    ends = ("/infer",) if method == "POST" else ("", "/ready")
    answers = [
        ask(numbers.port, method, f"/v2/models/{model}{end}", None, b"{}" if method == "POST" else b"") for end in ends
    ]

    assert {answer.status for answer in answers} == {404}
    assert all(json.loads(answer.body).keys() == {"error"} for answer in answers)


RIGHT: dict[str, list[dict[str, Any]]] = {
    "one matrix, nested": [MATRIX],
    "one matrix, flat": [tensor("any", "FP64", np.ravel(ROWS).tolist(), [2, 10])],
    "one matrix of FP32": [tensor("any", "FP32", ROWS)],
    "a tensor a column": [tensor(f"x{at}", "FP64", [row[at] for row in ROWS]) for at in range(10)],
    "a tensor a column, upright, in another order": [
        tensor(f"x{at}", "FP64", [[row[at]] for row in ROWS]) for at in reversed(range(10))
    ],
    "more tensors than columns": [
        *(tensor(f"x{at}", "FP64", [row[at] for row in ROWS]) for at in range(10)),
        tensor("y", "BYTES", ["a"]),
    ],
}


@pytest.mark.parametrize("inputs", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("version", ["", "/versions/3"])
def test_json(numbers: Client, inputs: list[dict[str, Any]], version: str, expected: list[float]) -> None:
    """Numbers in JSON give what /invocations gives."""
    answer = json.loads(numbers.infer({"inputs": inputs, "id": "ä 1"}, version=version).body)

    assert answer == {
        "model_name": "numbers",
        "model_version": "3",
        "id": "ä 1",
        "outputs": [{"name": "predict", "datatype": "FP64", "shape": [2], "data": expected}],
    }


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize(
    "asked",
    [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "predict", "parameters": {"binary_data": True}}]},
    ],
)
def test_binary(numbers: Client, asked: dict[str, Any], columns: bool, expected: list[float]) -> None:
    """Binary numbers give the same, and come back binary when that is asked for."""
    upright = [(f"x{at}", "FP64", [2, 1], np.array([row[at] for row in ROWS]).tobytes()) for at in range(10)]
    answer = numbers.infer(*with_binary(upright if columns else [BINARY], **asked))
    length = int(answer.headers[LENGTH.lower()])
    output = json.loads(answer.body[:length])["outputs"][0]

    assert answer.headers["content-type"] == "application/octet-stream"
    assert output == {"name": "predict", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}
    assert np.frombuffer(answer.body[length:]).tolist() == expected


def test_an_output_may_stay_json(numbers: Client, expected: list[float]) -> None:
    """What one output asks for goes before what the request asks for."""
    outputs = [{"name": "predict", "parameters": {"binary_data": False}}]
    answer = numbers.infer(*with_binary([BINARY], outputs=outputs, parameters={"binary_data_output": True}))

    assert json.loads(answer.body)["outputs"][0]["data"] == expected


EVERY: dict[str, tuple[str, Any, Any]] = {  # by column: the datatype, the value, and the same in JSON
    "double": ("FP64", 1.5, 1.5),
    "float": ("FP32", 0.1, 0.1),
    "long": ("INT64", 2**53 + 1, 2**53 + 1),
    "integer": ("INT32", -(2**31), -(2**31)),
    "boolean": ("BOOL", True, True),
    "string": ("BYTES", "é \0", "é \0"),
    "datetime": ("BYTES", "2024-01-02T03:04:05.123456789", "2024-01-02T03:04:05.123456789"),
    "binary": ("BYTES", "raw", "cmF3"),
}
OPTIONAL: dict[str, tuple[str, Any, Any]] = {
    "opt_double": ("FP64", 2.5, 2.5),
    "opt_long": ("INT64", 7, 7),
    "opt_string": ("BYTES", "", ""),
}
DTYPES = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4", "BOOL": "?"}


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("given", [EVERY, {**EVERY, **OPTIONAL}], ids=["required", "all"])
def test_every_type_of_column(served: dict[str, Client], given: dict[str, tuple[str, Any, Any]], binary: bool) -> None:
    """Every type reaches the model as by /invocations, with and without the optional columns; the params too."""
    client, params = served["types"], {"word": "hello", "many": [1.0, 2.0]}
    expected = client.invoke(
        {"dataframe_records": [{name: value for name, (*_, value) in given.items()}] * 2, "params": params}
    )
    if binary:
        body: tuple[Json, dict[str, str]] = with_binary(
            [
                (
                    name,
                    kind,
                    [2],
                    texts(*[value.encode()] * 2) if kind == "BYTES" else np.array([value] * 2, DTYPES[kind]).tobytes(),
                )
                for name, (kind, value, _) in given.items()
            ],
            parameters=params,
        )
    else:
        body = (
            {
                "inputs": [tensor(name, kind, [written] * 2) for name, (kind, _, written) in given.items()],
                "parameters": params,
            },
            {},
        )
    output = json.loads(client.infer(*body).body)["outputs"][0]

    assert (output["name"], output["datatype"], output["shape"]) == ("predict", "BYTES", [2])
    assert [json.loads(text) for text in output["data"]] == expected


def test_bytes_need_not_be_text(served: dict[str, Client]) -> None:
    """A binary column takes any bytes."""
    inputs = [
        (name, kind, [1], texts(b"\xff\x00") if name == "binary" else _binary(kind, value))
        for name, (kind, value, _) in EVERY.items()
    ]
    output = json.loads(served["types"].infer(*with_binary(inputs)).body)["outputs"][0]

    assert json.loads(output["data"][0])["binary"] == ["object", repr(b"\xff\x00")]


def _binary(kind: str, value: Json) -> bytes:
    return texts(value.encode()) if kind == "BYTES" else np.array([value], DTYPES[kind]).tobytes()


def test_text_is_text_in_both(served: dict[str, Client]) -> None:
    """A model without a signature gets the same text from JSON and binary, and bytes that are no text unchanged."""
    client = served["untyped"]
    answers = [
        client.infer({"inputs": [tensor("any", "BYTES", ["é"])]}),
        client.infer(*with_binary([("any", "BYTES", [1], texts("é".encode()))])),
        client.infer(*with_binary([("any", "BYTES", [1], texts(b"\xff"))])),
    ]
    told = [json.loads(answer.body)["outputs"][1]["data"][0] for answer in answers]

    assert told == ["array(['é'], dtype=object)"] * 2 + ["array([b'\\xff'], dtype=object)"]


@pytest.mark.parametrize("kind", ["numbers", "types", "strings", "classes", "matrix"])
def test_no_rows(served: dict[str, Client], kind: str) -> None:
    """No rows are an answer or a refusal."""
    told = json.loads(served[kind].get(f"/v2/models/{kind}").body)["inputs"] or [{"name": "any", "datatype": "FP64"}]
    shape = [0, 4] if kind == "matrix" else [0]
    answer = served[kind].infer({"inputs": [tensor(each["name"], each["datatype"], [], shape) for each in told]})

    assert answer.status in {200, 400}


@pytest.mark.parametrize("case", wrong.CASES.values(), ids=wrong.CASES)
def test_wrong_requests(numbers: Client, case: Json) -> None:
    """A wrong request is 400 with words that hold nothing of it."""
    body, headers = case if isinstance(case, tuple) else (case, {})
    answer = numbers.infer(body, headers)
    told = json.loads(answer.body)

    assert answer.status == 400
    assert told.keys() == {"error"}
    assert "hemlock" not in told["error"]
    assert "31337" not in told["error"]


def test_a_body_that_is_not_gzip_is_refused(numbers: Client) -> None:
    """A request that is cut, or no gzip, is refused and no failure of the server."""
    answer = numbers.infer(b"\x1f\x8b\x08\0hemlock", {"Content-Encoding": "gzip", "Content-Type": "application/json"})

    assert answer.status == 400
    assert json.loads(answer.body).keys() == {"error"}
