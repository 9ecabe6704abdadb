"""Real bodies for the fuzzer to start from: every target gets those of its kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fuzz.targets import LARGE, MATRICES, SIGNATURES, TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES: dict[str, list[Any]] = {
    "double": [1.5, 2], "float": [0.1, -1e10], "long": [2**53 + 1, -1], "integer": [2**31 - 1, 0],
    "boolean": [True, False], "string": ["é", "x"], "datetime": ["2024-01-02T03:04:05", "1999-12-31"],
    "binary": ["cmF3", "cg=="],
}  # fmt: skip
DATATYPES = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL"}
KEYS = [
    "dataframe_split", "dataframe_records", "inputs", "instances", "params", "columns", "data", "index", "messages",
    "input", "prompt", "name", "shape", "datatype", "outputs", "id", "parameters", "binary_data_size", "binary_data",
    "BOOL", "UINT8", "UINT64", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES", "do", "fl", "lo", "in", "bo",
    "st", "da", "bi", "a", "l", "i", "f", "s",
]  # fmt: skip
WORDS = [  # what JSON may hold that is of interest: keys, and values at the edges
    *(f'"{key}"' for key in KEYS), "null", "true", "false", "NaN", "-Infinity", "-0", "-0.0", "0.5", "1e400", "1e39",
    "128", "2147483648", "9007199254740993", "-9223372036854775809", "18446744073709551616", '"\\ud800"', '"\\u0000"',
    '"2024-01-02"', '"9999-01-01"', '"NaT"', "[]", "{}", "[[]]", "[{}]",
]  # fmt: skip


def bodies() -> Iterator[bytes]:
    """Yield the data of every seed, its target's number first."""
    of_json = [_json(columns) for columns in SIGNATURES.values()] * len(LARGE)
    rows = [[json.dumps({form: [[1, 2], [3, 4]]}).encode() for form in ("inputs", "instances")]] * len(MATRICES)
    of_csv = [[_csv(columns)] for columns in SIGNATURES.values()]
    of_v2 = [_v2([(column.name, column.type) for column in columns]) for columns in SIGNATURES.values()]
    given = [*of_json, *rows * len(LARGE), *of_csv, *of_v2, *[_v2([])] * len(MATRICES)]
    for number, seeds in enumerate(given):
        yield from (bytes([number]) + seed for seed in seeds)
    assert len(given) == len(TARGETS)


def _json(columns: list[Any]) -> list[bytes]:
    names = [column.name for column in columns]
    by_column = {column.name: VALUES[column.type] for column in columns}
    rows = list(zip(*by_column.values(), strict=True))
    records = [dict(zip(names, row, strict=True)) for row in rows]
    split = {"columns": names, "data": rows}
    forms: list[dict[str, Any]] = [
        {"dataframe_split": split},
        {"dataframe_records": records},
        {"instances": records},
        {"inputs": by_column},
    ]
    return [json.dumps(form).encode() for form in [*forms, {**forms[0], "params": {"n": 1}}, {"input": "x"}]]


def _csv(columns: list[Any]) -> bytes:
    rows = [[column.name for column in columns], *zip(*(VALUES[column.type] for column in columns), strict=True)]
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def _v2(columns: list[tuple[str, str]]) -> Iterator[bytes]:
    matrix = {"name": "any", "datatype": "FP64", "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    yield b"\xff\xff" + json.dumps({"inputs": [matrix]}).encode()
    inputs = [{"name": name, "datatype": DATATYPES.get(kind, "BYTES"), "shape": [2]} for name, kind in columns]
    if inputs:
        yield (
            b"\xff\xff"
            + json.dumps(
                {"inputs": [{**each, "data": VALUES[kind]} for each, (_, kind) in zip(inputs, columns, strict=True)]}
            ).encode()
        )
    data = [_binary(kind) for _, kind in columns] or [np.ones((2, 2)).tobytes()]
    described = inputs or [{name: value for name, value in matrix.items() if name != "data"}]
    head = json.dumps(
        {
            "inputs": [
                {**each, "parameters": {"binary_data_size": len(part)}}
                for each, part in zip(described, data, strict=True)
            ]
        }
    ).encode()
    yield b"".join([len(head).to_bytes(2, "little"), head, *data])


def _binary(kind: str) -> bytes:
    if kind in DATATYPES:
        return np.array(
            VALUES[kind], {"double": "<f8", "float": "<f4", "long": "<i8", "integer": "<i4", "boolean": "?"}[kind]
        ).tobytes()
    return b"".join(len(value.encode()).to_bytes(4, "little") + value.encode() for value in VALUES[kind])
