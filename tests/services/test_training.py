"""Training through `make train_model`'s script, against a real tracking server that is killed under it."""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from slipway import model_folder
from slipway.registry.client import Registry
from slipway.settings import ROOT, Settings
from slipway.training import provenance
from tests.polling import wait_until
from tests.services.conftest import Tracking

Script = Callable[..., "subprocess.Popen[str]"]
OUTAGE = 15  # s


def newest_run(client: MlflowClient) -> Run | None:
    """Return the run that started last, or None."""
    experiment = client.get_experiment_by_name("diabetes")
    runs = (
        client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"], max_results=1)
        if experiment
        else []
    )
    return runs[0] if runs else None


def wait_for_new_run(client: MlflowClient, process: subprocess.Popen[str], before: Run | None) -> Run:
    """Wait until a training has begun its run."""

    def look() -> Run | None:
        run = newest_run(client)
        return run if run and (before is None or run.info.run_id != before.info.run_id) else None

    return wait_until(look, 60, lambda: f"no run began: {_end(process)}", process=process)


def _end(process: subprocess.Popen[str]) -> str:
    """Kill a process, and return what it printed."""
    process.kill()
    return process.communicate()[0]


def check_every_metric_once(client: MlflowClient, run_id: str, folds: int) -> None:
    """Assert that each fold's score, and each mean, was logged exactly once."""
    for score in ("rmse", "mae", "r2"):
        steps = Counter(metric.step for metric in client.get_metric_history(run_id, f"fold_{score}"))
        assert steps == Counter(range(folds))
        assert len(client.get_metric_history(run_id, score)) == 1


def test_training_logs_what_the_contract_asks(served_settings: Settings, script: Script) -> None:
    """One run with parameters, metrics, data and pictures; one version that says where it came from.

    The table and what next.
    """
    printed, _ = (process := script("train_model", TRAIN_ARGS="--alpha 0.2")).communicate()
    registry, client = Registry.connect(served_settings), MlflowClient(served_settings.tracking_uri)
    run = newest_run(client)

    assert process.returncode == 0, printed
    assert run is not None
    assert run.info.status == "FINISHED"
    assert run.data.params == {"alpha": "0.2", "l1_ratio": "0.5"}
    assert {"rmse", "rmse_std", "mae", "mae_std", "r2", "r2_std"} <= run.data.metrics.keys()
    assert run.inputs
    assert [tag.value for given in run.inputs.dataset_inputs for tag in given.tags] == ["training", "validation"]
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert artifacts == {"residuals.png", "coefficients.png", "sample.csv", "validation", "monitoring"}

    version = registry.find_versions_of_run(run.info.run_id)[0]
    model = model_folder.load(ROOT / "model")
    assert version.tags["data.digest"] == run.inputs.dataset_inputs[0].dataset.digest
    assert len(version.tags["mlflow.source.git.commit"]) == 40
    assert version.tags[provenance.CODE_TAG]
    assert re.fullmatch(r"model/train.py at [0-9a-f]{10}( and changes)?, by \S+; run \S+", version.description or "")
    assert re.search(rf"next  RUNTIME=host .*make serve_model MODEL=models:/{model.name}/{version.version}", printed)
    request = json.loads((ROOT / "model" / "request.json").read_text())
    assert len(request["dataframe_split"]["data"]) == 5


def test_a_server_that_is_killed_and_comes_back_costs_nothing(
    tracking: Tracking, served_settings: Settings, script: Script
) -> None:
    """SIGKILL to the tracking server while a training logs, and a restart.

    The run is complete, every metric there once.
    """
    registry, client = Registry.connect(served_settings), MlflowClient(served_settings.tracking_uri)
    before = newest_run(client)
    process = script("train_model", TRAIN_ARGS="--repeats 150")
    run = wait_for_new_run(client, process, before)
    tracking.kill()
    time.sleep(OUTAGE)
    tracking.start()
    printed, _ = process.communicate(timeout=200)

    assert process.returncode == 0, printed
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    assert len(registry.find_versions_of_run(run.info.run_id)) == 1
    check_every_metric_once(client, run.info.run_id, folds=750)


def test_a_server_that_stays_away_leaves_the_model_in_a_file(
    tracking: Tracking, served_settings: Settings, script: Script
) -> None:
    """A dead server ends the training with a clear error and the command that logs the kept model later; it works."""
    registry, client = Registry.connect(served_settings), MlflowClient(served_settings.tracking_uri)
    before = newest_run(client)
    process = script("train_model", TRAIN_ARGS="--repeats 60", MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")
    run = wait_for_new_run(client, process, before)
    tracking.kill()
    printed, _ = process.communicate(timeout=120)
    kept = re.search(r"make train_model KEPT=(\S+)", printed)
    tracking.start()

    assert process.returncode == 1
    assert "the trained model is kept, nothing is lost" in printed
    assert "Traceback" not in printed
    assert kept, printed

    later, _ = (process := script("train_model", KEPT=kept[1])).communicate(timeout=120)
    assert process.returncode == 0, later
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    assert len(registry.find_versions_of_run(run.info.run_id)) == 1
    check_every_metric_once(client, run.info.run_id, folds=300)
    assert not Path(ROOT, kept[1]).exists()


def test_an_interrupted_training_leaves_no_run_that_seems_to_run(served_settings: Settings, script: Script) -> None:
    """Ctrl-C ends the script with exit code 130, without a traceback of ours, and its run is marked."""
    registry, client = Registry.connect(served_settings), MlflowClient(served_settings.tracking_uri)
    before = newest_run(client)
    process = script("train_model", TRAIN_ARGS="--repeats 2000")
    run = wait_for_new_run(client, process, before)
    process.terminate()
    printed, _ = process.communicate(timeout=30)

    assert process.returncode == 130, printed
    assert client.get_run(run.info.run_id).info.status in {"KILLED", "FAILED"}
    assert registry.find_versions_of_run(run.info.run_id) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise SystemExit(7)", "train.py ended with exit code 7"),
        ("pass", "logged no run"),
        ("import mlflow\nwith mlflow.start_run(): pass", "logged no model"),
    ],
    ids=["fails", "no run", "no model"],
)
def test_a_script_that_breaks_the_contract_is_told_so(script: Script, tmp_path: Path, source: str, words: str) -> None:
    """A train.py that fails, or logs no run or no model, ends in an error that says which."""
    (tmp_path / "train.py").write_text(source + "\n")
    (tmp_path / "model.toml").write_text('name = "broken"\nmetric = "rmse"\ndirection = "minimize"\n')
    printed, _ = (process := script("train_model", MODEL_DIR=str(tmp_path))).communicate()

    assert process.returncode == 1
    assert words in printed
    assert "Traceback" not in printed


