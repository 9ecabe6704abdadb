"""Fit a forecast for each shop of data.csv and log it to MLflow as a model of our own code. A plain script.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import argparse
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from forecast import Forecast, count_months, describe_months
from mlflow.pyfunc import PythonModelContext

HERE = Path(__file__).parent
NAME = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))["name"]
LIBRARIES = ("mlflow-skinny", "numpy", "pandas")  # what the model needs to predict


def load_data(months: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on, and those of the last months, held out."""
    rows = pd.read_csv(HERE / "data.csv", parse_dates=["month"])
    is_held_out = count_months(rows["month"]) > count_months(rows["month"]).max() - months
    return rows[~is_held_out], rows[is_held_out]


def fit(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return four weights of each shop, by least squares, and the spread of what they do not explain."""
    weights = {}
    for shop, sold in rows.groupby("shop"):
        x, y = describe_months(count_months(sold["month"])), sold["sold"].to_numpy(float)
        found, *_ = np.linalg.lstsq(x, y, rcond=None)
        weights[str(shop)] = np.append(found, np.std(y - x @ found, ddof=x.shape[1]))
    return weights


def main() -> None:
    """Train, measure the last months, log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", type=int, default=12, help="months at the end that training does not see")
    args = parser.parse_args()

    train, held_out = load_data(args.held_out)
    with mlflow.start_run(), tempfile.TemporaryDirectory() as scratch:
        mlflow.log_params(vars(args))
        mlflow.log_input(mlflow.data.from_pandas(train, targets="sold", name=NAME), "training")
        file = Path(scratch, "weights.npz")
        np.savez(file, **fit(train))
        features, params = held_out[["shop", "month"]], {"horizon": 1, "level": 0.9}
        example = held_out.drop_duplicates("shop")[["shop", "month"]].reset_index(drop=True)
        model = Forecast()
        model.load_context(PythonModelContext({"weights": str(file)}, {}))
        answer = model.predict(features, params)
        sold = held_out["sold"].to_numpy()
        mlflow.log_metric("held_out_mae", float(np.abs(answer["expected"] - sold).mean()))
        mlflow.log_metric("held_out_coverage", float(((answer["low"] <= sold) & (sold <= answer["high"])).mean()))
        mlflow.pyfunc.log_model(
            name="model",
            python_model=HERE / "forecast.py",
            artifacts={"weights": str(file)},
            signature=mlflow.models.infer_signature(features, answer, params),
            input_example=example,
            pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],
            registered_model_name=NAME,
        )


if __name__ == "__main__":
    main()
