"""A stack with a deployer, seen from outside: MLflow, the deployer, the model's API, and clients that send requests."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from slipway.settings import STATE
from tests.polling import wait_until

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from tests.aliases import Json
    from tests.e2e.conftest import Stack

CLIENTS, PER_SECOND = 8, 50
WITHIN = 120.0  # s, on a busy machine


@dataclass
class Place:
    """The stack, seen from outside: MLflow, the deployer, the model's API."""

    stack: Stack

    @property
    def deployer(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.stack.variables['DEPLOYER_PORT']}"

    @property
    def api(self) -> str:
        """The served model's address."""
        return f"http://127.0.0.1:{self.stack.variables['PORT']}"

    @property
    def secrets(self) -> dict[str, str]:
        """Token and webhook secret."""
        home = STATE / "deployer" / self.stack.variables["DEPLOYER_PORT"]
        return {name: (home / name).read_text() for name in ("token", "webhook_secret")}

    def mlflow(self, path: str, **body: Json) -> dict[str, Any]:
        """Call MLflow's API as its own page does."""
        url = f"http://127.0.0.1:{self.stack.variables['MLFLOW_PORT']}/api/2.0/mlflow/{path}"
        answer = requests.post(url, json=body, timeout=10) if body else requests.get(url, timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def set_alias(self, version: int) -> None:
        """Move the alias by hand."""
        self.mlflow("registered-models/alias", name="diabetes", alias="champion", version=str(version))

    def find_champion(self) -> int:
        """Ask MLflow for the champion."""
        return int(self.mlflow("registered-models/alias?name=diabetes&alias=champion")["model_version"]["version"])

    def find_answering(self) -> int | None:
        """Ask the model's API for its version."""
        try:
            return int(requests.get(f"{self.api}/readyz", timeout=5).json()["version"])
        except requests.ConnectionError:
            return None

    def post(self, path: str, body: dict[str, Any], token: str | None = None) -> requests.Response:
        """Ask the deployer for something."""
        bearer = self.secrets["token"] if token is None else token
        return requests.post(
            f"{self.deployer}{path}", json=body, headers={"Authorization": f"Bearer {bearer}"}, timeout=30
        )

    def find_last(self) -> dict[str, Any]:
        """Return the newest deployment."""
        return dict(requests.get(f"{self.deployer}/deployments?limit=1", timeout=30).json()["deployments"][0])

    def wait(self, done: Callable[[], bool], what: str) -> float:
        """Wait until something is so; return how many seconds that took."""
        started = time.monotonic()

        def say() -> str:
            command = ["docker", "logs", "--tail", "60", f"{self.stack.project}-deployer-1"]
            logs = subprocess.run(command, check=False, capture_output=True, text=True)
            return f"{what}\n{logs.stdout}{logs.stderr}"

        wait_until(done, WITHIN, say, ignored=(requests.RequestException,))
        return time.monotonic() - started

    def finish(self, deployment: str) -> dict[str, Any]:
        """Wait for the end of a deployment, and return it."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(requests.get(f"{self.deployer}/deployments/{deployment}", timeout=30).json())
            return found["state"] not in {"pending", "running"}

        self.wait(ended, f"deployment {deployment} ends")
        return found

    def settle(self, version: int) -> None:
        """Have a version be champion and answer, whatever was before."""
        if self.find_champion() != version:
            self.stack.make("promote", MODEL=f"models:/diabetes/{version}", FORCE="1", WHY="a test's beginning")
        self.wait(lambda: self.find_answering() == version, f"version {version} answers")
        self.wait(lambda: self.find_last()["state"] in {"done", "failed"}, "nothing is under way")


@dataclass
class Load:
    """Clients that send requests at a constant rate."""

    api: str
    sent: int = 0
    failed: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    answers: dict[str, set[str]] = field(default_factory=dict)  # what each version said to the one request

    @property
    def is_right(self) -> bool:
        """Whether each version has said one thing, and no other version that."""
        said = [answer for answers in self.answers.values() for answer in answers]
        return len(set(said)) == len(said) == len(self.answers)

    def run(self, body: bytes, ended: threading.Event) -> None:
        """Be one client."""
        with requests.Session() as session:
            while not ended.wait(CLIENTS / PER_SECOND):
                try:
                    answer = session.post(
                        f"{self.api}/invocations", data=body, headers={"Content-Type": "application/json"}, timeout=30
                    )
                    if not answer.ok:
                        self.failed.append(f"{answer.status_code}: {answer.text[:100]}")
                    version = answer.headers.get("X-Model-Version", "none")
                    self.versions.add(version)
                    if answer.ok:
                        said = [f"{value:.9g}" for value in answer.json()["predictions"]]  # BLAS adds as many rows do
                        self.answers.setdefault(version, set()).add(" ".join(said))
                except requests.RequestException as error:
                    self.failed.append(repr(error))
                self.sent += 1
