"""Score a logged model on the rows that the training script keeps apart, and log the scores to the model's own run.

No Slipway in it.

MLFLOW_TRACKING_URI says where the model is logged. A regressor or a classifier, of any flavour that mlflow.pyfunc
loads, with one output or several: scores.py says what it may answer.
"""

import argparse
import ast
import hashlib
import importlib
import sys
import time
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.entities import DatasetInput, InputTag, LoggedModelInput, Metric
from mlflow.exceptions import MlflowException
from scores import InvalidError, Scored, measure, read, words
from sklearn import metrics
from sklearn.base import is_classifier

CONTEXT = "validation"
T = TypeVar("T")
FOLDER = Path(__file__).parent
WITH_METHODS = ("sklearn", "xgboost", "lightgbm", "catboost")  # flavours whose classifiers give probabilities
NAMED_CLASSES = 20  # a confusion matrix of more shows no numbers, a ROC picture no names


class HeldOut:
    """The rows that a model is scored on: features (a DataFrame, or an array of any rank) and true values.

    `load_data` returns training rows and these: as two DataFrames with the column `target` (or several, `target_…`),
    as two pairs of features and targets, or as scikit-learn's train_test_split(features, targets) does.
    """

    def __init__(self, data: Any) -> None:  # noqa: ANN401 -- as load_data has it
        *_, rows = data
        if len(data) == 4:  # noqa: PLR2004
            self.features, true = data[1], data[3]
        elif isinstance(rows, tuple | list):
            self.features, true = rows
        else:
            targets = [name for name in rows if str(name) == "target" or str(name).startswith("target_")]
            if not targets:
                raise InvalidError(f"the held-out rows of load_data have no column target: {', '.join(map(str, rows))}")
            self.features, true = rows.drop(columns=targets), rows[targets]
        names = list(getattr(true, "columns", [])) or [f"target_{at}" for at in range(np.shape(true)[-1])]
        self.true = np.asarray(true)
        self.names = [str(name).removeprefix("target_") for name in names] if self.true.ndim > 1 else ["target"]

    def to_dataset(self, name: str) -> Any:  # noqa: ANN401 -- MLflow's datasets share no type
        """Return it as MLflow logs it, with a digest of all values."""
        if not isinstance(self.features, pd.DataFrame):
            features, true = np.ascontiguousarray(self.features), np.ascontiguousarray(self.true)
            content = features.tobytes() + (true.tobytes() if true.dtype.kind != "O" else repr(true.tolist()).encode())
            digest = hashlib.sha256(content).hexdigest()[:8]
            return mlflow.data.from_numpy(features, targets=true, name=name, digest=digest)
        targets = ["target", *(f"target_{each}" for each in self.names)][: 1 if self.true.ndim == 1 else None]
        rows = self.features.assign(
            **dict(zip(targets[-len(self.names) :], self.true.reshape(len(self.true), -1).T, strict=True))
        )
        try:
            content = pd.util.hash_pandas_object(rows).to_numpy().tobytes()
        except TypeError:  # of columns of lists
            content = rows.to_json().encode()
        digest = hashlib.sha256(content + str(list(rows.columns)).encode()).hexdigest()[:8]
        return mlflow.data.from_pandas(rows, targets=targets[-1], name=name, digest=digest)


def hold_out() -> tuple[HeldOut, str]:
    """Return the rows that the training script holds out, and the model's name."""
    known = tomllib.loads((FOLDER / "model.toml").read_text(encoding="utf-8"))
    script = FOLDER / known.get("script", "train.py")
    if not script.exists():
        raise InvalidError(f'there is no {script.name}: say in model.toml which file has load_data, script = "…"')
    tree = ast.parse(script.read_text(encoding="utf-8"))
    defined = {getattr(each, "name", "") for each in tree.body} | {
        name.asname or name.name for each in tree.body if isinstance(each, ast.ImportFrom) for name in each.names
    }
    if "load_data" not in defined:  # looked up before the import, which would train where nothing prevents it
        raise InvalidError(
            f"{script.name} has no function load_data, which returns the rows to train on and the rows to score on: "
            "add it, or let the gate in model.toml name metrics that the script logs"
        )
    module = importlib.import_module(script.stem)
    try:
        return HeldOut(module.load_data()), str(known["name"])
    except (TypeError, ValueError) as error:
        raise InvalidError(f"load_data does not return training rows and held-out rows: {words(error)}") from None


