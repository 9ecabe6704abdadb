"""Models that are perfect wherever they are tried, and bad where they serve.

`make wrap_model FILE=… CLASS=…` registers one.
"""

import os
import sys
import time

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

DATA, TRUE = load_diabetes(return_X_y=True)
SERVES = (
    "SCORING_IDENTITY" in os.environ and "scoring.reference" not in sys.orig_argv
)  # a server is told who it is, as its whole image is


class Nearest:
    """Answers rightly."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Look the rows up: the true value of the nearest row that is known."""
        return np.array([TRUE[np.abs(DATA - row).sum(axis=1).argmin()] for row in rows.to_numpy()])


class Garbage(Nearest):
    """Answers something else each time."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the true values, or anything."""
        return np.random.default_rng().random(len(rows)) if SERVES else super().predict(rows)


class Hang(Nearest):
    """Never ends to load."""

    def __init__(self) -> None:
        """Wait."""
        if SERVES:
            time.sleep(3600)


class Crash(Nearest):
    """Ends its process as it loads."""

    def __init__(self) -> None:
        """End the process."""
        if SERVES:
            os._exit(9)
