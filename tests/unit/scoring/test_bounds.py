"""How large a body may become: rows, lists and cells, each counted as what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scoring.bounds import DEFAULT, Bounds
from scoring.codecs import mlflow_forms
from scoring.errors import Refusal
from scoring.models.signature import Column


def _check(body: dict[str, Any], bounds: Bounds) -> int:
    """Return 200, or the status with which a body is refused."""
    try:
        bounds.check_json(json.dumps(body).encode())
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_rows_of_many_lists(form: str) -> None:
    """A row of a model of images, or of nested values, is one row, however many lists are in it."""
    image = [[[0.5]] * 28] * 28

    assert _check({form: [image]}, Bounds(max_rows=10)) == 200
    assert _check({form: [image] * 40}, Bounds(max_rows=10)) == 413
    assert _check({form: [[0.5]] * 40}, Bounds(max_rows=10)) == 413


def test_lists_are_bounded_by_cells() -> None:
    """Lists without values take memory, too: there are at most half as many as cells, or some for each row."""
    assert _check({"inputs": {"a": [[[]] * 40] * 40}}, Bounds(max_rows=10, max_cells=4000)) == 200
    assert _check({"inputs": {"a": [[[]] * 50] * 50}}, Bounds(max_rows=10, max_cells=4000)) == 413


def test_records_with_few_of_many_optional_columns() -> None:
    """Records that each have some of a model's many optional columns are a table, as long as it is not too large."""
    columns = [Column(f"c{at}", "double", required=False) for at in range(300)]
    records = [{f"c{(row * 7 + at) % 300}": 1.0 for at in range(20)} for row in range(5000)]

    for form in ("dataframe_records", "inputs"):
        table = mlflow_forms.to_table({form: records}, columns, DEFAULT)
        assert table.n == 5000
        assert table.frame is not None
        assert int(table.frame.count().sum()) == 100_000
    with pytest.raises(Refusal) as refused:
        mlflow_forms.to_table({"dataframe_records": records}, columns, Bounds(max_cells=1_000_000))
    assert refused.value.status == 413