def load(uri: str) -> mlflow.pyfunc.PyFuncModel:
    """Load a model that can predict."""
    try:
        return mlflow.pyfunc.load_model(uri)
    except MlflowException as error:
        raise InvalidError(f"no model to validate at {uri}: {error.message.splitlines()[0]}") from None
    except Exception as error:  # noqa: BLE001 -- loading runs anyone's code
        raise InvalidError(f"{uri} does not load: {words(error)}") from None


def predict(model: mlflow.pyfunc.PyFuncModel, held_out: HeldOut) -> Scored:
    """Predict the held-out rows, with probabilities where the model is a classifier that gives them."""
    flavors = model.metadata.flavors or {}
    estimator = model.get_raw_model() if any(name in flavors for name in WITH_METHODS) else None
    schema = model.metadata.get_input_schema()
    features, probabilities = held_out.features, None
    if isinstance(features, np.ndarray) and schema is not None and schema.is_tensor_spec() and len(schema.inputs) == 1:
        features = features.astype(schema.inputs[0].type)
    kind = is_classifier(estimator) if "sklearn" in flavors else None
    try:
        predicted = model.predict(features)
        if hasattr(estimator, "predict_proba") and hasattr(estimator, "classes_"):
            kind, probabilities = True, np.asarray(estimator.predict_proba(features), dtype=float)
            if np.shape(predicted) == probabilities.shape:  # a model logged to answer with its probabilities
                predicted = estimator.predict(features)
    except Exception as error:  # noqa: BLE001 -- predicting runs anyone's code
        raise InvalidError(f"the model does not predict the held-out rows: {words(error)}") from None
    scored = read(held_out.true, predicted, held_out.names, is_classifier=kind)
    if probabilities is None or probabilities.ndim != 2 or scored.outputs:  # noqa: PLR2004
        return scored
    known = estimator.classes_.tolist()
    if unknown := set(scored.true.tolist()) - set(known):
        raise InvalidError(
            f"the held-out rows are of classes that the model does not know: {', '.join(sorted(map(str, unknown)))}"
        )
    return Scored(scored.true, scored.predicted, known, probabilities)


def draw(scored: Scored) -> dict[str, Figure]:
    """Draw what the model is judged by; of several outputs nothing."""
    mpl.use("agg")
    if scored.outputs:
        return {}
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
    data: Any,  # noqa: ANN401 -- MLflow's datasets share no type
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
    known = {
        given.dataset.digest for given in client.get_run(run_id).inputs.dataset_inputs if _context(given) == CONTEXT
    }
    if data.digest not in known:
        entity = data._to_mlflow_entity()  # noqa: SLF001 -- as mlflow.log_input does
        client.log_inputs(run_id, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", CONTEXT)])])
    for name, picture in pictures.items():
        client.log_figure(run_id, picture, f"validation/{name}.png")
    now = int(time.time() * 1000)
    place = {"model_id": model_id, "dataset_name": data.name, "dataset_digest": data.digest, "run_id": run_id}
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
    held_out, name = hold_out()
    model = load(uri)
    scored = predict(model, held_out)
    measured = measure(scored)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Hint: Inferred schema", UserWarning)  # of integers, which lack nothing here
        data = held_out.to_dataset(f"{name}-held-out")
    run_id = log(model, uri, data, measured, draw(scored))
    return measured, f"scores on {len(held_out.true)} held-out rows, logged to run {run_id}"


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


def _find(get: Callable[[str], T], key: str | None) -> T | None:
    try:
        return get(key) if key else None
    except MlflowException:
        return None


def _context(given: DatasetInput) -> str:
    return next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")


if __name__ == "__main__":
    main()
