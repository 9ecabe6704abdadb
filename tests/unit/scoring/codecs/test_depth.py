"""How deep a body's JSON may be: the same in every form, also where nobody reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scoring.bounds import Bounds
from scoring.codecs import mlflow_forms, open_inference
from scoring.codecs.fast_json import Decoder, MatrixDecoder
from scoring.errors import Refusal
from scoring.models.signature import Column

if TYPE_CHECKING:
    from tests.aliases import Json

DEPTH = 32
BOUNDS = Bounds(max_depth=DEPTH)
COLUMNS = (Column("a", "double"), Column("s", "string"))
NUMBERS = (Column("a", "double"), Column("b", "double"))
SPLIT: dict[str, Any] = {"columns": ["a", "s"], "data": [[0.5, "x"]]}


def _nest(levels: int, kind: str = "list") -> Json:
    value: Any = 0
    for _ in range(levels):
        value = [value] if kind == "list" else {"k": value}
    return value


def _bodies(levels: int, kind: str) -> dict[str, dict[str, Any]]:
    """Return right bodies with something beside that nobody reads, which ends on that level."""
    return {
        "split": {"dataframe_split": SPLIT, "x": _nest(levels - 1, kind)},
        "before it": {"x": _nest(levels - 1, kind), "dataframe_split": SPLIT},
        "many rows": {"dataframe_split": {**SPLIT, "data": SPLIT["data"] * 100}, "x": _nest(levels - 1, kind)},
        "a column":
            {"dataframe_split": {"columns": ["a", "z", "s"], "data": [[0.5, _nest(levels - 4, kind), "x"]] * 3}},
        "records": {"dataframe_records": [{"a": 0.5, "s": "x", "z": _nest(levels - 3, kind)}] * 50},
        "inputs": {"inputs": {"a": [0.5] * 200, "s": ["x"] * 200}, "z": _nest(levels - 1, kind)},
    }  # fmt: skip


def _reads(decoder: Decoder | MatrixDecoder, body: bytes) -> bool:
    """Whether a body is taken, the short way or else the long one."""
    if decoder.decode(body):
        return True
    try:
        mlflow_forms.parse(body, BOUNDS)
    except Refusal as refusal:
        return (refusal.status, refusal.message) != (400, f"the JSON is nested deeper than {DEPTH} levels")
    return True


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("name", _bodies(9, "list"))
def test_beside_a_right_body(name: str, kind: str) -> None:
    """What is as deep as it may be is taken, and one level more is refused."""
    decoder = Decoder(COLUMNS, BOUNDS)

    assert _reads(decoder, json.dumps(_bodies(DEPTH, kind)[name]).encode())
    assert not _reads(decoder, json.dumps(_bodies(DEPTH + 1, kind)[name]).encode())
    assert not _reads(decoder, json.dumps(_bodies(500, kind)[name]).encode())


@pytest.mark.parametrize("rows", [1, 1000], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["list", "object"])
def test_beside_numbers(kind: str, rows: int) -> None:
    """The ways that read numbers into a matrix see it, too."""
    for decoder, right in (
        (Decoder(NUMBERS, BOUNDS), {"dataframe_split": {"columns": ["a", "b"], "data": [[0.5, 1.5]] * rows}}),
        (MatrixDecoder("float64", 2, BOUNDS), {"inputs": [[0.5, 1.5]] * rows}),
    ):
        assert _reads(decoder, json.dumps({**right, "x": _nest(DEPTH - 1, kind)}).encode())
        assert not _reads(decoder, json.dumps({**right, "x": _nest(DEPTH, kind)}).encode())


def test_brackets_in_texts() -> None:
    """Brackets in a text are no levels, and the short way reads it."""
    text = "[" * 1000
    table = Decoder(COLUMNS, BOUNDS).decode(json.dumps({"dataframe_split": {**SPLIT, "data": [[0.5, text]]}}).encode())

    assert table
    assert table.rows == [(0.5, text)]


def _infer(**more: Json) -> bytes:
    tensor = {"name": "x", "shape": [50, 2], "datatype": "FP64", "data": [[0.5, 1.5]] * 50}
    return json.dumps({"inputs": [{**tensor, **more.pop("tensor", {})}], **more}).encode()


def test_requests_of_tensors() -> None:
    """So it is in requests of the Open Inference Protocol: beside the inputs, in one, and in parameters."""
    read = open_inference.parse(
        _infer(x=_nest(DEPTH - 1), tensor={"parameters": {"x": _nest(DEPTH - 4)}}), None, BOUNDS
    )

    assert read.arrays()["x"].sum() == 100.0
    for deep in (
        _infer(x=_nest(DEPTH)), _infer(tensor={"y": _nest(DEPTH - 2)}),
        _infer(parameters={"y": _nest(DEPTH - 1, "object")}),
        _infer(tensor={"data": _nest(DEPTH), "parameters": {"binary_data_size": 0}}),
    ):  # fmt: skip
        with pytest.raises(Refusal, match="nested deeper than 32"):
            open_inference.parse(deep, None, BOUNDS)
