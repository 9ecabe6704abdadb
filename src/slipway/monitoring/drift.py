"""Drift: which columns of a window of the prediction log differ from the version's reference, and how much. Pure.

A column has drifted when a test says that chance alone would hardly do it, corrected by Holm for the number of tests of
the window, and when the difference matters: in a large window every difference is significant.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slipway.errors import SlipwayError
from slipway.monitoring import reference, statistics
from slipway.monitoring.prediction_log import IN, OUT

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

CURE = "[drift] in model.toml, such as psi = 0.2, alpha = 0.01, min_rows = 200, ignore = ['date']"


@dataclass(frozen=True)
class Rules:
    """When a column has drifted: the table `drift` of model.toml."""

    psi: float = 0.2  # population stability index, from which on a difference matters
    missing: float = 0.05  # difference in the share of missing values, from which on it matters
    alpha: float = 0.01  # of the tests of one window together
    min_rows: int = 200  # in a window; fewer are not judged
    ignore: tuple[str, ...] = ()  # columns, such as a date that always goes on


@dataclass(frozen=True)
class Column:
    """One column of a window beside the reference."""

    name: str  # of an input, or of a prediction
    is_prediction: bool
    kind: str
    psi: float
    test: str  # KS, chi-squared, or "" where there is nothing to compare
    statistic: float
    p: float  # corrected
    missing: float  # share in the window
    missing_before: float
    missing_p: float  # corrected
    out_of_range: float  # share of the window's values
    new: float  # share of values that are none of the reference's categories
    expected: list[float] = field(default_factory=list)  # shares by bin, for the picture
    actual: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    drifted: bool = False


def read_rules(file: Path, given: object) -> Rules:
    """Return the table `drift` of a model.toml; raise SlipwayError for one that cannot be used."""
    known = Rules()
    if not isinstance(given, dict) or given.keys() - vars(known).keys():
        raise SlipwayError(f"{file}: drift takes {', '.join(vars(known))}", CURE)
    for name, value in given.items():
        if name == "ignore":
            if not isinstance(value, list) or not all(isinstance(column, str) for column in value):
                raise SlipwayError(f"{file}: drift.ignore is {value!r}; must be a list of columns", CURE)
        elif isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise SlipwayError(f"{file}: drift.{name} is {value!r}; must be a number above 0", CURE)
    numbers = {name: value for name, value in given.items() if name != "ignore"}
    return replace(known, **numbers, ignore=tuple(given.get("ignore", ())))


def compare(known: dict[str, Any], rows: pd.DataFrame, rules: Rules) -> list[Column]:
    """Return the columns that both a reference and a window of the log have, drifted ones first.

    Raises nothing for columns that one of them lacks: those are left out.
    """
    found: list[Column] = []
    for part, prefix in (("columns", IN), ("predictions", OUT)):
        for name, described in known.get(part, {}).items():
            if f"{prefix}{name}" in rows and name not in rules.ignore:
                values = rows[f"{prefix}{name}"]
                rows_before = int(known["rows" if part == "columns" else "predicted"])
                found.append(_compare(name, described, values, rows_before, is_prediction=part == "predictions"))
    corrected = statistics.holm([p for column in found for p in (column.p, column.missing_p)])
    judged = []
    for at, column in enumerate(found):
        p, missing_p = corrected[2 * at], corrected[2 * at + 1]
        differs = p < rules.alpha and column.psi >= rules.psi
        lacks = missing_p < rules.alpha and abs(column.missing - column.missing_before) >= rules.missing
        judged.append(replace(column, p=p, missing_p=missing_p, drifted=differs or lacks))
    return sorted(judged, key=lambda column: (not column.drifted, -column.psi))


def _compare(name: str, known: dict[str, Any], values: pd.Series, rows: int, *, is_prediction: bool) -> Column:
    present, kind = values.dropna(), known["kind"]
    numbers = None
    if len(present) and kind == reference.NUMBER and reference.kind_of(present) == reference.NUMBER:
        numbers = reference.as_numbers(present)  # what is not finite counts as missing
    there = len(present) if numbers is None else len(numbers)
    missing, before = 1 - there / max(len(values), 1), float(known["missing"])
    _, missing_p = statistics.chi_squared(
        [before * rows, (1 - before) * rows], [missing * len(values), (1 - missing) * len(values)]
    )
    found: dict[str, Any] = {"psi": 0.0, "test": "", "statistic": 0.0, "p": 1.0, "out_of_range": 0.0, "new": 0.0}
    if numbers is not None and there:
        found |= _of_numbers(known, numbers, round(rows * (1 - before)))
    elif len(present) and kind == reference.CATEGORY:
        found |= _of_categories(known, present, rows * (1 - before))
    return Column(name, is_prediction, kind, missing=missing, missing_before=before, missing_p=missing_p, **found)


def _of_numbers(known: dict[str, Any], numbers: np.ndarray, rows: int) -> dict[str, Any]:
    quantiles = known["quantiles"]
    expected, actual = statistics.shares_of_numbers(quantiles, numbers)
    statistic, p = statistics.ks_of_quantiles(quantiles, rows, numbers)
    outside = float(((numbers < known["min"]) | (numbers > known["max"])).mean())
    every = (len(quantiles) - 1) // statistics.BINS
    labels = [f"{point:.3g}" for point in np.unique(np.asarray(quantiles)[::every])]
    return {
        "psi": statistics.psi(expected, actual), "test": "KS", "statistic": statistic, "p": p,
        "out_of_range": outside, "expected": expected, "actual": actual, "labels": labels,
    }  # fmt: skip


def _of_categories(known: dict[str, Any], present: pd.Series, rows: float) -> dict[str, Any]:
    categories: dict[str, float] = known["categories"]
    texts = [text[: reference.LONGEST] for text in reference.as_categories(present)]
    expected, actual, new = statistics.counts_of_categories(categories, texts)
    statistic, p = statistics.chi_squared(
        [share * rows for share in expected], [share * len(texts) for share in actual]
    )
    outside = 0.0
    if "min" in known and reference.kind_of(present) == reference.NUMBER:
        numbers = reference.as_numbers(present)
        outside = float(((numbers < known["min"]) | (numbers > known["max"])).mean()) if len(numbers) else 0.0
    return {
        "psi": statistics.psi(expected, actual), "test": "chi-squared", "statistic": statistic, "p": p, "new": new,
        "out_of_range": outside, "expected": expected, "actual": actual, "labels": [*categories, "others"],
    }  # fmt: skip
