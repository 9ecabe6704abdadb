"""A real cluster, a namespace of the tests' own in it, and real MLflow services beside it whose versions go there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from slipway import settings as slipway_settings
from slipway.kubernetes.cluster.kubectl import Cluster
from slipway.settings import ROOT
from tests import beside
from tests.conftest import need
from tests.e2e.conftest import Stack
from tests.e2e.place import CLIENTS, Load
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.settings import Settings

ALPHAS = ("0.05", "0.2")  # of versions 1 and 2
BAD = ("Crash", "Hang", "Garbage")  # of tests/e2e/bad_models.py: versions 3, 4 and 5
SERVICE = "diabetes-model"
WITHIN = 120  # s, on a busy machine
VARIABLES = {
    "NAMESPACE": "slipway-test",
    "ROLLOUT_TIMEOUT": f"{WITHIN}",
    "SCORING_GRACE": "4",
}  # one node hears soon that a pod ends


@dataclass
class Served:
    """A model in the cluster: `make` to work on it, kubectl to look, and its address as the node knows it."""

    stack: Stack
    settings: Settings
    cluster: Cluster

    def make(self, target: str, **variables: str) -> str:
        """Run a make target, which must succeed."""
        return self.stack.make(target, **variables)

    def deploy(self, version: int, **variables: str) -> str:
        """Deploy a version."""
        return self.make("deploy", MODEL=f"models:/diabetes/{version}", **variables)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object that is there."""
        found = self.cluster.get(kind, name)
        assert found, f"no {kind} {name}"
        return found

    @property
    def url(self) -> str:
        """The service's address, which the node's kube-proxy serves."""
        return self.find_url(SERVICE)

    def find_url(self, service: str) -> str:
        """Return the address of a service."""
        return f"http://{self.get('service', service)['spec']['clusterIP']}"

    def find_answering(self, service: str = SERVICE) -> int:
        """Return the version that answers."""
        return int(requests.get(f"{self.find_url(service)}/readyz", timeout=10).json()["version"])

    def settle(self, version: int) -> None:
        """Have a version answer."""
        found = self.cluster.get("deployment", "diabetes-model")
        if not found or found["spec"]["template"]["metadata"]["annotations"].get("io.slipway/version") != str(version):
            self.deploy(version)

    def wait(self, done: Callable[[], bool], what: str, seconds: float = WITHIN) -> float:
        """Wait until something is so; return how many seconds that took."""
        started = time.monotonic()
        wait_until(
            done,
            seconds,
            lambda: f"{what}\n{self.cluster.ask('describe', 'pods').out[-3000:]}",
            ignored=(requests.RequestException,),
        )
        return time.monotonic() - started

    @contextmanager
    def under_load(self, service: str = SERVICE) -> Iterator[Load]:
        """Have clients send requests at a constant rate for a while."""
        load = Load(self.find_url(service))
        body = (ROOT / "model" / "request.json").read_bytes()
        with beside.threads(lambda ended: load.run(body, ended), CLIENTS):
            yield load


@pytest.fixture(scope="session")
def kubernetes() -> Settings:
    """Return settings that name a cluster which answers: CONTEXT and IMAGE_LOAD come from whoever runs the tests."""
    loaded = slipway_settings.load()
    answers = bool(loaded.cluster.context) and shutil.which("kubectl") is not None
    if answers:
        command = ["kubectl", "--context", loaded.cluster.context, "get", "--raw", "/readyz"]
        answers = subprocess.run(command, check=False, capture_output=True).returncode == 0
    need(
        "kubernetes", answers, "CONTEXT=… and IMAGE_LOAD=… of a cluster that may be played with, then make test_cluster"
    )
    return loaded


@pytest.fixture(scope="session")
def served(docker: None, kubernetes: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:  # noqa: ARG001 -- it needs an engine
    """Return a model in the cluster whose versions are registered."""
    with run("slipway-test-cluster", tmp_path_factory.mktemp("cluster"), VARIABLES) as found:
        yield found


@contextmanager
def run(project: str, folder: Path, variables: dict[str, str]) -> Iterator[Served]:
    """Train the versions with services of a project's own; in the end nothing is left of them, or of the namespace."""
    stack = Stack(project, folder, variables.copy())
    stack.remove()
    os.environ["NAMESPACE"] = stack.variables["NAMESPACE"]
    found = Served(stack, slipway_settings.load(), Cluster(slipway_settings.load()))
    _remove(found)
    try:
        stack.make("start_mlflow_services")
        for alpha in ALPHAS:
            stack.make("train_model", TRAIN_ARGS=f"--alpha {alpha} --repeats 1")
        for kind in BAD:
            stack.make("wrap_model", FILE="tests/e2e/bad_models.py", CLASS=kind)
        yield found
    finally:
        _remove(found, wait=False)
        stack.remove()


def _remove(served: Served, *, wait: bool = True) -> None:
    arguments = [
        "delete",
        "namespace",
        served.cluster.namespace,
        "--ignore-not-found",
        f"--wait={str(wait).lower()}",
        "--timeout",
        "120s",
    ]
    served.cluster.ask(*arguments, seconds=150)
