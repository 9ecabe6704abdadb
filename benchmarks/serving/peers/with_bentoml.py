"""A BentoML service around one estimator, batching if BENCH_BATCH is above 1: bentoml serve with_bentoml:Estimator."""

import os
from typing import Any

import bentoml
import joblib
import numpy as np
import pandas as pd

MODEL = os.environ["BENCH_MODEL"]
SIZE = int(os.environ["BENCH_BATCH"])
BATCHING = {"batchable": True, "max_batch_size": 100 * SIZE, "max_latency_ms": 1000} if SIZE > 1 else {}
TEXTS = "strings" in MODEL
Rows = list[dict[str, Any]] if TEXTS else np.ndarray  # BentoML 1.4 cannot batch a DataFrame


@bentoml.service(workers=1)
class Estimator:
    """An estimator behind /predict."""

    def __init__(self) -> None:
        self.estimator = joblib.load(MODEL)

    @bentoml.api(**BATCHING)
    def predict(self, rows: Rows) -> np.ndarray:
        """Predict the rows that BentoML has gathered."""
        return self.estimator.predict(pd.DataFrame(rows) if TEXTS else rows)
