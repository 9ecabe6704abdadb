"""Real images of this checkout, a fitted model in one of them, and containers that are removed in any case."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from sklearn.linear_model import LinearRegression

from slipway import model_folder, ports
from slipway import settings as slipway_settings
from slipway.model_folder import ModelFolder
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import images, locks
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.settings import ROOT, Settings
from tests import polling

NAME = f"image-test-{os.getpid()}"  # of a model that is nobody else's
READY_WITHIN = 60  # s, on a busy machine
CLOSED = ["--read-only", "--cap-drop", "ALL"]  # less than slipway gives, which is a /tmp and an init too


def ask_docker(*arguments: str) -> str:
    """Run a docker command and return its output."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def inspect(thing: str) -> dict[str, Any]:
    """Return what the engine knows of an image or a container."""
    return dict(json.loads(ask_docker("inspect", thing))[0])


def run_once(tag: str, *command: str) -> str:
    """Run a command in a container of an image, closed as we serve, and return what it printed."""
    return ask_docker("run", "--rm", "--network=none", *CLOSED, tag, *command)


def remove_images(repository: str) -> None:
    """Remove all tags of a repository, where there are any."""
    if tags := ask_docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split():
        subprocess.run(["docker", "image", "rm", "--force", *tags], check=False, capture_output=True)


@contextmanager
def run_server(tag: str, *options: str) -> Iterator[tuple[str, str]]:
    """Run a server in a container that nothing else knows; yield its name and its address."""
    name, port = f"{NAME}-{uuid.uuid4().hex[:8]}", ports.find_free()
    ask_docker("run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:8080", *options, tag)
    try:
        yield name, f"http://127.0.0.1:{port}"
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)


def wait_until(ready: Callable[[], bool], container: str) -> None:
    """Wait until something is ready; fail with its log when the container ends first."""

    def say() -> str:
        logs = subprocess.run(["docker", "logs", container], check=False, capture_output=True, text=True)
        return f"not ready:\n{logs.stdout}{logs.stderr}"

    def look() -> str:
        return "ready" if ready() else "" if inspect(container)["State"]["Running"] else "ended"

    if polling.wait_until(look, READY_WITHIN, say) == "ended":
        pytest.fail(say())


def answers(url: str) -> bool:
    """Whether a server is ready."""
    try:
        return requests.get(f"{url}/ping", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Return settings of the docker runtime, with this machine's base images."""
    return replace(slipway_settings.load(), runtime="docker")


@pytest.fixture(scope="module")
def model(settings: Settings, docker: None) -> ModelFolder:  # noqa: ARG001 -- needed, not used
    """Return this checkout's model folder, its layers 1 and 2 built."""
    found = model_folder.load(ROOT / "model")
    images.build_base(settings)
    images.build_model(settings, found, locks.of_folder(settings, found))
    return found


@pytest.fixture(scope="module")
def lock(settings: Settings, model: ModelFolder) -> Lock:
    """Return the folder's lock."""
    return locks.of_folder(settings, model)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a fitted model (y = 2x), on libraries that are locked."""
    path = tmp_path_factory.mktemp("saved") / "model"
    mlflow.sklearn.save_model(
        LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), path, pip_requirements=["scikit-learn"]
    )
    return path


@pytest.fixture(scope="module")
def build(settings: Settings, model: ModelFolder, lock: Lock) -> Iterator[Callable[[Path], str]]:
    """Return a function that builds layer 3 of a folder of files, as version 7 of a model of the tests' own."""
    served = ModelRef(f"models:/{NAME}/7", "", NAME, "7", run_id="0123abcd")
    yield lambda files: images.build_served(settings, model, Prepared(served, files, "{}", lock))
    remove_images(f"slipway/{NAME}")


@pytest.fixture(scope="module")
def served(build: Callable[[Path], str], files: Path) -> str:
    """Return the tag of the image that serves the fitted model."""
    return build(files)
