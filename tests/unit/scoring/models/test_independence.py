"""Whether rows may share a call, of models that raise what no model should."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import mlflow.sklearn
import numpy as np
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator

from scoring import loading
from scoring.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aliases import Data


class Panicking(BaseEstimator):
    """Raises what is no Exception, as libraries in Rust do, for more than one row."""

    def predict(self, rows: Data) -> Data:
        """Return sums."""
        if len(rows) > 1:
            raise asyncio.CancelledError
        return np.asarray(rows).sum(axis=1)


def test_a_panic_costs_no_more_than_an_error(tmp_path: Path) -> None:
    """Only the example must be predicted: after what is asked beyond it, the model is loaded, and shares no calls."""
    row = np.ones((1, 3))
    mlflow.sklearn.save_model(
        Panicking(), str(tmp_path / "model"), serialization_format="cloudpickle", signature=infer_signature(row),
        input_example=row, pip_requirements=[],
    )  # fmt: skip

    assert not loading.load(Settings(tmp_path / "model")).batchable
