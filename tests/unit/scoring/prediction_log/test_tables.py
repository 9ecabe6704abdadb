"""What becomes of requests in the log: any form of rows and of predictions, each in its own type, and joined."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scoring.models.rows import Table
from scoring.models.signature import Column, Signature
from scoring.prediction_log.entries import Entry, Predicted
from scoring.prediction_log.rules import Rules
from scoring.prediction_log.tables import LONGEST, Writer

WHEN = dt.datetime(2026, 12, 1, 12, 30, tzinfo=dt.UTC)
TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime", "binary"]
EVERY = Signature(tuple(Column(kind, kind, required=False) for kind in TYPES))
ROW = [1.5, 2.5, 3, 4, True, "ä", pd.Timestamp("2024-01-31 12:00"), b"\x00\xff"]


def entry(data: Any, predictions: Any, rows: int, method: str = "predict", error: str = "") -> Entry:  # noqa: ANN401 -- anything
    """Return a request."""
    return Entry(
        WHEN.timestamp(),
        b"id",
        0.002,
        rows,
        error,
        is_sampled=True,
        is_outlier=False,
        predicted=Predicted(data, predictions, method),
    )


def written(entries: list[Entry], signature: Signature = EVERY, rules: Rules | None = None) -> pd.DataFrame:
    """Return the rows of the log."""
    return Writer(signature, "3", rules or Rules()).table(entries).to_pandas()


def test_every_type_is_kept() -> None:
    """Rows of every type, with and without values, come back as they were asked."""
    table = Table(2, rows=[ROW, [None] * 8])
    found = written([entry(table, np.array([1.0, 2.0]), 2)])

    assert found["in.double"].tolist()[0] == 1.5
    assert found["in.float"].dtype == np.float32
    assert found["in.long"].tolist()[0] == 3
    assert found["in.boolean"].tolist()[0] is True
    assert found["in.string"].tolist()[0] == "ä"
    assert found["in.datetime"].tolist()[0] == ROW[6]
    assert found["in.binary"].tolist()[0] == b"\x00\xff"
    assert found.iloc[1][[f"in.{kind}" for kind in TYPES]].isna().all()
    assert found["out.prediction"].tolist() == [1.0, 2.0]
    assert found["_time"].tolist()[0] == pd.Timestamp(WHEN)
    assert found["_row"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("predictions", "method", "columns"),
    [
        (np.array(["a", "b"]), "predict", {"out.prediction": ["a", "b"]}),
        (np.array([True, False]), "predict", {"out.prediction": [True, False]}),
        (np.array([[0.1, 0.9], [0.8, 0.2]]), "predict_proba", {"out.predict_proba.1": [0.9, 0.2]}),
        (pd.DataFrame({"low": [1, 2], "high": [3, 4]}), "predict", {"out.low": [1, 2], "out.high": [3, 4]}),
        (pd.Series([1.0, 2.0]), "predict", {"out.prediction": [1.0, 2.0]}),
        ([{"label": "x"}, {"label": "y"}], "predict", {"out.prediction": ['{"label": "x"}', '{"label": "y"}']}),
        (["one", None], "predict", {"out.prediction": ["one", None]}),
    ],
    ids=["texts", "booleans", "probabilities", "a frame", "a series", "objects", "texts or none"],
)
def test_any_prediction_is_kept(predictions: object, method: str, columns: dict[str, list[object]]) -> None:
    """Predictions in any form have columns, named after their method or by themselves."""
    signature = Signature((Column("x", "double"),))
    found = written([entry(Table(2, rows=[[1.0], [2.0]]), predictions, 2, method)], signature)

    for name, values in columns.items():
        assert found[name].astype(object).where(found[name].notna(), None).tolist() == values


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (np.zeros((2, 3)), ["in.0", "in.1", "in.2"]),
        (np.zeros((2, 4, 4)), ["in.input"]),
        (np.zeros((2, 300)), ["in.input"]),
        ({"image": np.zeros((2, 4)), "size": np.zeros(2)}, ["in.image", "in.size"]),
        (pd.DataFrame({"a": [[1], [2]], "b": ["x", None]}), ["in.a", "in.b"]),
        ([b"one", b"two"], ["in.input"]),
    ],
    ids=["a matrix", "images", "a wide matrix", "named tensors", "lists in a frame", "files"],
)
def test_data_without_columns_is_kept(data: object, columns: list[str]) -> None:
    """What models without plain columns take has a column for each part, and a row for each."""
    found = written([entry(data, np.zeros(2), 2)], Signature())

    assert [name for name in found if name.startswith("in.")] == columns
    assert len(found) == 2


def test_unlike_requests_are_one_table() -> None:
    """Requests of several forms, and one that failed, stand together; what one lacks is null."""
    signature = Signature((Column("a", "double"), Column("b", "string", required=False)))
    entries = [
        entry(Table(1, rows=[[1.0, "x"]]), np.array([1.0]), 1),
        entry(Table(1, frame=pd.DataFrame({"a": [2.0]})), np.array([2.0]), 1),
        entry(Table(1, rows=[[3.0, None]]), np.array([[0.5, 0.5]]), 1, "predict_proba"),
        Entry(WHEN.timestamp(), b"wrong", 0.001, 0, "400: no", is_sampled=True, is_outlier=False, predicted=None),
    ]
    found = written(entries, signature).sort_values("in.a")

    assert found["in.a"].tolist()[:3] == [1.0, 2.0, 3.0]
    assert found["out.prediction"].tolist()[:2] == [1.0, 2.0]
    assert found["_error"].tolist()[-1] == "400: no"
    assert len(found) == 4


def test_a_long_value_is_bounded() -> None:
    """A text of megabytes is cut, and a file of megabytes left out: a row of the log has an end."""
    signature = Signature((Column("text", "string"), Column("file", "binary")))
    found = written([entry(Table(1, rows=[["x" * 10**6, b"x" * 10**6]]), np.zeros(1), 1)], signature)

    assert len(found["in.text"].iloc[0]) == LONGEST // 4
    assert found["in.file"].isna().all()


def test_hashes_keep_nulls_and_differ_by_key() -> None:
    """A missing value stays missing; equal values are equal under one key, and others under another."""
    signature = Signature((Column("name", "string", required=False),))
    asked = entry(Table(3, rows=[["ann"], ["ann"], [None]]), np.zeros(3), 3)
    first, second = (
        written([asked], signature, Rules(hash=frozenset({"name"}), key=key))["in.name"].tolist()
        for key in (b"1", b"2")
    )

    assert first[0] == first[1] != "ann"
    assert pd.isna(first[2])
    assert first[0] != second[0]
