"""Train ElasticNet on scikit-learn's diabetes data and log it to MLflow. A plain script: no Slipway in it.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import matplotlib as mpl
import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet
from sklearn.model_selection import RepeatedKFold, cross_validate, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

NAME = tomllib.loads(Path(__file__).with_name("model.toml").read_text(encoding="utf-8"))["name"]
LIBRARIES = ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "skops")  # what the model needs to predict
SCORES = {"rmse": "neg_root_mean_squared_error", "mae": "neg_mean_absolute_error", "r2": "r2"}
SOURCE = "https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html"
HELD_OUT, SEED = 0.2, 42  # this share of the rows is kept for a validation; training never sees it


@dataclass
class Trained:
    """What training makes and MLflow gets; kept in a file when MLflow cannot be reached."""

    estimator: Pipeline
    params: dict[str, float]
    folds: dict[str, list[float]]  # every score of every fold, for the mean and its spread
    run_id: str
    at: int  # ms since 1970: a metric logged twice with one time counts once


def load_data() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and the rows held out, each with the column `target`."""
    frame = load_diabetes(as_frame=True).frame
    train, held_out = train_test_split(frame, test_size=HELD_OUT, random_state=SEED)
    return train, held_out


def fit(params: dict[str, float], repeats: int, run_id: str) -> Trained:
    """Fit on the training rows, and cross-validate with 5 folds, `repeats` times over."""
    features = (data := load_data()[0]).drop(columns="target")
    pipeline = make_pipeline(StandardScaler(), ElasticNet(**params))
    folds: dict[str, list[float]] = {name: [] for name in SCORES}
    for repeat in tqdm(range(repeats), desc="cross-validation", delay=2):
        splits = RepeatedKFold(n_splits=5, n_repeats=1, random_state=SEED + repeat)
        scores = cross_validate(pipeline, features, data["target"], cv=splits, scoring=SCORES)
        for name, scorer in SCORES.items():
            folds[name] += (scores[f"test_{name}"] * (-1 if scorer.startswith("neg_") else 1)).tolist()
    pipeline.fit(features, data["target"])
    return Trained(pipeline, params, folds, run_id, int(time.time() * 1000))


def log(trained: Trained) -> None:
    """Log parameters, metrics, data, pictures and the model to the run, and register the model."""
    train, _ = load_data()
    features = train.drop(columns="target")
    first_rows = load_diabetes(as_frame=True).frame.head(5)

    mlflow.log_params(trained.params)
    metrics = []
    for name, scores in trained.folds.items():
        metrics += [Metric(f"fold_{name}", score, trained.at, step) for step, score in enumerate(scores)]
        metrics += [
            Metric(name, pd.Series(scores).mean(), trained.at, 0),
            Metric(f"{name}_std", pd.Series(scores).std(), trained.at, 0),
        ]
    for start in range(0, len(metrics), 1000):  # MLflow takes at most 1,000 in one call
        mlflow.MlflowClient().log_batch(trained.run_id, metrics=metrics[start : start + 1000])
    mlflow.log_input(mlflow.data.from_pandas(train, source=SOURCE, targets="target", name=NAME), "training")
    mlflow.log_text(first_rows.to_csv(index=False), "sample.csv")
    for name, picture in draw(trained.estimator, features, train["target"]).items():
        mlflow.log_figure(picture, f"{name}.png")
    logged = mlflow.sklearn.log_model(
        trained.estimator,
        name="model",
        signature=mlflow.models.infer_signature(features, trained.estimator.predict(features)),
        input_example=first_rows.drop(columns="target"),
        pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],  # finding them out would cost 3 s
        registered_model_name=NAME,
    )
    import validate  # noqa: PLC0415 -- which imports this module

    with contextlib.suppress(
        validate.InvalidError, MlflowException
    ):  # the model is logged, and validate.py says what is wrong with it
        validate.score(logged.model_uri)  # what decides between versions is known from the start


def draw(pipeline: Pipeline, features: pd.DataFrame, target: pd.Series) -> dict[str, Figure]:
    """Draw the residuals of the training rows and the coefficients."""
    mpl.use("agg")
    residuals, coefficients = (Figure(figsize=(6, 4), layout="constrained") for _ in range(2))
    predicted = pipeline.predict(features)
    axes = residuals.subplots()
    axes.scatter(predicted, target - predicted, s=12)
    axes.axhline(0, color="black", linewidth=1)
    axes.set(xlabel="predicted", ylabel="true − predicted", title="Residuals on the training rows")
    axes = coefficients.subplots()
    axes.barh(features.columns, pipeline[-1].coef_)
    axes.set(xlabel="coefficient of the standardised column", title="Coefficients")
    return {"residuals": residuals, "coefficients": coefficients}


def main() -> None:
    """Train and log; when MLflow is gone for good, keep what was trained in a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=0.05, help="strength of the penalty")
    parser.add_argument("--l1-ratio", type=float, default=0.5, help="0: ridge, 1: lasso")
    parser.add_argument("--repeats", type=int, default=4, help="how often to cross-validate")
    parser.add_argument("--kept", type=Path, help="log this file, kept by an earlier training, instead of training")
    args = parser.parse_args()

    trained: Trained | None = joblib.load(args.kept) if args.kept else None
    try:
        with mlflow.start_run(run_id=trained and trained.run_id) as run:
            trained = trained or fit({"alpha": args.alpha, "l1_ratio": args.l1_ratio}, args.repeats, run.info.run_id)
            try:
                log(trained)
            except MlflowException:
                os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = (
                    "0"  # ending the run need not wait for a dead server again
                )
                raise
    except MlflowException as error:
        if trained:
            file = Path(os.environ.get("KEPT_DIR", tempfile.gettempdir())) / f"{NAME}-{trained.run_id}.joblib"
            joblib.dump(trained, file)
            print(f"kept: {file}", file=sys.stderr)
        sys.exit(f"error: MLflow did not accept the run: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
