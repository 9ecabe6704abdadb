"""Validation through `make validate_model`'s script: real models of both kinds, against a real tracking server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn import metrics
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.registry import model_uri
from slipway.registry.client import Registry
from slipway.settings import ROOT, Settings
from slipway.training import measurements, validate
from tests.conftest import find_command
from tests.services.conftest import Tracking

Script = Callable[..., "subprocess.Popen[str]"]
REGRESSION = {f"validation_{name}{end}" for name in ("rmse", "mae", "r2") for end in ("", "_std")}
CLASSIFICATION = {
    f"validation_{name}{end}" for name in ("accuracy", "f1_macro", "log_loss", "roc_auc") for end in ("", "_std")
}
IRIS = """
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
NAME = "{name}"
def load_data():
    frame = load_iris(as_frame=True).frame
    frame["target"] = frame["target"].map({classes})
    return train_test_split(frame, test_size=0.3, random_state=1)
"""


def write_folder(path: Path, name: str, metric: str = "validation_rmse") -> Path:
    """Copy the model folder under another registered name."""
    shutil.copytree(ROOT / "model", path, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (path / "model.toml").write_text(f'name = "{name}"\nmetric = "{metric}"\ndirection = "minimize"\n')
    return path


@pytest.fixture(scope="module")
def trained(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder that was trained once."""
    path = write_folder(tmp_path_factory.mktemp("trained") / "scored", "scored")
    variables = {
        "RUNTIME": "host",
        "MLFLOW_TRACKING_URI": tracking.url,
        "MODEL_DIR": str(path),
        "TRAIN_ARGS": "--repeats 1",
    }
    subprocess.run(
        find_command("train_model"), cwd=ROOT, env={**os.environ, **variables}, check=True, capture_output=True
    )
    return path


@pytest.fixture
def settings(served_settings: Settings, trained: Path) -> Settings:
    """Return settings for the trained folder."""
    return replace(served_settings, model_dir=trained)


def test_scores_data_and_pictures_reach_the_models_own_run(
    registry: Registry, client: MlflowClient, trained: Path, script: Script
) -> None:
    """The newest version is scored, twice.

    Scores with their spread, data once, two pictures, and the run's end stays as it was.
    """
    version = registry.find_versions("scored")[1]
    assert version.run_id
    assert version.source
    before = client.get_run(version.run_id)
    for _ in range(2):
        printed, _ = (process := script("validate_model", MODEL_DIR=str(trained))).communicate()
        assert process.returncode == 0, printed
    run = client.get_run(version.run_id)
    assert run.inputs
    held_out = [given for given in run.inputs.dataset_inputs if given.tags[0].value == "validation"]
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    assert logged.metrics

    assert run.data.metrics.keys() >= REGRESSION
    assert (run.info.status, run.info.end_time) == ("FINISHED", before.info.end_time)
    assert len(held_out) == 1
    assert held_out[0].dataset.name == "scored-held-out"
    assert {(metric.dataset_name, metric.dataset_digest) for metric in logged.metrics if metric.key in REGRESSION} == {
        ("scored-held-out", held_out[0].dataset.digest)
    }
    names = {file.path for file in client.list_artifacts(version.run_id, "validation")}
    assert names == {"validation/predicted_against_true.png", "validation/residuals.png"}
    assert f"validation_rmse        {run.data.metrics['validation_rmse']:.5g} ± " in printed
    assert re.search(r"next  RUNTIME=host .*make compare MODEL=models:/scored/1", printed)

    measured = measurements.measure(registry, model_uri.resolve(registry, "models:/scored/1"))
    assert {**measured.metrics} == {
        name: value for name, value in run.data.metrics.items() if not name.startswith("fold_")
    }
    assert (measured.data, measured.params) == (held_out[0].dataset.digest, run.data.params)
    assert measured.libraries["scikit-learn"] == "1.9.1"
    assert measured.commit == run.data.tags.get("mlflow.source.git.commit", "") == ""  # its folder is in no repository


def test_a_version_is_validated_once_by_the_same_code(
    settings: Settings, registry: Registry, client: MlflowClient
) -> None:
    """What has been scored by this code is not scored again; a change of the code is a reason to."""
    version, model = model_uri.resolve(registry, "models:/scored/1"), model_folder.load(settings.model_dir)

    def count() -> int:
        return len(client.get_metric_history(str(version.run_id), "validation_rmse"))

    validate.ensure(settings, registry, model, version)
    before = count()
    validate.ensure(settings, registry, model, version)
    same = count()
    with (settings.model_dir / "train.py").open("a") as file:
        file.write("# another code\n")
    validate.ensure(settings, registry, model, version)

    assert (same, count()) == (before, before + 1)


def test_a_folder_without_the_script_has_nothing_to_validate_with(
    settings: Settings, registry: Registry, tmp_path: Path
) -> None:
    """Without validate.py a release takes what is on record, and the command says what is missing."""
    bare = write_folder(tmp_path / "bare", "scored")
    (bare / "validate.py").unlink()
    version = model_uri.resolve(registry, "models:/scored/1")
    before = measurements.measure(registry, version)
    validate.ensure(settings, registry, model_folder.load(bare), version)

    assert measurements.measure(registry, version) == before
    with pytest.raises(SlipwayError, match=r"bare/ has no validate\.py"):
        validate.validate(replace(settings, model_dir=bare))


