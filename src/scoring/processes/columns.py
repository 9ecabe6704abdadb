"""Predictions as columns of a table: `prediction`, or `prediction_<name>` for each of several values of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scoring.errors import bad

if TYPE_CHECKING:
    from scoring.models.aliases import Predictions

NAME = "prediction"
MATRIX = 2  # dimensions


def to_columns(predictions: Predictions, classes: list[Any] | None = None) -> pd.DataFrame:
    """Return n rows of columns for the predictions of n rows; `classes` name the columns of probabilities.

    Raises Refusal for what is not one value, or one row of values, for each row.
    """
    if isinstance(predictions, dict) and all(isinstance(value, list | np.ndarray) for value in predictions.values()):
        predictions = pd.DataFrame({name: list(value) for name, value in predictions.items()})
    elif isinstance(predictions, list) and predictions and all(isinstance(value, dict) for value in predictions):
        predictions = pd.DataFrame(predictions)
    elif isinstance(predictions, np.ndarray) and predictions.ndim == MATRIX:
        names = classes if classes and len(classes) == predictions.shape[1] else range(predictions.shape[1])
        predictions = pd.DataFrame(predictions, columns=list(names))
    if isinstance(predictions, pd.DataFrame):
        names = [NAME] if predictions.shape[1] == 1 else [f"{NAME}_{name}" for name in predictions]
        return predictions.set_axis(names, axis=1).reset_index(drop=True)
    if isinstance(predictions, np.ndarray) and predictions.ndim > MATRIX:
        predictions = predictions.tolist()
    if not isinstance(predictions, list | np.ndarray | pd.Series) or np.ndim(predictions) == 0:
        raise bad("the model's answer has no row for each row of the file: write a .json file")
    return pd.DataFrame({NAME: pd.Series(predictions).reset_index(drop=True)})
