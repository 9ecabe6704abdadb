"""What a newcomer meets: an empty embedded store, and commands called too early."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from slipway import ports
from slipway.settings import ROOT
from tests.conftest import find_command, need

pytestmark = pytest.mark.fast

NO_SERVER = f"http://127.0.0.1:{ports.find_free()}"


def run(target: str, **variables: str) -> tuple[int, str]:
    """Run a target's command, without make, and return its exit code and what it printed."""
    environment = {**os.environ, **variables}
    completed = subprocess.run(
        find_command(target), cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    return completed.returncode, completed.stdout + completed.stderr


def test_an_empty_registry_says_what_to_do(tmp_path: Path) -> None:
    """Listing an empty registry is an error with its cure; as JSON it is an empty list."""
    store = f"sqlite:///{tmp_path}/mlflow.db"

    words = f"error: the registry is empty\n  try: RUNTIME=host MLFLOW_TRACKING_URI={store} make train_model\n"

    assert run("list_models", RUNTIME="host", MLFLOW_TRACKING_URI=store) == (1, words)
    assert run("list_models", FORMAT="json", RUNTIME="host", MLFLOW_TRACKING_URI=store) == (0, "[]\n")


def test_without_docker_no_cure_needs_it(tmp_path: Path) -> None:
    """Who has no Docker is told the way that needs none.

    On RUNTIME=host a server that is not there is never ours to start.
    """
    port = NO_SERVER.rsplit(":", 1)[1]
    told = run("list_models", RUNTIME="docker", MLFLOW_TRACKING_URI="", MLFLOW_PORT=port, PATH=str(tmp_path))[1]
    host = run("list_models", RUNTIME="host", MLFLOW_TRACKING_URI=NO_SERVER, MLFLOW_PORT=port)[1]

    assert told.endswith("try: RUNTIME=host with the same command, which needs no Docker\n")
    assert host.endswith("try: check MLFLOW_TRACKING_URI, or unset it\n")


@pytest.mark.parametrize(
    ("target", "model"),
    [("list_models", ""), ("train_model", ""), ("serve_model", "models:/diabetes/1")],
    ids=["list", "train", "serve"],
)
def test_without_a_server_the_error_names_the_cure(target: str, model: str) -> None:
    """A command that needs the tracking server says so at once, and how to start it."""
    need("docker", shutil.which("docker") is not None, "install Docker; it need not run")
    port = NO_SERVER.rsplit(":", 1)[1]
    code, words = run(target, MODEL=model, RUNTIME="docker", MLFLOW_TRACKING_URI="", MLFLOW_PORT=port)

    assert (code, words) == (
        1,
        f"error: no tracking server answers at {NO_SERVER}\n  try: MLFLOW_PORT={port} make start_mlflow_services\n",
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RUNTIME": "cloud"}, "RUNTIME is 'cloud'"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"CA_BUNDLE": "/no/such.pem"}, "CA_BUNDLE does not name a file"),
    ],
    ids=["runtime", "no number", "no port", "bundle"],
)
def test_a_setting_that_cannot_be_used_is_named(variables: dict[str, str], words: str) -> None:
    """A wrong setting ends with exit code 2, its name and its value."""
    code, printed = run("list_models", **variables)

    assert code == 2
    assert words in printed


def test_serving_nothing_is_a_usage_error() -> None:
    """Without MODEL there is nothing to serve: exit code 2, and what to type."""
    code, words = run("serve_model", MODEL="", RUNTIME="host")

    assert code == 2
    assert "MODEL is empty" in words


def test_a_foreign_models_missing_library_is_named(tmp_path: Path) -> None:
    """A model that asks for what no index has is refused in one line, with the way to try it all the same."""
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: mlflow.sklearn}}\n")
    (tmp_path / "requirements.txt").write_text("mlflow==2.3.0\nslipway-no-such-library==3.0.0\n")
    code, words = run("serve_model", MODEL=str(tmp_path), RUNTIME="host", PORT=str(ports.find_free()))

    assert code == 1
    assert f"the libraries of {tmp_path} cannot be resolved: " in words
    assert "slipway-no-such-library" in words
    assert "SCORING_CHECK_LIBRARIES=off" in words
