"""Wrong inference requests: a body, or a body with headers.

`hemlock` and `31337` are the caller's: no answer may hold them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.protocols.conftest import LENGTH, tensor, texts, with_binary

if TYPE_CHECKING:
    from tests.aliases import Json

ROWS = np.ones((2, 10)).tolist()
MATRIX = tensor("any", "FP64", ROWS)
COLUMNS = [tensor(f"x{at}", "FP64", [1.0, 1.0]) for at in range(10)]
BINARY = ("any", "FP64", [2, 10], np.array(ROWS).tobytes())
_ONES = json.dumps([1] * 10)


def _with(value: str) -> str:
    """Return ten numbers in JSON, the first of them another value."""
    return _ONES.replace("1,", f"{value},", 1)


def _raw(data: str, datatype: str = "FP64", shape: str = "[1, 10]", name: str = '"any"') -> bytes:
    return f'{{"inputs": [{{"name": {name}, "shape": {shape}, "datatype": "{datatype}", "data": {data}}}]}}'.encode()


def _head(length: str, extra: bytes = b"") -> tuple[bytes, dict[str, str]]:
    return with_binary([BINARY])[0] + extra, {LENGTH: length}


def _sized(size: Json, shape: list[Any]) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(
        {"inputs": [{"name": "hemlock", "datatype": "FP64", "shape": shape, "parameters": {"binary_data_size": size}}]}
    ).encode()
    return head + BINARY[3], {LENGTH: str(len(head))}


CASES: dict[str, Any] = {
    "nothing": b"",
    "no JSON": b"hemlock",
    "half a JSON": b'{"inputs": [',
    "a list": [],
    "null": b"null",
    "no inputs": {"id": "hemlock"},
    "inputs empty": {"inputs": []},
    "inputs no list": {"inputs": "hemlock"},
    "an input no object": {"inputs": ["hemlock"]},
    "no UTF-8": b'{"inputs": [], "id": "\xff"}',
    "a second JSON": json.dumps({"inputs": [MATRIX]}).encode() + b"{}",
    "nested deep": b'{"inputs": ' + b"[" * 100_000,
    "data nested deep": _raw("[" * 100_000 + "]" * 100_000),
    "id a number": {"inputs": [MATRIX], "id": 31337},
    "no data": {"inputs": [{"name": "any", "shape": [1, 10], "datatype": "FP64"}]},
    "data null": _raw("null"),
    "data a number": _raw("31337"),
    "data an object": _raw('{"hemlock": 1}'),
    "data text": _raw('"hemlock"'),
    "name a number": _raw(_ONES, name="31337"),
    "datatype unknown": _raw(_ONES, "hemlock"),
    "datatype in small letters": _raw(_ONES, "fp64"),
    "shape of other size": _raw(_ONES, shape="[2, 10]"),
    "shape negative": _raw(_ONES, shape="[-1, 10]"),
    "shape fraction": _raw(_ONES, shape="[1.5, 10]"),
    "shape huge": _raw(_ONES, shape=f"[{2**70}, 10]"),
    "shape past 64 bits": _raw(_ONES, shape=f"[{2**62}, {2**62}]"),
    "shape text": _raw(_ONES, shape='["hemlock"]'),
    "shape absent": {"inputs": [{"name": "any", "datatype": "FP64", "data": [1]}]},
    "shape flat": _raw(_ONES, shape="[10]"),
    "of many dimensions": _raw("[1]", shape=json.dumps([1] * 70)),
    "too many columns": _raw(json.dumps([1] * 11), shape="[1, 11]"),
    "nested in another shape": {"inputs": [{**MATRIX, "data": np.reshape(ROWS, (10, 2)).tolist()}]},
    "ragged": _raw("[[1, 2], [1, 2, 3]]", shape="[2, 2]"),
    "NaN": _raw(_with("NaN")),
    "Infinity": _raw(_with("Infinity")),
    "null in the data": _raw(_with("null")),
    "true for a number": _raw(_with("true")),
    "text for a number": _raw(_with('"hemlock"')),
    "double overflow": _raw(_with("1e400")),
    "float overflow": _raw(_with("1e40"), "FP32"),
    "half overflow": _raw(_with("70000"), "FP16"),
    "byte overflow": _raw(_with("128"), "INT8"),
    "negative unsigned": _raw(_with("-1"), "UINT64"),
    "long overflow": _raw(_with(f"{2**63}"), "INT64"),
    "fraction for INT32": _raw(_with("1.5"), "INT32"),
    "1 for BOOL": _raw(_ONES, "BOOL"),
    "numbers for BYTES": _raw(_ONES, "BYTES"),
    "words": _raw(json.dumps(["hemlock"] * 10), "BYTES"),
    "the same name twice": {"inputs": [MATRIX, MATRIX]},
    "a column missing": {"inputs": COLUMNS[1:]},
    "a column not there": {"inputs": [MATRIX, {**MATRIX, "name": "hemlock"}]},
    "columns of different lengths": {"inputs": [*COLUMNS[1:], tensor("x0", "FP64", [1.0])]},
    "a column that is wide": {"inputs": [*COLUMNS[1:], tensor("x0", "FP64", ROWS)]},
    "a column of no dimension": {"inputs": [*COLUMNS[1:], tensor("x0", "FP64", [1.0], [])]},
    "an output that is not there": {"inputs": [MATRIX], "outputs": [{"name": "hemlock"}]},
    "a method that is not there": {"inputs": [MATRIX], "parameters": {"method": "hemlock"}},
    "a method that is a list": {"inputs": [MATRIX], "parameters": {"method": ["hemlock"]}},
    "parameters no object": {"inputs": [MATRIX], "parameters": "hemlock"},
    "header absent": (with_binary([BINARY])[0], {}),
    "header negative": _head("-5"),
    "header signed": _head("+5"),
    "header text": _head("hemlock"),
    "header empty": _head(""),
    "header zero": _head("0"),
    "header too small": _head("20"),
    "header too large": _head("100000"),
    "header huge": _head("9" * 5000),
    "header a fraction": _head("10.5"),
    "trailing bytes": (with_binary([BINARY])[0] + b"hemlock", with_binary([BINARY])[1]),
    "bytes missing": (with_binary([BINARY])[0][:-1], with_binary([BINARY])[1]),
    "size too large": _sized(161, [2, 10]),
    "size too small": _sized(152, [2, 10]),
    "size negative": _sized(-160, [2, 10]),
    "size true": _sized(size=True, shape=[1, 10]),
    "size text": _sized("160", [2, 10]),
    "size huge": _sized(2**70, [2, 10]),
    "binary, shape negative": _sized(160, [-1, 10]),
    "binary, shape huge": _sized(160, [2**70, 10]),
    "binary, no shape": _sized(160, []),
    "binary, datatype unknown": with_binary([("any", "hemlock", [2, 10], BINARY[3])]),
    "binary BOOL of 2": with_binary([("any", "BOOL", [1, 10], b"\2" * 10)]),
    "binary BYTES cut": with_binary([("any", "BYTES", [1], texts(b"hemlock")[:-1])]),
    "binary BYTES past the end": with_binary([("any", "BYTES", [1], b"\xff" * 4)]),
    "binary BYTES, half a length": with_binary([("any", "BYTES", [1], b"\1\0")]),
    "binary NaN": with_binary([("any", "FP64", [1, 10], np.full(10, np.nan).tobytes())]),
}
