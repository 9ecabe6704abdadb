"""References of any data, windows beside them, and what is said to have drifted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.utils.validation import _validate_metric_name

from slipway.errors import SlipwayError
from slipway.monitoring import drift, monitor, reference, references

RNG = np.random.default_rng(0)
RULES = drift.Rules()


def rows(count: int, **changes: object) -> pd.DataFrame:
    """Return rows of several kinds of columns."""
    made = pd.DataFrame({
        "age": RNG.normal(40, 10, count),
        "visits": RNG.poisson(2, count),
        "plan": RNG.choice(["basic", "plus", "premium"], count, p=[0.6, 0.3, 0.1]),
        "name": [f"person {at}" for at in range(count)],
        "active": RNG.random(count) < 0.7,
        "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 300, count), "D"),
        "half": np.where(RNG.random(count) < 0.5, 0.0, RNG.exponential(1, count)),
    })  # fmt: skip
    return made.assign(**changes)


def known_of(data: pd.DataFrame) -> dict[str, Any]:
    """Return the reference of training rows, and a model that predicts age twice."""
    found = reference.make((data, data[:500]), lambda features: features["age"].to_numpy() * 2, {})
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def logged(data: pd.DataFrame) -> pd.DataFrame:
    """Return rows as the log has them."""
    return data.add_prefix("in.").assign(**{"out.prediction": data["age"] * 2})


def drifted(data: pd.DataFrame, known: dict[str, Any]) -> list[str]:
    """Return the names of the columns that have drifted."""
    return sorted(column.name for column in drift.compare(known, logged(data), RULES) if column.drifted)


def test_what_is_the_same_has_not_drifted() -> None:
    """Twenty windows of the same kind of rows, none of which has drifted."""
    known = known_of(rows(3000))

    assert [drifted(rows(1000), known) for _ in range(20)] == [[]] * 20


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"age": RNG.normal(55, 10, 1000)}, ["age", "prediction"]),
        ({"visits": RNG.poisson(5, 1000)}, ["visits"]),
        ({"plan": "premium"}, ["plan"]),
        ({"plan": RNG.choice(["basic", "new"], 1000)}, ["plan"]),
        ({"active": False}, ["active"]),
        ({"half": RNG.exponential(1, 1000)}, ["half"]),
        ({"since": pd.Timestamp("2026-01-01")}, ["since"]),
        ({"visits": np.where(RNG.random(1000) < 0.3, np.nan, 2.0)}, ["visits"]),
        ({"age": np.inf}, ["age", "prediction"]),
        ({"name": "the same for all"}, []),
    ],
    ids=[
        "numbers, and the prediction", "counts", "shares", "a new category", "booleans", "fewer zeros", "dates",
        "missing values", "infinite numbers", "names, of which nothing is kept",
    ],
)  # fmt: skip
def test_one_column_drifts_and_no_other(change: dict[str, object], expected: list[str]) -> None:
    """The column that was changed has drifted, and none beside it."""
    assert drifted(rows(1000, **change), known_of(rows(3000))) == expected


def test_a_large_window_is_not_drift() -> None:
    """A difference that a hundred thousand rows make significant, and that does not matter, is none."""
    known = known_of(rows(100_000))
    window = drift.compare(known, logged(rows(100_000, age=RNG.normal(40.3, 10, 100_000))), RULES)
    age = next(column for column in window if column.name == "age")

    assert age.p < RULES.alpha
    assert not age.drifted


@pytest.mark.parametrize("count", [500, 50_000])
def test_a_reference_is_small(count: int) -> None:
    """Ten times the rows are no larger reference: a few KB for seven columns, and no name of a person."""
    text = json.dumps(known_of(rows(count)))

    assert len(text) < 8192
    assert "person" not in text


@pytest.mark.parametrize(
    ("log", "described"),
    [({"drop": ["b"], "hash": ["c"]}, {"a"}), ({"only": ["a", "c"], "hash": ["c"]}, {"a"}), ({"only": []}, set("abc"))],
    ids=["dropped and hashed", "only some", "no rule"],
)
def test_private_columns_have_no_reference(log: dict[str, list[str]], described: set[str]) -> None:
    """What the log drops, hashes or leaves out is not described either."""
    data = pd.DataFrame(RNG.normal(size=(300, 3)), columns=list("abc"))
    found = reference.make((data, data), lambda features: np.zeros(len(features)), {"log": log})

    assert found["columns"].keys() == described


@pytest.mark.parametrize(
    ("training", "window"),
    [
        (pd.Series(RNG.normal(size=12)), RNG.normal(size=1000)),
        (pd.Series([f"person {at}" for at in range(40)]), [f"person {at}" for at in range(100, 1100)]),
        (pd.Timestamp("2024-01-01") + pd.to_timedelta(pd.Series(RNG.integers(0, 10, 3000)), "D"),
         pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(RNG.integers(0, 10, 1000), "D")),
        (pd.Series(20_260_101 + RNG.integers(0, 9, 3000)), 20_260_101.0 + RNG.integers(0, 9, 1000)),
    ],
    ids=["twelve rows", "forty names", "ten dates", "codes of eight digits"],
)  # fmt: skip
def test_values_of_the_same_kind_have_not_drifted(training: pd.Series, window: object) -> None:
    """Few rows are no categories, dates are compared as such, and whole numbers keep all their digits."""
    known = {"rows": len(training), "predicted": 1, "columns": reference.describe([("x", training)])}
    (column,) = drift.compare(known, pd.DataFrame({"in.x": window}), RULES)

    assert not column.drifted
    assert "person" not in json.dumps(known)


def test_long_codes_are_told_apart() -> None:
    """Codes that differ in their last digit alone are different categories."""
    known = {"rows": 3000, "columns": reference.describe([("x", pd.Series(20_260_101 + RNG.integers(0, 9, 3000)))])}
    (column,) = drift.compare(known, pd.DataFrame({"in.x": [20_260_103] * 1000}), RULES)

    assert column.drifted


def test_a_column_without_a_finite_number_has_a_reference() -> None:
    """A column of infinite numbers is described as one without values, and costs no other column its reference."""
    found = reference.describe([("a", pd.Series([np.inf] * 50)), ("b", pd.Series(RNG.normal(size=50)))])

    assert found["a"] == {"kind": "other", "missing": 1.0}
    assert found["b"]["kind"] == "number"


@pytest.mark.parametrize("name", ["km/h", "a//b", "km/", "../x", "a/../b", "°C", "x" * 400, "\n", "."])
def test_any_column_has_a_metric(name: str) -> None:
    """MLflow takes the metric of a column of any name."""
    (column,) = drift.compare(
        {"rows": 1, "columns": {name: {"kind": "other", "missing": 0}}}, pd.DataFrame({f"in.{name}": [1.0]}), RULES
    )

    _validate_metric_name(monitor._metric(column))  # type: ignore[no-untyped-call] # noqa: SLF001 -- a run would fail


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        ((np.zeros((50, 3)), np.zeros((20, 3)), np.zeros(50), np.zeros(20)), ["0", "1", "2"]),
        (((np.zeros((50, 2)), np.zeros(50)), (np.zeros((20, 2)), np.zeros(20))), ["0", "1"]),
        (((np.zeros((50, 8, 8)), np.zeros(50)), (np.zeros((20, 8, 8)), np.zeros(20))), []),
        ((pd.DataFrame({"a": [1.0] * 30, "target": 1}), pd.DataFrame({"a": [1.0] * 30, "target": 1})), ["a"]),
        ((pd.DataFrame({"a": [[1]] * 30, "target_x": 1}), pd.DataFrame({"a": [[1]] * 30, "target_x": 1})), ["a"]),
    ],
    ids=["four arrays", "two pairs", "images", "frames", "lists in a column"],
)
def test_any_form_of_data_has_a_reference(data: object, columns: list[str]) -> None:
    """Every form that load_data may return is read; what has no columns keeps its predictions alone."""
    found = reference.make(data, lambda features: np.arange(len(features), dtype=float), {})

    assert list(found["columns"]) == columns
    assert found["predictions"]["prediction"]["kind"] in {"category", "number"}


def test_a_reference_is_made_of_the_log() -> None:
    """Where the training left none, the first logged rows are one; too few are refused with what to do."""
    found = references.of_log(logged(rows(1000)))

    assert drifted(rows(1000), found) == []
    assert drifted(rows(1000, plan="premium"), found) == ["plan"]
    with pytest.raises(SlipwayError, match="has 999 rows, of 1000"):
        references.of_log(logged(rows(999)))


def test_ranges_are_of_numbers() -> None:
    """A server gets the range of each column of numbers, and of no other."""
    found = references.ranges(known_of(rows(2000)))

    assert {"age", "visits", "half"} <= found.keys()
    assert not {"plan", "name", "active"} & found.keys()
    assert found["visits"][0] == 0


@pytest.mark.parametrize(
    "given", [{"psi": "x"}, {"alpha": 0}, {"min_rows": True}, {"ignore": "date"}, {"other": 1}, [1]]
)
def test_rules_that_are_none_are_refused(given: object) -> None:
    """A table that cannot be used names the file and what it takes."""
    with pytest.raises(SlipwayError, match="drift") as refused:
        drift.read_rules(Path("model.toml"), given)

    assert "[drift] in model.toml" in (refused.value.cure or "")
