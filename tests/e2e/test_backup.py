"""Backup and restore of real services, a stack of the test's own: everything is lost, and comes back."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import requests
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor

from slipway import ports
from slipway.runtimes import containers
from slipway.services import archive
from slipway.settings import ROOT
from tests import beside
from tests.conftest import find_command

PROJECT = "slipway-backup-test"
NAME = "kept"


@dataclass
class Stack:
    """The services under test, by `make` alone."""

    variables: dict[str, str]
    call: Callable[..., subprocess.CompletedProcess[str]]

    @property
    def url(self) -> str:
        """The tracking server's address."""
        return f"http://127.0.0.1:{self.variables['MLFLOW_PORT']}"

    @property
    def artifacts(self) -> Path:
        """Where the artifacts lie."""
        return Path(self.variables["MLFLOW_ARTIFACT_ROOT"])

    @property
    def backups(self) -> list[Path]:
        """Everything in BACKUP_DIR, hidden or not."""
        return list(Path(self.variables["BACKUP_DIR"]).glob("*"))

    def make(self, target: str, **more: str) -> str:
        """Run make, which must succeed, and return what it printed."""
        done = self.call(target, **self.variables, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fail(self, target: str, **more: str) -> str:
        """Run make, which must fail with an error in words, and return that."""
        done = self.call(target, **self.variables, **more)
        assert done.returncode != 0, done.stdout
        assert "error: " in done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def find(self, kind: str) -> list[str]:
        """Return the engine's containers, volumes or networks that are this stack's."""
        every = ["--all"] if kind == "container" else []
        listing = ["docker", kind, "ls", "--quiet", *every, "--filter", f"label=com.docker.compose.project={PROJECT}"]
        return subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()

    def lose(self) -> None:
        """Lose everything: containers, volume, network, artifacts."""
        for kind, remove in (("container", ["rm", "--force"]), ("volume", ["rm"]), ("network", ["rm"])):
            if found := self.find(kind):
                subprocess.run(["docker", kind, *remove, *found], check=True, capture_output=True)
        shutil.rmtree(self.artifacts, ignore_errors=True)

    def is_empty(self) -> bool:
        """Whether nothing is there: no container, no volume, no artifact."""
        return not (self.find("container") or self.find("volume") or any(self.artifacts.glob("*")))

    def answers(self) -> bool:
        """Whether the tracking server answers."""
        try:
            return requests.get(f"{self.url}/api/2.0/mlflow/experiments/search?max_results=1", timeout=10).ok
        except requests.ConnectionError:
            return False


@pytest.fixture
def stack(docker: None, make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Iterator[Stack]:  # noqa: ARG001 -- skips or fails without an engine
    """Have services of the test's own, not started yet; whatever happens, nothing of them is left."""
    variables = {
        "RUNTIME": "docker", "MLFLOW_TRACKING_URI": "", "COMPOSE_PROJECT_NAME": PROJECT,
        "MLFLOW_PORT": str(ports.find_free()), "MLFLOW_ARTIFACT_ROOT": str(tmp_path / "artifacts"),
        "BACKUP_DIR": str(tmp_path / "backups"),
    }  # fmt: skip
    stack = Stack(variables, make)
    stack.lose()
    yield stack
    mlflow.set_tracking_uri("")
    stack.lose()


def fill(stack: Stack) -> None:
    """Log a real run with metrics; register its model twice, with tags and aliases."""
    mlflow.set_tracking_uri(stack.url)
    client = MlflowClient()
    features, target = load_diabetes(return_X_y=True)
    for seed in (1, 2):
        forest = RandomForestRegressor(10, random_state=seed).fit(features, target)
        with mlflow.start_run(experiment_id=client.create_experiment(f"diabetes {seed}")):
            mlflow.log_params({"seed": seed})
            for step, tree in enumerate(forest.estimators_):
                mlflow.log_metric("r2", tree.score(features, target), step=step)
            mlflow.log_text("größe; 1\n", "notes/größe.txt")
            signature = infer_signature(features, forest.predict(features))
            mlflow.sklearn.log_model(
                forest, name="model", signature=signature, pip_requirements=["scikit-learn"],
                serialization_format="pickle",
                registered_model_name=NAME,
            )  # fmt: skip
        client.set_model_version_tag(NAME, str(seed), "seed", str(seed))
    client.set_registered_model_tag(NAME, "owner", "the tests")
    client.set_registered_model_alias(NAME, "champion", "1")
    client.set_registered_model_alias(NAME, "challenger", "2")
    for name in ("slipway-deployer", "another"):
        client.create_webhook(name, "http://deployer:8002/", ["model_version_alias.created"], secret="s")  # noqa: S106 -- no secret


def read(stack: Stack) -> dict[str, object]:
    """Return all that a user could miss, predictions apart."""
    mlflow.set_tracking_uri(stack.url)
    client = MlflowClient()
    model = client.get_registered_model(NAME)
    versions = [client.get_model_version(NAME, version.version) for version in client.search_model_versions()]
    runs = [client.get_run(version.run_id or "") for version in versions]
    return {
        "model": (model.tags, model.aliases, model.creation_timestamp),
        "versions": [dict(version) for version in versions],
        "runs": [run.to_dictionary() for run in runs],
        "metrics": [[dict(metric) for metric in client.get_metric_history(run.info.run_id, "r2")] for run in runs],
        "notes": [mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/größe.txt") for run in runs],
    }


def predict(alias: str) -> np.ndarray:
    """Return the predictions of the version that has an alias."""
    predictions: np.ndarray = mlflow.sklearn.load_model(f"models:/{NAME}@{alias}").predict(load_diabetes().data)
    return predictions


def test_all_that_was_lost_comes_back(stack: Stack) -> None:
    """After a restore, runs, metrics, versions, tags and aliases are the same, and predictions are equal bit by bit."""
    stack.make("start_mlflow_services")
    fill(stack)
    before, predictions = read(stack), [predict("champion"), predict("challenger")]
    told = stack.make("backup")
    (archive,) = stack.backups
    stack.lose()
    restored = stack.make("restore", BACKUP=str(archive))

    assert "2 runs, 1 registered model, 2 model versions, " in told
    assert f"make restore BACKUP={archive}" in told
    assert archive.stat().st_mode & 0o777 == 0o600
    assert "restored 2 runs, 1 registered model, 2 model versions, " in restored
    assert read(stack) == before
    assert [hook.name for hook in MlflowClient().list_webhooks()] == ["another"]
    assert np.array_equal(predict("champion"), predictions[0])
    assert np.array_equal(predict("challenger"), predictions[1])
    owner = containers.USER_ID if os.getuid() == 0 else os.getuid()
    assert {path.stat().st_uid for path in stack.artifacts.rglob("*")} == {owner}

    refused = stack.fail("restore", BACKUP=str(archive))

    assert "the services hold 2 runs, 2 model versions and " in refused
    assert re.search("try: .*make backup, then .*make wipe", refused)
    assert read(stack) == before

    fill_again(stack)


def fill_again(stack: Stack) -> None:
    """Assert that restored services take new runs and versions (sequences and owners are right)."""
    with mlflow.start_run():
        mlflow.log_metric("r2", 0.5)
        mlflow.log_text("new", "new.txt")
    version = MlflowClient().create_model_version(NAME, f"models:/{NAME}@champion")

    assert version.version == "3"
    assert "3 runs, 1 registered model, 3 model versions, " in stack.make("backup")


def test_an_interrupted_backup_leaves_nothing_and_the_server_running(stack: Stack) -> None:
    """Ctrl-C while the tracking server is stopped: no file is left, the server is back.

    The next backup, and its restore, are whole.
    """
    stack.make("start_mlflow_services")
    environment = {**os.environ, **stack.variables}
    process = subprocess.Popen(find_command("backup"), cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert " stop mlflow" in process.stderr.readline()
        time.sleep(0.1)  # the engine is stopping it
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

        assert process.wait(60) == 130, rest
    finally:
        beside.kill(process)
    assert "Traceback" not in rest
    assert stack.backups == []
    assert stack.answers()

    assert "0 runs, 0 registered models, 0 model versions, 0 artifact files" in stack.make("backup")

    (made,) = stack.backups
    stack.make("restore", BACKUP=str(made))  # into services that have been started and hold nothing

    assert stack.answers()

    stack.make("stop_mlflow_services")

    assert re.search(r"try: .*make start_mlflow_services", stack.fail("backup"))
    assert stack.backups == [made]


@pytest.mark.parametrize(
    ("flipped", "words"), [(True, "is damaged, or not a backup"), (False, "the services are stopped and empty again")],
    ids=["a byte flipped", "a dump that Postgres refuses"],
)  # fmt: skip
def test_what_cannot_be_restored_leaves_the_services_empty(
    stack: Stack, tmp_path: Path, *, flipped: bool, words: str
) -> None:
    """A damaged archive changes nothing; when the database refuses the dump, what was made is removed."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.pkl").write_bytes(bytes(1000))
    (tmp_path / "dump").write_bytes(b"PGDMP, and then nothing that pg_restore knows")
    whole = tmp_path / "archive.tar.gz"
    facts = archive.Manifest(archive.FORMAT, "0.1.0", "2026-01-31T23:59:59+01:00", 17, "3.17.2", {})
    archive.pack(whole, tmp_path / "dump", tmp_path / "files", facts)
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= flipped
    whole.write_bytes(content)

    assert words in stack.fail("restore", BACKUP=str(whole))
    assert stack.is_empty()