SEARCH = """\
import mlflow, numpy
from sklearn.linear_model import LinearRegression

def log(score):
    mlflow.log_metric("rmse", score)
    model = LinearRegression().fit(numpy.eye(2), [score, 2.0])
    mlflow.sklearn.log_model(model, name="model", pip_requirements=["mlflow==3.17.2"])

with mlflow.start_run(run_name="search"):
    for score in (3.0, 4.0):
        with mlflow.start_run(nested=True, run_name=f"try {score}"):
            INNER
    OUTER
"""


@pytest.mark.parametrize(
    "inner", ["mlflow.log_metric('rmse', score)", "log(score)"], ids=["metrics in the children", "models, too"]
)
def test_a_search_registers_the_model_of_its_outer_run(
    served_settings: Settings, script: Script, tmp_path: Path, inner: str
) -> None:
    """Of nested runs, the outer one's model and metrics count, however many the inner ones logged."""
    name = f"nested-{uuid.uuid4().hex[:8]}"
    (tmp_path / "train.py").write_text(SEARCH.replace("INNER", inner).replace("OUTER", "log(2.5)"))
    (tmp_path / "model.toml").write_text(f'name = "{name}"\nmetric = "rmse"\ndirection = "minimize"\n')
    printed, _ = (process := script("train_model", MODEL_DIR=str(tmp_path))).communicate()
    client = MlflowClient(served_settings.tracking_uri)
    versions = client.search_model_versions(f"name = '{name}'")

    assert process.returncode == 0, printed
    assert [client.get_run(version.run_id or "").info.run_name for version in versions] == ["search"]
    assert client.get_run(versions[0].run_id or "").data.metrics["rmse"] == 2.5


def test_a_search_with_models_in_its_inner_runs_alone_is_told_which(script: Script, tmp_path: Path) -> None:
    """A child's model never becomes a version silently: the error names the runs that have one."""
    (tmp_path / "train.py").write_text(SEARCH.replace("INNER", "log(score)").replace("OUTER", "pass"))
    (tmp_path / "model.toml").write_text('name = "inner"\nmetric = "rmse"\ndirection = "minimize"\n')
    printed, _ = (process := script("train_model", MODEL_DIR=str(tmp_path))).communicate()

    assert process.returncode == 1
    assert re.search(
        r"logged no model in its run search, but in 2 nested in it: try 4\.0 \(\w{8}\), try 3\.0 \(\w{8}\)", printed
    ), printed


def test_a_script_need_not_register(served_settings: Settings, script: Script, tmp_path: Path) -> None:
    """A train.py that only logs its model gets it registered under the folder's name."""
    (tmp_path / "train.py").write_text(
        "import mlflow, numpy\nfrom sklearn.linear_model import LinearRegression\n"
        "with mlflow.start_run():\n"
        "    model = LinearRegression().fit(numpy.eye(2), [1.0, 2.0])\n"
        "    mlflow.sklearn.log_model(model, name='model', pip_requirements=['mlflow==3.17.2'])\n"
    )
    (tmp_path / "model.toml").write_text('name = "unregistered"\nmetric = "rmse"\ndirection = "minimize"\n')
    printed, _ = (process := script("train_model", MODEL_DIR=str(tmp_path))).communicate()
    versions = MlflowClient(served_settings.tracking_uri).search_model_versions("name = 'unregistered'")

    assert process.returncode == 0, printed
    assert len(versions) >= 1


def test_mlflow_run_trains_too(tracking: Tracking, served_settings: Settings) -> None:
    """`mlflow run model -P alpha=0.3` logs a run with that parameter and registers its model, without Slipway."""
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking.url, "PATH": f"{binaries}:{os.environ['PATH']}"}
    command = [
        str(binaries / "mlflow"),
        "run",
        "model",
        "--env-manager",
        "local",
        "--experiment-name",
        "diabetes",
        "-P",
        "alpha=0.3",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    registry, client = Registry.connect(served_settings), MlflowClient(served_settings.tracking_uri)
    run = newest_run(client)

    assert done.returncode == 0, done.stderr
    assert run is not None
    assert run.data.params["alpha"] == "0.3"
    assert len(registry.find_versions_of_run(run.info.run_id)) == 1
