"""Score a logged model on the rows that train.py keeps apart, and log the scores to the model's own run.

No Slipway in it.

MLFLOW_TRACKING_URI says where the model is logged. A regressor or a classifier, of any flavour that mlflow.pyfunc
loads.
"""

import argparse
import hashlib
import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, Metric
from mlflow.exceptions import MlflowException
from sklearn import metrics
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import resample
from train import NAME, load_data

CONTEXT = "validation"
T = TypeVar("T")
RESAMPLES, SEED = 200, 42  # of the bootstrap that gives each score its spread
NAMED_CLASSES = 20  # a confusion matrix of more shows no numbers, a ROC picture no names
Scores = dict[str, Callable[[np.ndarray], float]]  # each takes the n positions of the rows to score


class InvalidError(Exception):
    """The model, or what it predicts, cannot be scored."""


@dataclass
class Scored:
    """What the model said to the n held-out rows.

    `classes` is empty for a regressor, `probabilities` (n, classes) may be None.
    """

    true: np.ndarray
    predicted: np.ndarray
    classes: list[Any]
    probabilities: np.ndarray | None


def load(uri: str) -> mlflow.pyfunc.PyFuncModel:
    """Load a model that can predict."""
    try:
        return mlflow.pyfunc.load_model(uri)
    except MlflowException as error:
        raise InvalidError(f"no model to validate at {uri}: {error.message.splitlines()[0]}") from None
    except Exception as error:  # noqa: BLE001 -- loading runs anyone's code
        raise InvalidError(f"{uri} does not load: {_words(error)}") from None


def predict(model: mlflow.pyfunc.PyFuncModel, rows: pd.DataFrame) -> Scored:
    """Predict the held-out rows, with probabilities where the model is a scikit-learn classifier that gives them."""
    features, true = rows.drop(columns="target"), rows["target"].to_numpy()
    estimator = model.get_raw_model() if "sklearn" in (model.metadata.flavors or {}) else None
    probabilities = None
    try:
        predicted = np.asarray(model.predict(features))
        if estimator is not None and is_classifier(estimator) and hasattr(estimator, "predict_proba"):
            probabilities = np.asarray(estimator.predict_proba(features), dtype=float)
            if predicted.shape == probabilities.shape:  # a model logged to answer with its probabilities
                predicted = np.asarray(estimator.predict(features))
    except Exception as error:  # noqa: BLE001 -- predicting runs anyone's code
        raise InvalidError(f"the model does not predict the held-out rows: {_words(error)}") from None
    if predicted.shape == (len(true), 1):
        predicted = predicted[:, 0]
    if predicted.shape != true.shape:
        raise InvalidError(
            f"the model predicts an array of shape {predicted.shape} for {len(true)} rows, one value a row is asked"
        )
    if pd.isna(predicted).any() or (predicted.dtype.kind == "f" and not np.isfinite(predicted).all()):
        raise InvalidError("the model predicts values that are no finite numbers")
    return sort(estimator, true, predicted, probabilities)


def sort(estimator: BaseEstimator, true: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None) -> Scored:
    """Tell a classifier's predictions from a regressor's; `estimator` is None for a model of another library."""
    if not (_are_classes(true, predicted) if estimator is None else is_classifier(estimator)):
        try:
            return Scored(true.astype(float), predicted.astype(float), [], None)
        except (TypeError, ValueError) as error:
            raise InvalidError(f"the model is not a classifier, and not all are numbers: {_words(error)}") from None
    if probabilities is None:
        return Scored(
            true,
            predicted,
            sorted({*true.tolist(), *predicted.tolist()}, key=lambda value: (str(type(value)), value)),
            None,
        )
    known = estimator.classes_.tolist()
    if unknown := set(true.tolist()) - set(known):
        raise InvalidError(
            f"the held-out rows are of classes that the model does not know: {', '.join(sorted(map(str, unknown)))}"
        )
    return Scored(true, predicted, known, probabilities)


