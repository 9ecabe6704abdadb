"""make tune_model with CONTEXT: trials as Jobs of a real cluster, killed in the middle and begun again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from slipway import model_folder
from slipway.kubernetes import mlflow
from slipway.kubernetes.pods import jobs
from slipway.registry.client import Registry
from slipway.settings import ROOT
from slipway.training.tuning import study
from tests.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.tracking.conftest import Tracked

TRIALS = "app.kubernetes.io/name=slipway-trial"


TINY = 'name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n[tune]\nalpha = { low = 0.0, high = 1.0 }\n'
TRAIN = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float)
alpha = parser.parse_args().alpha
import mlflow
class Constant(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[float]) -> list[float]:
        return model_input
with mlflow.start_run():
    if alpha > 0.8:
        bytearray(2 << 30)
    for step in range(10):
        mlflow.log_metric("loss", (alpha - 0.3) ** 2, step=step)
        time.sleep(1)
    about = {"pip_requirements": ["mlflow-skinny"], "input_example": [1.0], "registered_model_name": "tiny"}
    mlflow.pyfunc.log_model(name="model", python_model=Constant(), **about)
"""


@pytest.fixture
def stock(tracked: Tracked) -> Iterator[Path]:
    """Return the database of the searches of the model that comes with Slipway; there is none before and after."""
    file = find_study(tracked, ROOT / "model")
    file.unlink(missing_ok=True)
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture
def folder(tracked: Tracked) -> Iterator[Path]:
    """Return an example with one argument, whose script needs much memory for some values; nothing is left of it."""
    path = ROOT / "examples" / "tuned-in-a-cluster"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    (path / "model.toml").write_text(TINY)
    (path / "train.py").write_text(TRAIN)
    file = find_study(tracked, path)
    file.unlink(missing_ok=True)
    yield path
    shutil.rmtree(path)
    file.unlink(missing_ok=True)


def find_study(tracked: Tracked, folder: Path) -> Path:
    """Return the database of a folder's searches in the namespace."""
    where = f"{tracked.settings.cluster.context}/{tracked.settings.cluster.namespace}"
    there = changed(tracked.settings, tracking={"external_uri": where})
    return study.find_file(there, model_folder.load(folder))


def count(file: Path, *states: str) -> int:
    """Return how many trials a study has in some of Optuna's states."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=30)) as base:
            return sum(state in states for (state,) in base.execute("SELECT state FROM trials"))
    except sqlite3.OperationalError:  # it is being made
        return 0


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_a_search_survives_sigkill(tracked: Tracked, stock: Path) -> None:
    """Killed among its trials, it follows those that still run, and ends with every trial once and one version."""
    before = tracked.list_versions()
    variables = {"TRIALS": "4", "WORKERS": "2", "TRAIN_ARGS": "--repeats 1"}
    first = tracked.start("tune_model", **variables)
    tracked.wait(lambda: count(stock, "COMPLETE") or first.poll() is not None, "a trial ends")
    first.kill()
    said = first.communicate(timeout=60)[0]
    running = count(stock, "RUNNING")
    second = tracked.start("tune_model", **variables)
    printed = second.communicate(timeout=400)[0]
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        registry = Registry.connect(here)
        runs = registry.find_runs("tags.`mlflow.source.name` = 'make tune_model'")
        (parent,) = [run for run in runs if "slipway.trial" not in run.data.tags]
        children = registry.find_runs(f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    versions = {number: tags for number, tags in tracked.list_versions().items() if number not in before}
    best = min(children, key=lambda run: float(run.data.metrics["validation_rmse"]))

    assert running > 0, said
    assert second.returncode == 0, printed
    assert "trials still run, or have ended since: they are followed" in printed
    assert (count(stock, "COMPLETE"), count(stock, "RUNNING", "WAITING", "FAIL", "PRUNED")) == (4, 0)
    assert sorted(run.data.tags["slipway.trial"] for run in children) == ["0", "1", "2", "3"]
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    assert not any(run.outputs and run.outputs.model_outputs for run in children)
    (tags,) = versions.values()
    assert tags["slipway.trial"] == best.data.tags["slipway.trial"]
    assert tracked.cluster.list("jobs", TRIALS) == []
    (training,) = tracked.cluster.list("jobs", f"{jobs.GROUP}={tags['slipway.study']}-{tags['slipway.trial']}")
    assert training["status"]["succeeded"] == 1


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_trials_are_pruned_and_fail(tracked: Tracked, folder: Path) -> None:
    """One that is worse than the others is ended and KILLED, one that needs too much memory FAILED; the rest goes on.

    One whose pod is deleted is begun again.
    """
    process = tracked.start("tune_model", MODEL_DIR=str(folder), TRIALS="16", WORKERS="3")
    tracked.wait(lambda: tracked.find_pod(TRIALS).get("status", {}).get("phase") == "Running", "a trial runs")
    tracked.kill(TRIALS)
    printed = process.communicate(timeout=700)[0]
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        registry = Registry.connect(here)
        (version,) = registry.find_versions("tiny").values()
        runs = registry.find_runs(f"tags.`slipway.study` = '{version.tags['slipway.study']}'")
    file = find_study(tracked, folder)
    trials = [run for run in runs if "slipway.trial" in run.data.tags]
    states = [run.info.status for run in trials]
    words = [run.data.tags["mlflow.note.content"] for run in trials if run.info.status == "FAILED"]

    assert process.returncode == 0, printed
    assert len(trials) == count(file, "PRUNED", "FAIL", "COMPLETE") == 16
    assert states.count("KILLED") == count(file, "PRUNED") > 0
    assert states.count("FAILED") == count(file, "FAIL") > 0
    assert all("train.py needed more memory than 1Gi" in each for each in words)
    assert tracked.cluster.list("jobs", TRIALS) == []
