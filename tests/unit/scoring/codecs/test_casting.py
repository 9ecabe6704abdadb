"""Values of `inputs` and `instances` as the columns' types: numpy's conversions, in no more memory than the values."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scoring.bounds import DEFAULT, Bounds, measure_texts
from scoring.codecs import casting, mlflow_forms
from scoring.codecs.casting import parse_dates, to_array
from scoring.errors import Refusal
from scoring.models.signature import Column

if TYPE_CHECKING:
    from tests.aliases import Data, Json

MIB = 1024 * 1024
TEXT, NUMBER, WHEN = Column("a", "string"), Column("a", "double"), Column("a", "datetime")
MOMENT = "2024-01-31T12:00:00"


def _read(body: dict[str, Any], *columns: Column) -> list[list[Any]]:
    frame = mlflow_forms.to_table(mlflow_forms.parse(json.dumps(body).encode()), columns).frame
    assert frame is not None
    return list(frame.to_numpy().tolist())


@pytest.mark.parametrize("kind", ["str", "bytes"])
@pytest.mark.parametrize(
    "values",
    [["x", "y\0", "a\0b", ""], [1.5, True, None, 1e16, 10**30, -0.0], [["x"], ["yz"]], [{"k": 1}, "x"]],
    ids=repr,
)
def test_texts_are_numpys(values: list[Any], kind: str) -> None:
    """Texts are what numpy makes of them, without its array."""
    column = Column("a", {"str": "string", "bytes": "binary"}[kind])

    assert to_array(values, column).tolist() == np.array(values, kind).tolist()
    assert [to_array(value, column) for value in values if not isinstance(value, list)] == [
        np.array([value], kind)[0] for value in values if not isinstance(value, list)
    ]


@pytest.mark.parametrize("column", [TEXT, NUMBER], ids=["a column of the model", "a column beside it"])
@pytest.mark.parametrize("form", ["inputs", "inputs by row", "instances"])
def test_one_long_text(column: Column, form: str) -> None:
    """A long text among short ones takes its own memory, not that of each."""
    texts = ["x" * 20_000, *["y"] * 1999]
    values = texts if column is TEXT else [0.5] * 2000
    name = "a" if column is TEXT else "more"
    rows = [{"a": value, name: text} for value, text in zip(values, texts, strict=True)]
    body = {form.split(maxsplit=1)[0]: {"a": values, name: texts} if form == "inputs" else rows}
    _read({"inputs": {"a": values[-1:]}}, column)  # imports

    tracemalloc.start()
    try:
        assert _read(body, column) == [[value] for value in values]
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB  # numpy's array is one of 160 MB
    finally:
        tracemalloc.stop()


def test_texts_of_models_without_columns() -> None:
    """MLflow's parser makes numpy's arrays of columns.

    They are refused when they would be too large, and nothing else is.
    """
    bounds, texts = Bounds(max_bytes=MIB), ["x" * 10_000, *["y"] * 999]
    allowed = [
        {"long": ["x" * 10_000], "short": ["y"] * 999},
        [{"long": "x" * 10_000, "short": list("yyyyyyy")}] * 10,
        [[[0.5] * 10] * 10],
    ]

    assert measure_texts([texts]) == 4 * 10_000 * 1001
    bodies: tuple[Json, ...] = (texts, {"a": texts}, [texts], [{"a": text} for text in texts])
    for data in bodies:
        for form in ("inputs", "instances"):
            with pytest.raises(Refusal) as refused:
                mlflow_forms.check(form, data, bounds)
            assert refused.value.status == 413
    for data in allowed:
        mlflow_forms.check("inputs", data, bounds)


def test_dates_are_parsed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dates of a column are parsed in one call, however the rows came: one by one takes 1,000 times as long."""
    calls: list[int] = []

    def parse(values: Data) -> Data:
        calls.append(len(values))
        return parse_dates(values)

    monkeypatch.setattr(casting, "parse_dates", parse)
    for form in ("inputs", "instances"):
        assert len(_read({form: [{"a": MOMENT}] * 500}, WHEN)) == 500

    assert len(calls) <= 4
    with pytest.raises(Refusal):
        _read({"inputs": [{"a": MOMENT}, {"a": [MOMENT]}]}, WHEN)


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_dates_of_mixed_precision(form: str) -> None:
    """Dates as ISO 8601 has them need not all be written as the first is."""
    given = [MOMENT, MOMENT + ".5", "2024-01-31", "2024-01-31T12:00:00+01:00"]
    rows = [{"a": value} for value in given]
    parts = [0, 500_000_000, -12 * 3600 * 10**9, -3600 * 10**9]

    found = mlflow_forms.to_table({form: {"a": given} if form == "inputs" else rows}, [WHEN], DEFAULT).frame
    assert found is not None
    assert found["a"].astype("int64").tolist() == [1_706_702_400_000_000_000 + part for part in parts]


@pytest.mark.parametrize(
    "value", ["now", "today", "12:30", "12:30:45.1234", "10am", "Jan", "2024", np.int64(5), True], ids=repr
)
def test_what_is_no_date(value: Json) -> None:
    """A number is no date, and neither is a time of which nobody says the day."""
    with pytest.raises((ValueError, TypeError)):
        parse_dates([MOMENT, value])
    with pytest.raises((ValueError, TypeError)):
        parse_dates([value])
