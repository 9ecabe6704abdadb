"""Rows of every kind of input example: what is sent, counted, left out and made wrong."""

from typing import Any

import pytest

from slipway.serving import example

TABLE = {"columns": ["a", "b"], "data": [[1.0, "x"], [2.0, "y"]]}
TENSOR = {"inputs": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}
NAMED = {"inputs": {"a": [1, 2], "b": [[0.5], [1.5]]}}
WORDS = {"inputs": ["one", "two"], "params": {"k": 1}}


@pytest.mark.parametrize(
    ("rows", "count", "first", "incomplete", "wrong"),
    [
        (
            TABLE, 2, {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"]]}},
            ("a", {"dataframe_split": {"columns": ["b"], "data": [["x"], ["y"]]}}),
            {"dataframe_split": {"columns": ["a", "b"], "data": [["a word", ["a", "list"]], [2.0, "y"]]}},
        ),
        (
            TENSOR, 3, {"inputs": [[1.0, 2.0]]}, ("the first value of each row", {"inputs": [[2.0], [4.0], [6.0]]}),
            {"inputs": [["a word", "a word"], [3.0, 4.0], [5.0, 6.0]]},
        ),
        (
            NAMED, 2, {"inputs": {"a": [1], "b": [[0.5]]}}, ("a", {"inputs": {"b": [[0.5], [1.5]]}}),
            {"inputs": {"a": ["a word", "a word"], "b": [["a word"], ["a word"]]}},
        ),
        (
            WORDS, 2, {"inputs": ["one"], "params": {"k": 1}}, None,
            {"inputs": [["a", "list"], "two"], "params": {"k": 1}},
        ),
    ],
    ids=["table", "tensor", "named tensors", "words"],
)  # fmt: skip
def test_requests_are_made_of_rows(
    rows: dict[str, Any], count: int, first: dict[str, Any], incomplete: tuple[str, dict[str, Any]] | None,
    wrong: dict[str, Any],
) -> None:  # fmt: skip
    """The first row alone, a request that lacks something, one with values of the wrong type.

    The rows stay as they are.
    """
    before = repr(rows)

    assert example.count(rows) == count
    assert example.make_request(rows, 1) == first
    assert example.make_incomplete(rows) == incomplete
    assert example.make_wrong(rows) == wrong
    assert len(example.list_lines(rows)[1]) == count
    assert repr(rows) == before


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({"dataframe_split": {"columns": ["a"], "index": [0], "data": [[1]]}}, {"columns": ["a"], "data": [[1]]}),
        ({"dataframe_split": {"data": [[1, 2], [3, 4]]}}, {"columns": [0, 1], "data": [[1, 2], [3, 4]]}),
        (TENSOR, TENSOR), (None, None), ({}, None), ({"messages": []}, None),
    ],
    ids=["table", "table whose columns are counted", "tensor", "none", "empty", "another kind"],
)  # fmt: skip
def test_what_mlflow_wrote_is_read(given: dict[str, Any] | None, rows: dict[str, Any] | None) -> None:
    """A table without its index, a tensor as it is; what holds no rows is none."""
    assert example.read(given) == rows
