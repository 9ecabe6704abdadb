"""Trials as Jobs: what a pod tells by its log, and what becomes of it here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from optuna.trial import TrialState

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.kubernetes import patches
from slipway.kubernetes.pods import jobs
from slipway.kubernetes.tuning import in_pod, trial_jobs
from slipway.kubernetes.tuning.trial_jobs import JobTrials
from slipway.runtimes.base import STORE
from slipway.shell import Answer
from slipway.training.tuning import store
from tests.conftest import changed

if TYPE_CHECKING:
    from optuna.trial import Trial

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings
    from slipway.training.tuning.study import Search
    from slipway.training.tuning.trials import Ended

NAME = "tiny-tune-abc-3"
SCRIPT = """
import sqlite3, sys, time
base = sqlite3.connect(sys.argv[1])
base.execute("CREATE TABLE runs (run_uuid, start_time)")
base.execute("CREATE TABLE tags (key, value, run_uuid)")
base.execute("CREATE TABLE params (key, value, run_uuid)")
base.execute("CREATE TABLE metrics (key, value, timestamp, step, is_nan, run_uuid)")
base.execute("INSERT INTO runs VALUES ('r', 1)")
base.execute("INSERT INTO tags VALUES ('mlflow.user', 'me', 'r')")
base.execute("INSERT INTO params VALUES ('alpha', '0.1', 'r')")
for step in range(3):
    base.execute("INSERT INTO metrics VALUES ('loss', ?, ?, ?, ?, 'r')", (0.5 - step / 10, step, step, step == 1))
base.commit()
print("::slipway {}")
print("no end", end="")
sys.exit(int(sys.argv[2]))
"""


def run_pod(place: Path, code: int, seconds: float = 60, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    """Run in_pod.py as a pod does: its text is an argument."""
    given: dict[str, Any] = {"file": str(place / "in" / STORE), "seconds": seconds, "tables": store.COPIED}
    (place / "train.py").write_text(script)
    command = [sys.executable, "-c", Path(in_pod.__file__).read_text(), json.dumps(given)]
    command += [str(place / "train.py"), given["file"], str(code)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def make_pod(code: int | None = None, reason: str = "") -> dict[str, Any]:
    """Return a pod of the Job, which runs, or has ended."""
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "reason": reason}}
    metadata = {"name": "pod-1", "ownerReferences": [{"uid": "u"}]}
    return {"metadata": metadata, "status": {"containerStatuses": [{"name": "trial", "state": state}]}}


def look(
    settings: Settings, tmp_path: Path, pods: list[dict[str, Any]], log: str, conditions: tuple[str, ...] = ()
) -> Ended | None:
    """Return how a trial has ended whose Job has these pods, the newest with this log."""
    settings = changed(settings, training={"memory": "2Gi", "retries": "0"})
    (folder := tmp_path / "tiny").mkdir()
    (folder / "model.toml").write_text('name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n')
    cluster = SimpleNamespace(ask_silently=lambda *_: Answer(0, log))
    search = SimpleNamespace(key="abc", place=tmp_path / "place", others=[])
    trials = JobTrials(
        settings, cast("Cluster", cluster), model_folder.load(folder), cast("Lock", None), [], cast("Search", search)
    )
    seen = [{"type": each, "status": "True"} for each in conditions]
    job = jobs.Seen({"metadata": {"uid": "u"}, "status": {"conditions": seen}}, pods)
    trials._found, trials._seen, trials._seen_at = {NAME}, {NAME: job}, math.inf  # noqa: SLF001 -- as a look leaves it
    (tmp_path / "place").mkdir()
    trial = SimpleNamespace(number=3, report=lambda *_: None, should_prune=lambda: True)
    return trials.look(trials.start(cast("Trial", trial), "child"))


def test_a_pod_tells_what_its_script_logs(tmp_path: Path) -> None:
    """Every row comes, with the script's output beside it, and the script's exit code is the pod's."""
    ran = run_pod(tmp_path, 3)
    told, said = trial_jobs.read_log(ran.stdout)
    store.copy(tmp_path, [tuple(row) for each in told for row in each.get("rows", [])])
    logged = store.read(tmp_path, "loss")

    assert ran.returncode == 3
    assert told[-1] == {"end": 3}
    assert said == " ::slipway {}\nno end\n"
    assert logged.params == {"alpha": "0.1"}
    assert [(step, value) for _, value, _, step in logged.points if not math.isnan(value)] == [(0, 0.5), (2, 0.3)]
    assert logged.find("loss") == pytest.approx(0.3)


def test_a_script_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """It has no exit code then; the pod's is that of timeout(1)."""
    ran = run_pod(tmp_path, 0, seconds=0.1, script="import time; print('begun', flush=True); time.sleep(50)")

    assert ran.returncode == 124
    assert trial_jobs.read_log(ran.stdout)[0][-1] == {"end": None}


