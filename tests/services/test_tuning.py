"""make tune_model: trials of real scripts by Optuna, logged to a real MLflow, killed in the middle and begun again."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run

from slipway.settings import ROOT
from tests import beside
from tests.conftest import find_command
from tests.polling import wait_until
from tests.services.kit import Kit

WITHIN = 280  # s
HEAD = 'name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n[tune]\nalpha = { low = 0.0, high = 1.0 }\n'
TRAIN = """
import argparse, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float)
parser.add_argument("--steps", type=int, default=1)
args = parser.parse_args()
import mlflow
class Constant(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[float]) -> list[float]:
        return model_input
with mlflow.start_run():
    mlflow.log_param("alpha", args.alpha)
    for step in range(args.steps):
        mlflow.log_metric("loss", (args.alpha - 0.3) ** 2, step=step)
        time.sleep(0.3 if args.steps > 1 else 0)
    mlflow.log_text("words", "file.txt")
    about = {"pip_requirements": ["mlflow-skinny"], "input_example": [1.0], "registered_model_name": "tiny"}
    mlflow.pyfunc.log_model(name="model", python_model=Constant(), **about)
"""


@dataclass
class Tuning:
    """The searches of a folder, in a store of the test's own."""

    kit: Kit
    folder: Path
    log: Path

    def start(self, **variables: str) -> "subprocess.Popen[bytes]":
        """Start the command."""
        given = self.kit.environment(MODEL_DIR=str(self.folder), **{"WORKERS": "2", **variables})
        with self.log.open("ab") as log:
            return subprocess.Popen(find_command("tune_model"), cwd=ROOT, env=given, stdout=log, stderr=log)

    def run(self, **variables: str) -> tuple[int, str]:
        """Run the command to its end; return its exit code and what it printed."""
        self.log.write_bytes(b"")
        process = self.start(**variables)
        try:
            return process.wait(), self.log.read_text()
        finally:
            beside.end(process)

    def kill_when(self, look: Callable[[], object], **variables: str) -> None:
        """Start the command, and kill it as soon as something is so."""
        process = self.start(**variables)
        try:
            wait_until(look, WITHIN, self.log.read_text, process=process)
        finally:
            process.kill()
            process.wait()

    def count(self, *states: str) -> int:
        """Return how many trials the study has in some of Optuna's states."""
        files = [*self.kit.store.glob("tuning/*.db")]
        if not files:
            return 0
        try:
            with closing(sqlite3.connect(files[0], timeout=30)) as base:
                found = [state for (state,) in base.execute("SELECT state FROM trials")]
        except sqlite3.OperationalError:  # its tables are being made
            return 0
        return sum(state in states for state in found)

    def find_runs(self, tag: str) -> list[Run]:
        """Return the runs that have a tag."""
        if not (self.kit.store / "mlflow.db").exists():
            return []
        experiment = self.kit.client.get_experiment_by_name("tiny")
        runs = self.kit.client.search_runs([experiment.experiment_id]) if experiment else []
        return [run for run in runs if tag in run.data.tags]


@pytest.fixture
def tuning(tmp_path: Path) -> Tuning:
    """Return searches of a folder with a small script that has one argument to vary."""
    (folder := tmp_path / "tiny").mkdir()
    (folder / "model.toml").write_text(HEAD)
    (folder / "train.py").write_text(TRAIN)
    return Tuning(Kit(tmp_path), folder, tmp_path / "log")


