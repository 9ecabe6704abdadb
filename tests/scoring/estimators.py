"""Estimators that do what a test needs; they are pickled by value, so that the server need not import them."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

if TYPE_CHECKING:
    from typing import Self

    from tests.aliases import Data


class Sum(RegressorMixin, BaseEstimator):
    """Predicts the sum of a row, plus a number that tells its version."""

    def __init__(self, plus: float = 0.0, ballast: int = 0) -> None:
        self.plus = plus
        self.ballast = ballast

    def fit(self, rows: Data, _: Data = None) -> Self:
        """Hold as many bytes as it is to weigh."""
        self.fitted_, self.weight_ = True, np.random.default_rng(0).random(self.ballast // 8)
        self.n_features_in_ = np.shape(rows)[1]
        return self

    def predict(self, rows: Data) -> Data:
        """Return the sums."""
        return np.asarray(rows, dtype=float).sum(axis=1) + self.plus


class Slow(Sum):
    """Takes as many seconds as the first column says at most."""

    def predict(self, rows: Data) -> Data:
        """Sleep, then return the sums; leave a file behind where a test wants one."""
        if witness := os.environ.get("SCORING_TEST_WITNESS"):
            Path(witness).touch()
        time.sleep(max(0.0, np.asarray(rows, dtype=float)[:, 0].max()))
        return super().predict(rows)


class LessMean(Sum):
    """Subtracts the mean of the whole batch, so its rows are not independent."""

    def predict(self, rows: Data) -> Data:
        """Return the sums less their mean."""
        sums = super().predict(rows)
        return sums - sums.mean()


class Moody(Sum):
    """Refuses some rows, each in its own way, and everybody whose batch they are in."""

    def predict(self, rows: Data) -> Data:
        """Return the sums, or fail."""
        first = np.asarray(rows, dtype=float)[:, 0]
        if np.isnan(first).any():
            raise ValueError("NaN")
        if (first > 1e100).any():
            raise OverflowError
        if (first == -2).any():
            return {"no JSON holds this"}
        if (first == -1).any():
            sys.exit("the model wants to leave")
        return super().predict(rows)


class Hold(Sum):
    """Keeps all of Python waiting while it is loaded, as a large pickle does."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Hold Python's lock for as many seconds as the test says."""
        ctypes.PyDLL(None).sleep(int(os.environ.get("SCORING_TEST_HOLD", "0")))
        super().__setstate__(state)


class Never(Sum):
    """Cannot predict anything."""

    def predict(self, _: Data) -> Data:
        """Fail."""
        raise RuntimeError(f"several\nlines of {os.name}")
