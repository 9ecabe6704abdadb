"""The commands as a user gives them, on this machine without Docker, with an embedded store of the test's own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from mlflow import MlflowClient

from slipway import ports
from slipway.settings import ROOT
from tests import beside
from tests.conftest import find_command
from tests.polling import wait_until

START = 120  # s for a server


@dataclass
class Kit:
    """The commands, with a store of the test's own."""

    store: Path

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the store."""
        return MlflowClient(self._uri)

    @property
    def _uri(self) -> str:
        return f"sqlite:///{self.store}/mlflow.db"

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a command that works on the store."""
        given = {"TRAIN_ARGS": "", "URL": "", "MODEL": "", "RUNTIME": "host", "MLFLOW_TRACKING_URI": self._uri}
        return {**os.environ, **given, **variables}

    def run(self, target: str, **variables: str) -> str:
        """Run a target's command to its end; return what it printed, or fail with it."""
        done = subprocess.run(
            find_command(target), cwd=ROOT, env=self.environment(**variables), check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

        assert done.returncode == 0, done.stdout
        return done.stdout

    def release(self, folder: str, **variables: str) -> None:
        """Train a folder's model and make it champion, by gate and smoke test."""
        name = folder.rsplit("/", 1)[-1]
        self.run("train_model", MODEL_DIR=folder, **variables)
        self.run("promote", MODEL_DIR=folder, MODEL=f"models:/{name}/1", PORT=str(ports.find_free()))

    @contextmanager
    def serve(self, folder: str, uri: str = "") -> Iterator[str]:
        """Serve a folder's champion, or another model; yield the address of its API."""
        name, port = folder.rsplit("/", 1)[-1], ports.find_free()
        given = self.environment(MODEL=uri or f"models:/{name}@champion", PORT=str(port))
        log = self.store / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(find_command("serve_model"), cwd=ROOT, env=given, stdout=output, stderr=output)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(
                lambda: requests.get(f"{url}/ping", timeout=5).ok, START, log.read_text,
                process=process, ignored=(requests.RequestException,),
            )  # fmt: skip
            yield url
        finally:
            beside.end(process)
