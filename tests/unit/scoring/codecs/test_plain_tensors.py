"""Plain requests with one tensor a column: which are read in the short way, and which are left to the long one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from scoring.bounds import Bounds
from scoring.codecs.plain import tensors as plain
from scoring.models.signature import Column, Signature


def _columns_of(columns: list[Column], data: list[list[Any]], **beside: Any) -> bytes:  # noqa: ANN401 -- JSON
    inputs = [
        {"name": column.name, "shape": [len(values)], "datatype": plain.KINDS[column.type][0], "data": values}
        for column, values in zip(columns, data, strict=True)
    ]
    return json.dumps({"inputs": inputs, **beside}).encode()


@pytest.mark.parametrize("beside", [{}, {"parameters": {"a": 1}}], ids=["alone", "with parameters"])
def test_two_large_columns_are_read_in_the_short_way(beside: dict[str, Any]) -> None:
    """Two columns of doubles are no matrix, though they are as many objects as one with parameters."""
    columns = [Column("a", "double"), Column("b", "double")]
    rows = np.random.default_rng(0).normal(size=(500, 2))
    reader = plain.reader_for(Signature(tuple(columns)))
    found = reader.decode(_columns_of(columns, rows.T.tolist(), **beside))  # type: ignore[union-attr]

    assert found is not None
    assert found[0].block is not None
    assert np.array_equal(found[0].block, rows)


def test_whole_numbers_stay_exact_among_doubles() -> None:
    """A large column of integers is read as such, beside doubles, and declined where a double cannot hold it."""
    columns = [Column("a", "double"), Column("b", "long")]
    doubles, whole = [0.1] * 500, [2**53 - 1, *range(-1, -500, -1)]
    reader = plain.reader_for(Signature(tuple(columns)))
    assert reader is not None
    found = reader.decode(_columns_of(columns, [doubles, whole]))

    assert found is not None
    assert found[0].block is not None
    assert found[0].block.tolist() == [list(map(float, row)) for row in zip(doubles, whole, strict=True)]
    assert reader.decode(_columns_of(columns, [doubles, [2**53 + 1, *whole[1:]]])) is None


@pytest.mark.parametrize("wrong", [b'"parameters": {}', b'"name": 5'], ids=["without a name", "a number as name"])
def test_a_matrix_has_a_name(wrong: bytes) -> None:
    """A large tensor of four members that lacks its name, or whose name is no text, is left to the long way."""
    columns = (Column("a", "double"), Column("b", "double"))
    right = b'{"inputs": [{"name": "x", "shape": [500, 2], "datatype": "FP64", "data": [%s]}]}' % b", ".join(
        [b"0.5"] * 1000
    )
    reader = plain.reader_for(Signature(columns))
    assert reader is not None

    assert reader.decode(right) is not None
    assert reader.decode(right.replace(b'"name": "x"', wrong)) is None


@pytest.mark.parametrize("other", [Column("s", "string"), Column("s", "boolean")], ids=["text", "truth"])
def test_a_number_beyond_float32_is_declined_beside_others(other: Column) -> None:
    """What FP32 cannot hold is left to the long way, which refuses it, whatever stands beside it."""
    columns = [Column("a", "float"), other]
    value: Any = "x" if other.type == "string" else True
    reader = plain.reader_for(Signature(tuple(columns)))
    assert reader is not None

    assert reader.decode(_columns_of(columns, [[1.5, 2.5], [value, value]])) is not None
    assert reader.decode(_columns_of(columns, [[1.5, -1e39], [value, value]])) is None


def test_outputs_are_no_deeper_than_may_be() -> None:
    """What one row asks of its outputs is read in the short way only within the allowed depth."""
    columns = [Column("a", "double")]
    deep: dict[str, Any] = {}
    for _ in range(10):
        deep = {"x": deep}
    reader = plain.reader_for(Signature(tuple(columns)), Bounds(max_depth=8))
    assert reader is not None

    assert reader.decode(_columns_of(columns, [[1.5]], outputs=[{"name": "y"}])) is not None
    assert reader.decode(_columns_of(columns, [[1.5]], outputs=[{"name": "y", "parameters": deep}])) is None
