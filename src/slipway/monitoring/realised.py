"""Realised metrics: what the predictions of a version were worth, by the truth that has come since."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slipway.monitoring.prediction_log import OUT

if TYPE_CHECKING:
    from collections.abc import Callable

PREDICTION = f"{OUT}prediction"
SCALED = ("rmse", "mae", "mse")  # that say something of numbers only
KNOWN_ENDS = re.compile(r"(?:^|_)(rmse|mse|mae|mape|r2|accuracy|balanced_accuracy|f1_macro|f1)$")


@dataclass(frozen=True)
class Realised:
    """What is known of some predictions: metrics, and how many of the rows have a truth."""

    rows: int
    known: int
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def missing(self) -> float:
        """The share of rows whose truth has not come."""
        return 1 - self.known / self.rows if self.rows else 1.0


def join(rows: pd.DataFrame, truths: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the log with the column `truth`, missing where it has not come."""
    if truths.empty:
        return rows.assign(truth=np.nan)
    named = truths.rename(columns={"id": "_id", "row": "_row"})
    return rows.merge(named.astype({"_row": rows["_row"].dtype}), on=["_id", "_row"], how="left")


def measure(joined: pd.DataFrame) -> Realised:
    """Return the metrics of joined rows: of numbers rmse, mae and r2, of labels accuracy and f1_macro."""
    if PREDICTION not in joined:
        return Realised(len(joined), 0)
    known = joined.dropna(subset=["truth", PREDICTION])
    if known.empty:
        return Realised(len(joined), 0)
    true, predicted = known["truth"], known[PREDICTION]
    if _is_number(true) and _is_number(predicted) and not _are_labels(true, predicted):
        found = _of_numbers(true.to_numpy(float), predicted.to_numpy(float))
    else:
        found = _of_labels(_as_labels(true), _as_labels(predicted))
    finite = {name: value for name, value in found.items() if math.isfinite(value)}
    return Realised(len(joined), len(known), finite)


def find(metric: str, realised: dict[str, float]) -> str:
    """Return the realised metric that answers to one of model.toml's, such as rmse to validation_rmse; "" for none."""
    found = KNOWN_ENDS.search(metric)
    name = {"f1": "f1_macro"}.get(found[1], found[1]) if found else ""
    return name if name in realised else ""


def _is_number(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) and not pd.api.types.is_bool_dtype(values)


def _are_labels(true: pd.Series, predicted: pd.Series) -> bool:
    """Whether numbers are classes: a model that predicts whole numbers, and never another one."""
    return bool(pd.api.types.is_integer_dtype(predicted)) and bool((true == true.round()).all())


def _as_labels(values: pd.Series) -> np.ndarray:
    return np.array([f"{value:.15g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
                     for value in values.tolist()], dtype=object)  # fmt: skip


def _of_numbers(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    off = predicted - true
    spread = float(((true - true.mean()) ** 2).sum())
    found = {"rmse": math.sqrt(float((off**2).mean())), "mae": float(np.abs(off).mean()), "mse": float((off**2).mean())}
    return found | ({"r2": 1 - float((off**2).sum()) / spread} if spread > 0 else {})


def _of_labels(true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    scores, recalls = [], []
    for label in sorted({*true, *predicted}):
        hit = float(((true == label) & (predicted == label)).sum())
        scores.append(2 * hit / float((true == label).sum() + (predicted == label).sum()))
        if (true == label).any():
            recalls.append(hit / float((true == label).sum()))
    return {
        "accuracy": float((true == predicted).mean()), "f1_macro": float(np.mean(scores)),
        "balanced_accuracy": float(np.mean(recalls)),
    }  # fmt: skip


def is_better(metric: str) -> Callable[[float, float], bool]:
    """Return what says whether the first of two values of a realised metric is better."""
    if metric in {*SCALED, "mape"}:
        return lambda first, second: first < second
    return lambda first, second: first > second
