"""The same rows in every form of input are the same table."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.bounds import DEFAULT
from scoring.codecs import csv_body, mlflow_forms, open_inference, tensors
from scoring.codecs.fast_json import Decoder
from scoring.models import rows as table
from scoring.models.signature import SCALARS, Column
from tests.fuzz.targets import same_frames
from tests.protocols.conftest import texts, with_binary

if TYPE_CHECKING:
    import pandas as pd

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "long": st.integers(-(2**63), 2**63 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "string": TEXT,
    # In one form throughout: pandas, and so MLflow, refuses a column whose moments are written in several.
    "datetime": st.datetimes(dt.datetime.fromisoformat("1700-01-01"), dt.datetime.fromisoformat("2200-01-01")).map(
        lambda at: at.isoformat(timespec="microseconds")
    ),
    "binary": TEXT,
}
DATATYPES = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL"}
PLAIN = {
    **VALUES,
    "double": st.integers(-1000, 1000).map(lambda n: n / 8),
    "float": st.integers(-1000, 1000).map(lambda n: n / 8),
}
PLAIN["string"] = st.text("xyzé", min_size=1)  # CSV has no empty text, and pandas rounds long fractions


def tables(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[list[Column], list[list[Any]]]]:
    """Return a strategy for columns and rows of them."""
    kinds = st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=5)
    return kinds.flatmap(
        lambda found: st.tuples(
            st.just(_columns(found)), st.lists(st.tuples(*(values[kind] for kind in found)), min_size=1)
        )
    )


def _columns(kinds: list[str]) -> list[Column]:
    return [Column(f"{kind}{at}", kind) for at, kind in enumerate(kinds)]


def _read(body: dict[str, Any], columns: list[Column]) -> pd.DataFrame:
    data = json.dumps(body).encode()
    return table.frame(
        [Decoder(columns).decode(data) or mlflow_forms.to_table(mlflow_forms.parse(data), columns)], columns
    )


def _read_tensors(body: bytes, headers: dict[str, str], columns: list[Column]) -> pd.DataFrame:
    arrays = open_inference.parse(body, "".join(headers.values()).encode() or None).arrays()
    return table.frame([tensors.to_table(arrays, columns)], columns)


def _binary(values: list[Any], kind: str) -> bytes:
    return (
        np.array(values, SCALARS[kind]).tobytes() if kind in DATATYPES else texts(*(value.encode() for value in values))
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(tables(VALUES))
def test_json_and_tensors_agree(given_table: tuple[list[Column], list[list[Any]]]) -> None:
    """The four forms of JSON, tensors in JSON and binary tensors are read as the same."""
    columns, rows = given_table
    encoded = [
        [
            base64.b64encode(value.encode()).decode() if c.type == "binary" else value
            for c, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    names = [column.name for column in columns]
    records = [dict(zip(names, row, strict=True)) for row in encoded]
    raw = [list(values) for values in zip(*rows, strict=True)]
    inputs: list[dict[str, Any]] = [
        {"name": column.name, "datatype": DATATYPES.get(column.type, "BYTES"), "shape": [len(rows)], "data": values}
        for column, values in zip(columns, raw, strict=True)
    ]
    in_json = [{**each, "data": list(values)} for each, values in zip(inputs, zip(*encoded, strict=True), strict=True)]
    binary = [
        (each["name"], each["datatype"], each["shape"], _binary(each["data"], c.type))
        for each, c in zip(inputs, columns, strict=True)
    ]
    frames = [
        _read({"dataframe_split": {"columns": names, "data": encoded}}, columns),
        _read({"dataframe_split": {"columns": names[::-1], "data": [row[::-1] for row in encoded]}}, columns),
        _read({"dataframe_records": records}, columns),
        _read_tensors(json.dumps({"inputs": in_json}).encode(), {}, columns),
        _read_tensors(*with_binary(binary), columns),
    ]
    if all(column.type != "binary" for column in columns):  # MLflow takes base64 in a table only
        frames += [
            _read({"instances": records}, columns),
            _read({"inputs": dict(zip(names, raw, strict=True))}, columns),
        ]

    assert [list(frame.dtypes) for frame in frames] == [list(frames[0].dtypes)] * len(frames)
    for frame in frames[1:]:
        same_frames(frames[0], frame)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(tables({kind: values for kind, values in PLAIN.items() if kind not in {"datetime", "binary"}}))
def test_csv_agrees(given_table: tuple[list[Column], list[list[Any]]]) -> None:
    """CSV is read as the same as JSON, where it can hold it."""
    columns, rows = given_table
    names = [column.name for column in columns]
    csv = "".join(",".join(map(str, row)) + "\n" for row in [names, *rows])

    same_frames(
        table.frame([csv_body.read(csv.encode(), columns, DEFAULT)], columns),
        _read({"dataframe_split": {"columns": names, "data": rows}}, columns),
    )