def list_scores(scored: Scored) -> Scores:
    """Return the functions that score a choice of rows."""
    true, predicted, probabilities = scored.true, scored.predicted, scored.probabilities

    def by(
        function: Callable[..., float], given: np.ndarray = predicted, **options: object
    ) -> Callable[[np.ndarray], float]:
        return lambda rows: float(function(true[rows], given[rows], **options))

    if not scored.classes:
        return {
            "rmse": by(metrics.root_mean_squared_error),
            "mae": by(metrics.mean_absolute_error),
            "r2": by(metrics.r2_score),
        }
    scores = {
        "accuracy": by(metrics.accuracy_score),
        "f1_macro": by(metrics.f1_score, average="macro", zero_division=0),
    }
    if probabilities is None:
        return scores
    ranks = probabilities[:, 1] if len(scored.classes) == 2 else probabilities  # noqa: PLR2004 -- of the second class
    return scores | {
        "log_loss": by(metrics.log_loss, probabilities, labels=scored.classes),
        "roc_auc": by(metrics.roc_auc_score, ranks, multi_class="ovr", average="macro", labels=scored.classes),
    }


def measure(scored: Scored) -> dict[str, float]:
    """Return each score and its standard deviation over resampled rows (Efron's bootstrap, stratified by class)."""
    everything = np.arange(len(scored.true))
    strata = scored.true if scored.classes else None
    samples = [resample(everything, random_state=SEED + index, stratify=strata) for index in range(RESAMPLES)]
    measured = {}
    with warnings.catch_warnings(action="ignore"):  # of scores that one class, or one row, does not have
        for name, score in list_scores(scored).items():
            try:
                value, spread = score(everything), float(np.std([score(sample) for sample in samples], ddof=1))
            except (TypeError, ValueError) as error:
                raise InvalidError(f"what the model predicts has no {name}: {_words(error)}") from None
            measured |= {
                f"validation_{name}{end}": found
                for end, found in (("", value), ("_std", spread))
                if math.isfinite(found)
            }
    return measured


def draw(scored: Scored) -> dict[str, Figure]:
    """Draw what the model is judged by."""
    mpl.use("agg")
    names = ("confusion", "roc") if scored.classes else ("predicted_against_true", "residuals")
    figures = {name: Figure(figsize=(6, 4.5), layout="constrained") for name in names}
    axes = {name: figure.subplots() for name, figure in figures.items()}
    true, predicted = scored.true, scored.predicted
    if not scored.classes:
        ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
        axes["predicted_against_true"].scatter(true, predicted, s=12)
        axes["predicted_against_true"].plot(ends, ends, color="black", linewidth=1)
        axes["predicted_against_true"].set(xlabel="true", ylabel="predicted", title="Predictions for the held-out rows")
        axes["residuals"].scatter(predicted, true - predicted, s=12)
        axes["residuals"].axhline(0, color="black", linewidth=1)
        axes["residuals"].set(xlabel="predicted", ylabel="true − predicted", title="Residuals of the held-out rows")
        return figures
    few = len(scored.classes) <= NAMED_CLASSES
    metrics.ConfusionMatrixDisplay.from_predictions(
        true,
        predicted,
        labels=scored.classes,
        ax=axes["confusion"],
        include_values=few,
        xticks_rotation="vertical",
        colorbar=not few,
    )
    axes["confusion"].set(title="Predictions for the held-out rows")
    if scored.probabilities is None:
        return {"confusion": figures["confusion"]}
    for index, name in enumerate(scored.classes):
        if 0 < (positive := true == name).sum() < len(true):
            wrong, right, _ = metrics.roc_curve(positive, scored.probabilities[:, index])
            axes["roc"].plot(wrong, right, label=f"{name}: AUC {metrics.auc(wrong, right):.3f}")
    axes["roc"].plot([0, 1], [0, 1], color="black", linewidth=1)
    axes["roc"].set(
        xlabel="false positive rate", ylabel="true positive rate", title="Held-out rows, each class against the rest"
    )
    if few:
        axes["roc"].legend(loc="lower right")
    return figures


