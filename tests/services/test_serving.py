"""Serving as a process of .venv, without Docker: its beginning, its answers and its end."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import requests
from sklearn.linear_model import LinearRegression

from slipway import ports, settings
from slipway.serving import api_test
from slipway.settings import ROOT
from tests.polling import wait_until

ENDS_WITHIN = 20  # s, on a busy machine; five are promised on a quiet one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small real model."""
    folder = tmp_path_factory.mktemp("models") / "straight line"
    mlflow.sklearn.save_model(
        LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), folder, pip_requirements=["mlflow==3.17.2"]
    )
    return folder


@pytest.mark.parametrize(
    ("name", "send"),
    [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.killpg), (signal.SIGTERM, os.kill)],
    ids=["Ctrl-C at a terminal", "SIGTERM to all", "SIGTERM to make"],
)
def test_a_signal_ends_the_server(model: Path, name: signal.Signals, send: Callable[[int, int], None]) -> None:
    """A model at a path with a space is served; a signal to make, or to all its group, ends the server."""
    port = ports.find_free()
    variables = {**os.environ, "RUNTIME": "host", "PORT": str(port), "MODEL": str(model)}
    process = subprocess.Popen(["make", "serve_model"], cwd=ROOT, env=variables, start_new_session=True)
    try:
        api_test.wait_until_ready(settings.load().serving, f"http://127.0.0.1:{port}", lambda: process.poll() is None)
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json={"inputs": [[2.0]]}, timeout=10).json()
        send(process.pid, name)
        wait_until(lambda: ports.is_free(port), ENDS_WITHIN, "the server has not ended")
    finally:
        with contextlib.suppress(ProcessLookupError):  # all of it has gone
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    assert answer["predictions"] == pytest.approx([5.0])
