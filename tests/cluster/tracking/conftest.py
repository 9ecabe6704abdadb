"""MLflow and Postgres in a namespace of the tests' own, deployed once."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from slipway import settings as slipway_settings
from slipway.kubernetes import mlflow
from slipway.kubernetes.cluster.kubectl import Cluster
from slipway.registry import model_uri
from slipway.registry.client import Registry
from slipway.settings import ROOT
from slipway.training import sessions
from tests import beside
from tests.conftest import find_command
from tests.e2e.conftest import Stack
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow.entities import Run

    from slipway.settings import Settings

NAMESPACE = "slipway-test-tracking"
CLAIMS = ("mlflow-artifacts", "data-mlflow-postgres-0", "deployer")
SMALL = {"TRAIN_CPU": "100m", "TRAIN_MEMORY": "1Gi"}
WITHIN = 120  # s, on a busy machine
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass
class Tracked:
    """The namespace: make and its commands to work on it, kubectl to look, and its registry."""

    stack: Stack
    settings: Settings
    cluster: Cluster

    def make(self, target: str, **variables: str) -> str:
        """Run a make target, which must succeed."""
        return self.stack.make(target, **variables)

    def start(self, target: str, **variables: str) -> subprocess.Popen[str]:
        """Start a target's command as make does, less make, which hides its exit code."""
        environment = {**os.environ, **self.stack.variables, **variables}
        return subprocess.Popen(
            find_command(target), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def train(self, arguments: str, **variables: str) -> tuple[int, str]:
        """Train; return the exit code and what was printed."""
        process = self.start("train_on_kubernetes", TRAIN_ARGS=arguments, **variables)
        try:
            printed, _ = process.communicate(timeout=280)
        finally:
            beside.kill(process)
        return process.returncode, printed

    def list_versions(self) -> dict[int, dict[str, str]]:
        """Return the registry's versions, each with its tags and the files that its model has."""
        with mlflow.reached(self.settings, self.cluster) as here:
            versions = Registry.connect(here).find_versions("diabetes")
            return {number: dict(each.tags) for number, each in versions.items()}

    def list_runs(self, session: str = "") -> list[Run]:
        """Return the runs of a training, newest first; without a session all."""
        with mlflow.reached(self.settings, self.cluster) as here:
            return Registry.connect(here).find_runs(f"tags.`{sessions.TAG}` LIKE '{session}%'")

    def download(self, version: int, target: Path) -> list[str]:
        """Download a version's files; return their names."""
        with mlflow.reached(self.settings, self.cluster) as here:
            registry = Registry.connect(here)
            registry.download(model_uri.resolve(registry, f"models:/diabetes/{version}").location, target)
        return sorted(path.name for path in target.rglob("*"))

    def find_pod(self, labels: str) -> dict[str, Any]:
        """Return the newest pod with these labels, or {}."""
        found = sorted(self.cluster.list("pods", labels), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        return found[-1] if found else {}

    def kill(self, labels: str) -> str:
        """Delete a pod, with no time to say good-bye; return its name."""
        name = str(self.find_pod(labels)["metadata"]["name"])
        self.cluster.run("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
        return name

    def wait(self, done: Callable[[], object], what: str, seconds: float = WITHIN) -> None:
        """Wait until something is so."""
        wait_until(done, seconds, lambda: f"{what}\n{self.cluster.ask('describe', 'pods').out[-3000:]}")


@pytest.fixture(scope="session")
def volumes(kubernetes: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], None]]:
    """Return a function that makes volumes for the claims, in a cluster of this machine that makes none by itself."""
    found = subprocess.run(
        ["kubectl", "--context", kubernetes.cluster.context, "get", "storageclasses", "--output", "json"],
        check=True,
        capture_output=True,
    ).stdout
    dynamic = any(
        each["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true" for each in json.loads(found)["items"]
    )
    kubectl = ["kubectl", "--context", kubernetes.cluster.context]
    names = [f"{NAMESPACE}-{claim}" for claim in CLAIMS]

    def remove() -> None:
        subprocess.run(
            [*kubectl, "delete", "persistentvolumes", *names, "--ignore-not-found"], check=True, capture_output=True
        )

    def make() -> None:
        remove()
        for name, claim in zip(names, CLAIMS, strict=True):
            folder = tmp_path_factory.mktemp(claim)
            folder.chmod(0o777)
            spec = {
                "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": NAMESPACE, "name": claim},
                "hostPath": {"path": str(folder)},
            }  # fmt: skip
            volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
            command = [*kubectl, "create", "--filename", "-"]
            subprocess.run(command, check=True, capture_output=True, text=True, input=json.dumps(volume))

    if dynamic:
        yield lambda: None
        return
    make()
    yield make
    remove()


@pytest.fixture(scope="session")
def tracked(docker: None, volumes: Callable[[], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:  # noqa: ARG001 -- needed
    """Deploy MLflow and Postgres; in the end nothing is left of the namespace."""
    stack = Stack("slipway-test-tracking", tmp_path_factory.mktemp("tracking"), {"NAMESPACE": NAMESPACE, **SMALL})
    before = dict(os.environ)
    os.environ.update(stack.variables)
    settings = slipway_settings.load()
    found = Tracked(stack, settings, Cluster(settings))
    try:
        _remove(found)
        stack.make("deploy_tracking")
        yield found
    finally:
        _remove(found)
        os.environ.clear()
        os.environ.update(before)


def _remove(tracked: Tracked) -> None:
    tracked.cluster.ask(
        "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout", "120s", seconds=150
    )