def log(
    model: mlflow.pyfunc.PyFuncModel,
    uri: str,
    rows: pd.DataFrame,
    measured: dict[str, float],
    pictures: dict[str, Figure],
) -> str:
    """Log scores, data and pictures to the model's run, whose state stays as it is; return the run's id."""
    client = mlflow.MlflowClient()
    run_id, model_id = model.metadata.run_id, model.metadata.model_id
    model_id = model_id if _find(client.get_logged_model, model_id) else None  # one of another server's
    run = _find(client.get_run, run_id)
    if run is None or run.info.lifecycle_stage != "active":  # logged outside a run, or the run was deleted
        with mlflow.start_run(tags={"validated.model": uri}) as run:
            run_id = run.info.run_id
        if model_id:
            client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
    digest = hashlib.sha256(
        pd.util.hash_pandas_object(rows).to_numpy().tobytes() + str(list(rows.columns)).encode()
    ).hexdigest()[:8]
    known = {
        given.dataset.digest for given in client.get_run(run_id).inputs.dataset_inputs if _context(given) == CONTEXT
    }
    if digest not in known:
        warnings.filterwarnings("ignore", "Hint: Inferred schema", UserWarning)  # of integers, which lack nothing here
        data = mlflow.data.from_pandas(rows, targets="target", name=f"{NAME}-held-out", digest=digest)
        entity = data._to_mlflow_entity()  # noqa: SLF001 -- as mlflow.log_input does
        client.log_inputs(run_id, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", CONTEXT)])])
    for name, picture in pictures.items():
        client.log_figure(run_id, picture, f"validation/{name}.png")
    now = int(time.time() * 1000)
    place = {"model_id": model_id, "dataset_name": f"{NAME}-held-out", "dataset_digest": digest, "run_id": run_id}
    client.log_batch(run_id, metrics=[Metric(name, value, now, 0, **place) for name, value in measured.items()])
    return run_id


def show(measured: dict[str, float], title: str) -> None:
    """Print the scores, each with its spread."""
    print(title)
    for name, value in measured.items():
        if not name.endswith("_std"):
            spread = f" ± {measured[f'{name}_std']:.4g}" if f"{name}_std" in measured else ""
            print(f"  {name:<22} {value:.5g}{spread}")


def score(uri: str) -> tuple[dict[str, float], str]:
    """Score a logged model on the held-out rows, and log that to its run.

    Return the scores, and a line that says where they are.
    """
    rows = load_data()[1]
    model = load(uri)
    scored = predict(model, rows)
    measured = measure(scored)
    run_id = log(model, uri, rows, measured, draw(scored))
    return measured, f"scores on {len(rows)} held-out rows, logged to run {run_id}"


def main() -> None:
    """Validate one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "model",
        help="the model's URI: models:/name/3, models:/name@alias, models:/m-<id>, runs:/<run>/model, or a path",
    )
    uri = parser.parse_args().model
    try:
        show(*score(uri))
    except InvalidError as error:
        sys.exit(f"error: {error}")
    except MlflowException as error:
        sys.exit(f"error: MLflow did not accept the scores: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def _are_classes(true: np.ndarray, predicted: np.ndarray) -> bool:
    """Whether a model that does not say what it is predicts classes: words, or only integers that the data has."""
    return true.dtype.kind not in "fiu" or (true.dtype.kind in "iu" and set(predicted.tolist()) <= set(true.tolist()))


def _find(get: Callable[[str], T], key: str | None) -> T | None:
    try:
        return get(key) if key else None
    except MlflowException:
        return None


def _context(given: DatasetInput) -> str:
    return next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    main()
