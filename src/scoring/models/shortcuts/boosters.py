"""LightGBM's and XGBoost's own models, called without the checks and threads of their interfaces for scikit-learn.

A predict of one row by LightGBM's interface is 20 µs of arithmetic and 350 to 700 µs of checks. What is returned here
is compared with the interface's own, by way of MLflow, to the bit (`scoring.models.ways`). Sources: lightgbm 4.7,
sklearn.py; xgboost 3.2, sklearn.py.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from scoring.models import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.models.aliases import Estimator

    Rows = Callable[[np.ndarray], np.ndarray]

FEW = 1024  # rows, for which starting threads takes longer than it saves
LIGHTGBM = {"Booster", "LGBMModel", "LGBMRegressor", "LGBMClassifier", "LGBMRanker"}
XGBOOST = {"Booster", "XGBModel", "XGBRegressor", "XGBClassifier", "XGBRFRegressor", "XGBRFClassifier", "XGBRanker"}


def find(model: Estimator, method: str) -> Rows | None:
    """Return what a model of one of the two libraries predicts of a matrix; None for any other, or one's own class."""
    kind = type(model)
    library = kind.__module__.split(".")[0]
    if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is not kind or kinds.overrides(model):
        return None
    if library == "lightgbm" and kind.__name__ in LIGHTGBM:
        return _lightgbm(model, method)
    if library == "xgboost" and kind.__name__ in XGBOOST:
        if kind.__name__ != "Booster":
            return getattr(model, method)  # type: ignore[no-any-return]
        return lambda rows: np.asarray(model.inplace_predict(rows, validate_features=False))
    return None


def _lightgbm(model: Estimator, method: str) -> Rows | None:
    booster: Estimator = getattr(model, "booster_", model)
    classes: np.ndarray | None = getattr(model, "classes_", None)

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(booster.predict(rows, num_threads=1 if len(rows) <= FEW else 0))

    if classes is None:
        return predict

    def probabilities(rows: np.ndarray) -> np.ndarray:
        found = predict(rows)
        return found if found.ndim > 1 else np.vstack((1.0 - found, found)).transpose()

    def choose(rows: np.ndarray) -> np.ndarray:
        return np.asarray(classes.take(probabilities(rows).argmax(axis=1)))

    return {"predict": choose, "predict_proba": probabilities}.get(method)
