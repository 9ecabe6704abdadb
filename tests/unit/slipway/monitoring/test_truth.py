"""Truths and what predictions were worth by them: what is read, joined and measured, and when a champion goes back."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from slipway.deployer import guardian
from slipway.errors import SlipwayError
from slipway.model_folder import ModelFolder, Rules
from slipway.monitoring import realised, rollback, truth
from slipway.monitoring.realised import Realised
from slipway.release.history import PROMOTED, REFUSED, ROLLED_BACK, Release

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"id": "a", "truth": 1}, truth.Truth("a", 0, 1.0)),
        ({"id": "a", "row": "7", "truth": "2.5"}, truth.Truth("a", 7, 2.5)),
        ({"id": "a", "row": 7.0, "truth": " yes "}, truth.Truth("a", 7, "yes")),
        ({"id": "a", "row": "", "truth": True}, truth.Truth("a", 0, "True")),
        ({"id": "a", "row": float("nan"), "truth": "0"}, truth.Truth("a", 0, 0.0)),
    ],
)
def test_a_truth_is_read(given: dict[str, Any], expected: truth.Truth) -> None:
    """Numbers and texts, of CSV or JSON; a row that is not named is the first."""
    assert truth.parse(given) == expected


def test_a_number_among_texts_keeps_its_digits(tmp_path: Path) -> None:
    """A class that is a long number is the same class where others are words."""
    store = truth.Store(str(tmp_path), "m")
    store.write([truth.Truth("a", 0, 1234567.0), truth.Truth("b", 0, "other")])

    assert sorted(store.read({"a", "b"})["truth"]) == ["1234567", "other"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"id": "a"},
        {"truth": 1},
        {"id": 5, "truth": 1},
        {"id": "a b", "truth": 1},
        {"id": "é", "truth": 1},
        {"id": "a" * 129, "truth": 1},
        {"id": "a", "row": -1, "truth": 1},
        {"id": "a", "row": "x", "truth": 1},
        {"id": "a", "row": 1.5, "truth": 1},
        {"id": "a", "row": True, "truth": 1},
        {"id": "a", "row": 2**31, "truth": 1},
        {"id": "a", "truth": ""},
        {"id": "a", "truth": None},
        {"id": "a", "truth": [1]},
        {"id": "a", "truth": "x" * 1001},
        {"id": "a", "truth": float("inf")},
        {"id": "a", "truth": 10**400},
        {"id": "a", "truth": "\ud800"},
        {"id": "a", "row": float("inf"), "truth": 1},
        {"id": "a", "truth": "nan"},
        {"id": "a", "truth": "-inf"},
    ],
)
def test_what_is_no_truth_is_refused(given: dict[str, Any]) -> None:
    """Each has a reason that names the field."""
    with pytest.raises(ValueError, match=r"id must|row must|truth must"):
        truth.parse(given)


def test_the_last_truth_counts(tmp_path: Path) -> None:
    """Of two truths for a row the later one is kept; others are not read."""
    store = truth.Store(str(tmp_path), "model/a")
    store.write([truth.Truth("a", 0, 1.0), truth.Truth("a", 1, 2.0), truth.Truth("b", 0, 9.0)])
    store.write([truth.Truth("a", 0, 5.0)])
    found = store.read({"a"}).sort_values("row")

    assert found.to_dict("list") == {"id": ["a", "a"], "row": [0, 1], "truth": [5.0, 2.0]}
    assert store.read(set()).empty
    assert truth.Store(str(tmp_path), "other").read({"a"}).empty


def test_metrics_of_numbers_are_scikit_learns() -> None:
    """RMSE, MAE and R² are those of scikit-learn, and missing truth is counted."""
    from sklearn import metrics  # noqa: PLC0415 -- the other implementation

    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"truth": rng.normal(size=300), "out.prediction": rng.normal(size=300)})
    rows.loc[:99, "truth"] = np.nan
    found = realised.measure(rows)
    known = rows.dropna()
    true, predicted = known["truth"], known["out.prediction"]

    assert (found.rows, found.known) == (300, 200)
    assert found.missing == pytest.approx(1 / 3)
    assert found.metrics["rmse"] == pytest.approx(metrics.root_mean_squared_error(true, predicted))
    assert found.metrics["mae"] == pytest.approx(metrics.mean_absolute_error(true, predicted))
    assert found.metrics["r2"] == pytest.approx(metrics.r2_score(true, predicted))


@pytest.mark.parametrize("kind", ["texts", "whole numbers"])
def test_metrics_of_classes_are_scikit_learns(kind: str) -> None:
    """Accuracy, F1 and balanced accuracy are those of scikit-learn, whether classes are texts or numbers."""
    from sklearn import metrics  # noqa: PLC0415 -- the other implementation

    rng = np.random.default_rng(1)
    true, predicted = rng.integers(0, 4, (2, 300))
    given = (true.astype(float), predicted) if kind == "whole numbers" else (true.astype(str), predicted.astype(str))
    found = realised.measure(pd.DataFrame({"truth": given[0], "out.prediction": given[1]})).metrics

    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(true, predicted, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(true, predicted))


@pytest.mark.parametrize(
    ("metric", "name"),
    [("validation_rmse", "rmse"), ("rmse", "rmse"), ("test_f1", "f1_macro"), ("r2", "r2"), ("held_out_score", "")],
)
def test_a_metric_of_the_gate_is_found(metric: str, name: str) -> None:
    """The realised metric of a gate's goes by the end of its name."""
    assert realised.find(metric, {"rmse": 1.0, "r2": 0.5, "f1_macro": 0.2}) == name


