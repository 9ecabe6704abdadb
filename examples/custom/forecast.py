"""The model, as code: what a shop sells in a month and the months after it, with an interval."""

from statistics import NormalDist
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

START = pd.Period("2020-01", "M")


def count_months(dates: pd.Series) -> np.ndarray:
    """Return the months from START to each of n dates."""
    return np.asarray((dates.dt.year - START.year) * 12 + dates.dt.month - START.month)


def describe_months(months: np.ndarray) -> np.ndarray:
    """Return for n months what the forecast is linear in, (n, 4): a level, a trend and the season of the year."""
    angle = 2 * np.pi * months / 12
    return np.column_stack([np.ones(len(months)), months, np.sin(angle), np.cos(angle)])


class Forecast(PythonModel):
    """Answers three columns: `expected`, and `low` and `high`, between which the share `level` of all months lies."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights (4) and the spread of each shop."""
        with np.load(context.artifacts["weights"], allow_pickle=False) as file:
            self.shops = {name: (row[:-1], row[-1]) for name, row in file.items()}

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return what is sold in `horizon` months, of which each row names the first."""
        horizon, level = (params or {}).get("horizon", 1), (params or {}).get("level", 0.9)
        if horizon < 1 or not 0 < level < 1:
            raise _bad("horizon must be at least 1, and level between 0 and 1")
        if unknown := set(model_input["shop"]) - self.shops.keys():
            raise _bad(f"no such shop: {', '.join(sorted(map(str, unknown)))}; known: {', '.join(self.shops)}")
        weights = np.array([self.shops[shop][0] for shop in model_input["shop"]])
        spread = np.array([self.shops[shop][1] for shop in model_input["shop"]]) * np.sqrt(horizon)
        first = count_months(model_input["month"])
        expected = sum((describe_months(first + ahead) * weights).sum(axis=1) for ahead in range(horizon))
        reach = NormalDist().inv_cdf((1 + level) / 2) * spread
        return pd.DataFrame({"expected": expected, "low": expected - reach, "high": expected + reach})


def _bad(words: str) -> MlflowException:
    return MlflowException(words, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(Forecast())