def test_very_much_output_is_cut(tmp_path: Path) -> None:
    """The node keeps the beginning, the end, and what the search has to know."""
    ran = run_pod(tmp_path, 0, script="for n in range(400_000): print(f'line {n}')")
    told, said = trial_jobs.read_log(ran.stdout)

    assert told == [{"end": 0}]
    assert len(said) < in_pod.SHOWN + 2000
    assert said.splitlines()[0] == "line 0"
    assert said.splitlines()[-1] == "line 399999"


def make_log(end: int | None, *values: float) -> str:
    """Return a pod's log whose script logged a metric step by step."""
    rows: list[Any] = [["runs", ["r", 1]]]
    rows += [["metrics", ["loss", value, step, step, 0, "r"]] for step, value in enumerate(values)]
    return f"{in_pod.MARK}{json.dumps({'rows': rows})}\nValueError: no rows\n{in_pod.MARK}{json.dumps({'end': end})}\n"


@pytest.mark.parametrize(
    ("pods", "log", "conditions", "state", "words"),
    [
        ([make_pod(0)], make_log(0, 0.5, 0.25), (), TrialState.COMPLETE, ""),
        ([make_pod(1)], make_log(1), (), TrialState.FAIL, "train.py ended with exit code 1: ValueError: no rows"),
        ([make_pod(137)], make_log(-9), (), TrialState.FAIL, "train.py needed more memory than 2Gi"),
        ([make_pod(137, "OOMKilled")], "", (), TrialState.FAIL, "train.py needed more memory than 2Gi"),
        ([make_pod(124)], make_log(None), (), TrialState.FAIL, "did not end within 3600 s (TRIAL_TIMEOUT)"),
        ([make_pod(137, "Error")], "", (), TrialState.FAIL, "every pod of train.py was lost; the last one: Error"),
        ([], "", ("Failed",), TrialState.FAIL, "every pod of train.py was lost; the last one: it was deleted"),
        ([make_pod()], make_log(None, 0.5, 0.25).rsplit(in_pod.MARK, 1)[0], (), TrialState.PRUNED, ""),
    ],
    ids=["done", "failed", "script killed", "out of memory", "too long", "pod killed", "pod deleted", "worse"],
)
def test_how_a_trial_ends(  # noqa: PLR0913, PLR0917 -- the cases
    host_settings: Settings,
    tmp_path: Path,
    pods: list[dict[str, Any]],
    log: str,
    conditions: tuple[str, ...],
    state: TrialState,
    words: str,
) -> None:
    """By what its pod told, else by how the pod ended; a trial whose pods were all lost has failed."""
    ended = look(host_settings, tmp_path, pods, log, conditions)

    assert ended
    assert ended.state == state
    assert (ended.value == 0.25) == (state == TrialState.COMPLETE)
    assert words in str(ended.error)


def test_one_that_cannot_start_ends_the_search(host_settings: Settings, tmp_path: Path) -> None:
    """Every other trial has the same image."""
    pod = make_pod()
    pod["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}
    with pytest.raises(SlipwayError, match=f"{NAME}: it cannot start: ImagePullBackOff: no such"):
        look(host_settings, tmp_path, [pod], "")


def test_a_trial_is_confined_and_named(host_settings: Settings, tmp_path: Path) -> None:
    """Its Job is tried once, and gets the script's arguments as they are, whatever Kubernetes makes of a dollar."""
    (folder := tmp_path / "tiny").mkdir()
    (folder / "model.toml").write_text('name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n')
    search = SimpleNamespace(key="0123456789ab", place=tmp_path, others=[])
    found = model_folder.load(folder)
    trials = JobTrials(
        host_settings, cast("Cluster", None), found, cast("Lock", None), ["--cost", "$(A)"], cast("Search", search)
    )
    job = trials.describe(cast("Trial", SimpleNamespace(number=7, params={"alpha": -0.5})))
    variables = {each["name"]: each["value"] for each in job.container["env"]}

    assert (job.name, job.group, job.retries) == ("tiny-tune-0123456789ab-7", "0123456789ab", 0)
    assert job.container["command"][4:] == ["train.py", "--cost", "$$(A)", "--alpha=-0.5"]
    assert variables["MLFLOW_TRACKING_URI"] == variables["MLFLOW_REGISTRY_URI"] == "sqlite:////tmp/store/mlflow.db"
    assert job.container["resources"]["limits"] == {"memory": host_settings.training.memory}


def test_pods_of_an_earlier_job_do_not_count() -> None:
    """They may still be ending when the Job's name is used again."""
    seen = jobs.Seen({"metadata": {"uid": "new"}}, [make_pod(0)])

    assert trial_jobs.find_pod(seen) is None


def test_what_runs_is_no_end(host_settings: Settings, tmp_path: Path) -> None:
    """A pod that has logged nothing goes on."""
    assert look(host_settings, tmp_path, [make_pod()], "") is None


def test_a_dollar_reaches_the_pod() -> None:
    """Kubernetes has two mean one, and expands $(…): a password may have either."""
    assert patches.list_variables({"A": "a$$b $(C)"}) == [{"name": "A", "value": "a$$$$b $$(C)"}]