def known(metric: str, value: float, rows: int = 300) -> Realised:
    """Return a realised metric on so many rows."""
    return Realised(rows, rows, {metric: value})


@pytest.mark.parametrize(
    ("metric", "own", "before", "goes"),
    [
        ("rmse", known("rmse", 80), known("rmse", 54), True),
        ("rmse", known("rmse", 58), known("rmse", 54), False),
        ("rmse", known("rmse", 40), known("rmse", 54), False),
        ("rmse", known("rmse", 80, 100), known("rmse", 54), False),
        ("rmse", known("rmse", 80), known("rmse", 54, 100), False),
        ("accuracy", known("accuracy", 0.1), known("accuracy", 9.0), True),
        ("accuracy", known("accuracy", 9.0), known("accuracy", 0.1), False),
        ("rmse", known("mae", 80), known("rmse", 54), False),
    ],
    ids=["worse", "within the margin", "better", "few rows", "few rows before", "a score", "a better score", "another"],
)
def test_the_rule_judges(metric: str, own: Realised, before: Realised, goes: bool) -> None:
    """A champion goes back when it is worse by more than the margin, on enough rows of both; the reason has numbers."""
    reason = rollback.judge(rollback.Rule(metric, margin=5.0), (4, own), (3, before))

    assert bool(reason) == goes
    assert not goes or f"realised {metric} of version 4 is" in reason


@pytest.mark.parametrize(
    "text",
    [
        'metric = "rmse"',
        'metric = "loss"\nmargin = 1',
        'metric = "rmse"\nmargin = -1',
        'metric = "rmse"\nmargin = "x"',
        'metric = "rmse"\nmargin = 1\nrows = 0',
        'metric = "rmse"\nmargin = 1\nother = 2',
        "margin = 1",
    ],
)
def test_a_rule_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """A table that cannot be used is refused with an example."""
    (tmp_path / "model.toml").write_text(f"[rollback]\n{text}\n")
    folder = ModelFolder(tmp_path, "m", "rmse", "minimize", Rules("rmse", "minimize"))
    with pytest.raises(SlipwayError, match="rollback") as refused:
        rollback.read_rule(folder)

    assert "[rollback] in model.toml" in (refused.value.cure or "")


def released(action: str, version: int, previous: int | None, hours: float, by: str = "someone") -> Release:
    """Return a release so many hours ago."""
    at = int((NOW - hours * HOUR).timestamp() * 1000)
    return Release(action, version, previous, by, "", at=at)


@pytest.mark.parametrize(
    ("releases", "champion", "expected"),
    [
        ([released(PROMOTED, 1, None, 9), released(PROMOTED, 2, 1, 3)], 2, (1, NOW - 3 * HOUR)),
        ([released(PROMOTED, 1, None, 9)], 1, None),
        ([], None, None),
        (
            [released(PROMOTED, 1, None, 9), released(PROMOTED, 2, 1, 3), released(REFUSED, 3, 2, 1)],
            2,
            (1, NOW - 3 * HOUR),
        ),
        ([released(PROMOTED, 1, None, 9), released(PROMOTED, 2, 1, 3), released(ROLLED_BACK, 1, 2, 1)], 1, None),
        (
            [
                released(PROMOTED, 1, None, 9),
                released(PROMOTED, 2, 1, 5),
                released(ROLLED_BACK, 1, 2, 4, f"{guardian.BY}: worse"),
                released(PROMOTED, 3, 1, 1),
            ],
            3,
            None,
        ),
        (
            [
                released(PROMOTED, 1, None, 99),
                released(PROMOTED, 2, 1, 50),
                released(ROLLED_BACK, 1, 2, 40, f"{guardian.BY}: worse"),
                released(PROMOTED, 3, 1, 1),
            ],
            3,
            (1, NOW - HOUR),
        ),
    ],
    ids=["promoted", "the first", "none", "a refusal between", "gone back to", "acted in the window", "acted long ago"],
)
def test_the_pair_is_found(
    releases: list[Release], champion: int | None, expected: tuple[int, dt.datetime] | None
) -> None:
    """The champion since its promotion, and the one before; none where the rule acted within the window."""
    assert guardian.find_pair(releases, champion, NOW, dt.timedelta(hours=24)) == expected