@pytest.mark.parametrize("classes", [{0: "a", 1: "b", 2: "c"}, {0: 3, 1: 5, 2: 7}], ids=["words", "integers"])
def test_a_classifier_is_scored_with_its_probabilities(
    tracking: Tracking, client: MlflowClient, script: Script, tmp_path: Path, classes: dict[int, str | int]
) -> None:
    """Accuracy, F1, log loss and ROC AUC are those that scikit-learn computes of the held-out rows.

    There is a curve and a table.
    """
    name = f"iris-{classes[0]}"
    folder = write_folder(tmp_path / "iris", name)
    (folder / "train.py").write_text(IRIS.format(name=name, classes=classes))
    frame = load_iris(as_frame=True).frame
    frame["target"] = frame["target"].map(classes)
    train, held_out = train_test_split(frame, test_size=0.3, random_state=1)
    features = train.drop(columns="target")
    model = LogisticRegression(C=0.01).fit(features, train["target"])
    mlflow.set_tracking_uri(tracking.url)
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(features),
            pip_requirements=["mlflow==3.17.2"],
            registered_model_name=name,
        )
    printed, _ = (process := script("validate_model", MODEL=f"models:/{name}/1", MODEL_DIR=str(folder))).communicate()
    true, rows = held_out["target"], held_out.drop(columns="target")
    found = client.get_run(run.info.run_id).data.metrics

    assert process.returncode == 0, printed
    assert found.keys() == CLASSIFICATION
    assert found["validation_accuracy"] == pytest.approx(metrics.accuracy_score(true, model.predict(rows)))
    assert found["validation_f1_macro"] == pytest.approx(metrics.f1_score(true, model.predict(rows), average="macro"))
    assert found["validation_log_loss"] == pytest.approx(metrics.log_loss(true, model.predict_proba(rows)))
    assert found["validation_roc_auc"] == pytest.approx(
        metrics.roc_auc_score(true, model.predict_proba(rows), multi_class="ovr")
    )
    assert {file.path for file in client.list_artifacts(run.info.run_id, "validation")} == {
        "validation/roc.png",
        "validation/confusion.png",
    }


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("return [1.0]", r"an array of shape \(1,\) for 89 rows"),
        ("return [float('nan')] * len(model_input)", "no finite numbers"),
        ("raise ValueError('not\\ntoday')", "does not predict the held-out rows: ValueError: not today"),
        ("return ['much'] * len(model_input)", "not all are numbers"),
    ],
    ids=["too few", "not finite", "fails", "words"],
)
def test_a_model_that_cannot_be_scored_is_refused(
    client: MlflowClient, trained: Path, script: Script, code: str, words: str
) -> None:
    """One line says what is wrong with the predictions, and the run is as it was."""
    source = trained.parent / "source.py"
    source.write_text(
        "import mlflow\nclass Bad(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n"
        f"        {code}\nmlflow.models.set_model(Bad())\n"
    )
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(name="model", python_model=source, pip_requirements=["mlflow==3.17.2"])
    printed, _ = (process := script("validate_model", MODEL=info.model_uri, MODEL_DIR=str(trained))).communicate()

    assert process.returncode == 1
    assert re.search(f"^error: .*{words}", printed, re.MULTILINE), printed
    assert "Traceback" not in printed
    assert not client.get_run(run.info.run_id).data.metrics
    inputs = client.get_run(run.info.run_id).inputs
    assert inputs
    assert not inputs.dataset_inputs


def test_a_model_without_predict_and_one_that_is_not_there_are_refused(
    tracking: Tracking, trained: Path, script: Script
) -> None:
    """A transformer cannot be validated, nor can a version that is not in the registry; each is said in words."""
    mlflow.set_tracking_uri(tracking.url)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            StandardScaler().fit([[1.0]]), name="model", pip_requirements=["mlflow==3.17.2"]
        )
    scaler, _ = script("validate_model", MODEL=info.model_uri, MODEL_DIR=str(trained)).communicate()
    missing, _ = (process := script("validate_model", MODEL="models:/scored/99", MODEL_DIR=str(trained))).communicate()

    assert "error: no model to validate" in scaler
    assert "Traceback" not in scaler + missing
    assert process.returncode == 1
    assert "error: scored has no version 99; available: 1" in missing


def test_a_model_that_was_logged_outside_a_run_gets_one(client: MlflowClient, trained: Path, tmp_path: Path) -> None:
    """`mlflow run -e validate`, without Slipway.

    The scores of a model without a run lie in a new one, and with the model.
    """
    mlflow.set_tracking_uri(client.tracking_uri)
    columns = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    model = DummyRegressor().fit(np.zeros((2, len(columns))), [100.0, 200.0])
    info = mlflow.sklearn.log_model(model, name="lonely", pip_requirements=["mlflow==3.17.2"])
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": client.tracking_uri,
    }
    command = [
        "mlflow",
        "run",
        str(trained),
        "-e",
        "validate",
        "-P",
        f"model={info.model_uri}",
        "--env-manager",
        "local",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, check=False, capture_output=True, text=True
    )
    logged = client.get_logged_model(info.model_id)

    assert done.returncode == 0, done.stderr
    assert logged.metrics
    assert {metric.key for metric in logged.metrics} == REGRESSION
    run = client.get_run(logged.metrics[0].run_id or "")
    assert run.info.status == "FINISHED"
    assert run.data.metrics.keys() == REGRESSION


def test_what_is_known_of_a_version_outlives_its_run(registry: Registry, client: MlflowClient) -> None:
    """A version that was never validated, and whose run was deleted, has no scores, and is no error."""
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            DummyRegressor().fit([[0.0]], [1.0]),
            name="model",
            pip_requirements=["numpy==2.0.0"],
            registered_model_name="orphan",
        )
    client.delete_run(run.info.run_id)
    version = model_uri.resolve(registry, "models:/orphan/1")

    assert replace(measurements.measure(registry, version), libraries={}) == measurements.Measured()