def check_search(tuning: Tuning, trials: int) -> None:
    """Check that the study and MLflow have every trial once, without files, and the registry has the best, once."""
    assert tuning.count("COMPLETE") == trials
    assert tuning.count("RUNNING", "WAITING", "FAIL", "PRUNED") == 0
    (version,) = tuning.kit.client.search_model_versions("name = 'tiny'")
    runs = tuning.find_runs("slipway.study")
    children = [run for run in runs if "slipway.trial" in run.data.tags]
    (parent,) = [run for run in runs if run not in children]
    assert sorted(int(run.data.tags["slipway.trial"]) for run in children) == list(range(trials))
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not any(run.outputs and run.outputs.model_outputs for run in children)
    list_files = tuning.kit.client.list_artifacts
    assert [file.path for run in children for file in list_files(run.info.run_id)] == []
    assert [file.path[-4:] for file in list_files(parent.info.run_id)] == [".png"]
    best = min(children, key=lambda run: float(run.data.metrics["loss"]))
    assert version.tags["slipway.study"] == best.data.tags["slipway.study"]
    assert version.tags["slipway.trial"] == best.data.tags["slipway.trial"]
    assert tuning.kit.client.get_run(str(version.run_id)).data.params == {"alpha": best.data.params["alpha"]}


def test_a_search_registers_its_best(tuning: Tuning) -> None:
    """Every trial is a run without files under that of the search, and the best is trained and registered."""
    code, printed = tuning.run(TRIALS="2")

    assert code == 0, printed
    check_search(tuning, 2)


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_search_survives_sigkill(tuning: Tuning) -> None:
    """Killed among its 40 trials and in its last training, it ends with every trial once, and one version.

    Another call has nothing to do.
    """
    tuning.kill_when(lambda: tuning.count("COMPLETE") >= 20, TRIALS="40")
    cut_off = tuning.count("RUNNING")
    tuning.kill_when(lambda: tuning.find_runs("slipway.training"), TRIALS="40")
    code, printed = tuning.run(TRIALS="40")
    again = tuning.run(TRIALS="40")

    assert cut_off > 0
    assert code == 0, printed
    check_search(tuning, 40)
    assert again[0] == 0
    assert "is registered already: models:/tiny/1" in again[1]


REFUSED = "train.py was run with other arguments than it takes: unrecognized arguments: --alpha"
UNLOGGED = "did not log the metric 'loss' of model.toml; it logged: los"
RAISED = "train.py ended with exit code 1: ValueError: no rows"


@pytest.mark.parametrize(
    ("change", "failed", "words"),
    [
        pytest.param(("--alpha", "--beta"), 1, REFUSED, id="an unknown argument"),
        pytest.param(('"loss"', '"los"'), 1, UNLOGGED, id="no metric", marks=pytest.mark.thorough),
        pytest.param(
            ("import mlflow", "raise ValueError('no rows')"), 3, RAISED, id="raises", marks=pytest.mark.thorough
        ),
    ],
)
def test_a_script_that_fails_ends_the_search(tuning: Tuning, change: tuple[str, str], failed: int, words: str) -> None:
    """One trial is enough where every other would fail in the same way, else three; the next call begins anew."""
    (tuning.folder / "train.py").write_text(TRAIN.replace(*change))
    code, printed = tuning.run(TRIALS="6", WORKERS="1")

    assert code == 1, printed
    assert words in printed
    assert [run.info.status for run in tuning.find_runs("slipway.trial")] == ["FAILED"] * failed
    assert [run.info.status for run in tuning.find_runs("slipway.study") if "slipway.trial" not in run.data.tags] == [
        "FAILED"
    ]
    assert tuning.count("FAIL", "RUNNING", "COMPLETE") == 0


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_what_is_worse_is_given_up(tuning: Tuning) -> None:
    """A trial whose steps are worse than those of most others ends early, KILLED in MLflow; the search goes on."""
    code, printed = tuning.run(TRIALS="12", TRAIN_ARGS="--steps 12")
    pruned = [run for run in tuning.find_runs("slipway.trial") if run.info.status == "KILLED"]

    assert code == 0, printed
    assert len(pruned) == tuning.count("PRUNED") > 0
    assert tuning.count("PRUNED", "COMPLETE") == 12
    client = tuning.kit.client
    assert all(1 < len(client.get_metric_history(run.info.run_id, "loss")) < 12 for run in pruned)
