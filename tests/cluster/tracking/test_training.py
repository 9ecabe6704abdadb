"""A training as a Job of a real cluster: registered once, whatever becomes of pods.

Failed with the script's own exit code.
"""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

from slipway.kubernetes import mlflow

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cluster.tracking.conftest import Tracked

TRAINING, MLFLOW, POSTGRES = (
    f"app.kubernetes.io/name={name}" for name in ("slipway-training", "mlflow", "mlflow-postgres")
)
LONG = "--repeats 150"  # some 10 s of training
STEPS = 150 * 5  # what it logs of each score


def find_jobs(tracked: Tracked) -> list[dict[str, Any]]:
    """Return the trainings that there are."""
    return tracked.cluster.list("jobs", TRAINING)


def find_phase(tracked: Tracked) -> str:
    """Return where the newest training's pod is: Pending, Running, Succeeded, Failed, or "" without one."""
    return str(tracked.find_pod(TRAINING).get("status", {}).get("phase", ""))


def begin(tracked: Tracked, arguments: str = LONG, **variables: str) -> subprocess.Popen[str]:
    """Start a training, and wait until its script has begun a run."""
    runs = len(tracked.list_runs())
    process = tracked.start("train_on_kubernetes", TRAIN_ARGS=arguments, **variables)
    tracked.wait(lambda: len(tracked.list_runs()) > runs or process.poll() is not None, "a run begins")
    return process


@pytest.fixture(autouse=True)
def _no_jobs(tracked: Tracked) -> None:
    """Begin without trainings, so that a test's own is the only one."""
    tracked.cluster.ask("delete", "jobs", "--selector", TRAINING, "--cascade=foreground", "--wait", seconds=60)


def test_a_training_is_registered(tracked: Tracked, tmp_path: Path) -> None:
    """A Job's version is tagged as one that was trained on this machine, and its model's files can be had."""
    code, said = tracked.train("--repeats 1 --alpha 0.2")
    versions = tracked.list_versions()
    newest = max(versions)
    tags, status = versions[newest], find_jobs(tracked)[0]["status"]

    assert code == 0, said
    assert f"models:/diabetes/{newest} CONTEXT={tracked.settings.cluster.context}" in said
    assert tags["mlflow.source.name"] == "model/train.py"
    assert re.fullmatch("slipway/train:[0-9a-f]{12}", tags["slipway.image"])
    assert {"mlflow.source.git.commit", "slipway.code", "slipway.checksum", "data.digest"} <= tags.keys()
    assert (status["succeeded"], status.get("failed", 0)) == (1, 0)
    assert "MLmodel" in tracked.download(newest, tmp_path / "files")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [("--repeats 1 --l1-ratio 7", 1, "InvalidParameterError"), ("--alpha none", 2, "invalid float value: 'none'")],
    ids=["a failing fit", "a wrong argument"],
)
def test_a_failing_script_is_heard(tracked: Tracked, arguments: str, code: int, words: str) -> None:
    """A script that fails passes on its own words and exit code, ends its Job, and registers nothing."""
    before = tracked.list_versions()
    found, said = tracked.train(arguments)
    job = find_jobs(tracked)[0]["metadata"]["name"]
    tracked.wait(
        lambda: "DeadlineExceeded" in str(tracked.cluster.get("job", job)),
        "the Job is ended, though it might try again",
    )

    assert found == code, said
    assert words in said
    assert f"error: train.py ended with exit code {code}; see its output above" in said
    assert "Traceback" not in said.split("error: train.py")[1]
    assert [run for run in tracked.list_runs() if run.info.status == "RUNNING"] == []
    assert tracked.list_versions() == before


def test_it_outlives_its_tracking_server(tracked: Tracked) -> None:
    """MLflow's and Postgres' pods are killed while it trains: it logs everything, once, as soon as they are back."""
    before = max(tracked.list_versions(), default=0)
    process = begin(tracked)
    killed = [tracked.kill(labels) for labels in (POSTGRES, MLFLOW)]
    said, _ = process.communicate(timeout=280)
    after = tracked.list_versions()
    run = tracked.list_runs()[0]
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        history = MlflowClient(here.tracking_uri).get_metric_history(run.info.run_id, "fold_rmse")

    assert len(killed) == 2
    assert process.returncode == 0, said
    assert max(after) == before + 1
    assert run.info.status == "FINISHED"
    assert [metric.step for metric in history] == list(range(STEPS))


@pytest.mark.thorough
def test_a_lost_pod_is_begun_again(tracked: Tracked) -> None:
    """A training whose pod is deleted is begun again; there is one new version, and no run looks as if it still ran."""
    before = tracked.list_versions()
    process = begin(tracked)
    tracked.cluster.run("delete", "pod", tracked.kill(TRAINING), "--ignore-not-found")
    said, _ = process.communicate(timeout=280)
    runs = tracked.list_runs()[:2]

    assert process.returncode == 0, said
    assert "was lost" in said
    assert len(tracked.list_versions().keys() - before.keys()) == 1
    assert [run.info.status for run in runs] == ["FINISHED", "KILLED"]
    assert runs[0].data.tags["slipway.training"] == runs[1].data.tags["slipway.training"]


@pytest.mark.thorough
def test_ctrl_c_ends_it(tracked: Tracked) -> None:
    """Ctrl-C deletes the Job, marks its run as killed, and registers nothing."""
    before = tracked.list_versions()
    process = begin(tracked, "--repeats 1000")
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert find_jobs(tracked) == []
    assert tracked.list_runs()[0].info.status == "KILLED"
    assert tracked.list_versions() == before


@pytest.mark.thorough
def test_one_that_goes_on_is_followed(tracked: Tracked) -> None:
    """A training whose command was killed goes on; JOB= follows it, shows its log, and registers it."""
    before = max(tracked.list_versions(), default=0)
    process = begin(tracked)
    process.kill()
    process.communicate(timeout=60)
    job = find_jobs(tracked)[0]["metadata"]["name"]
    follower = tracked.start("train_on_kubernetes", JOB=job)
    said, _ = follower.communicate(timeout=280)

    assert follower.returncode == 0, said
    assert max(tracked.list_versions()) == before + 1
    assert "slipway.checksum" in tracked.list_versions()[before + 1]


@pytest.mark.thorough
def test_what_it_asks_for_is_asked(tracked: Tracked) -> None:
    """A training that no node can take says so while it waits; what was asked for is in its pod."""
    process = tracked.start("train_on_kubernetes", TRAIN_GPU="1", TRAIN_CPU="150m")
    tracked.wait(lambda: find_phase(tracked) == "Pending", "it waits")
    resources = tracked.find_pod(TRAINING)["spec"]["containers"][0]["resources"]
    said = ""
    while process.stdout and "not scheduled yet" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)

    assert resources == {
        "requests": {"cpu": "150m", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"},
    }
    assert "nvidia.com/gpu" in said


@pytest.mark.thorough
def test_too_little_memory_is_named(tracked: Tracked) -> None:
    """A training that needs more memory than it may have fails with the setting to raise."""
    code, said = tracked.train("--repeats 1", TRAIN_MEMORY="40Mi")

    assert code == 137, said
    assert "error: train.py needed more memory than 40Mi\n  try: TRAIN_MEMORY=" in said
