"""A stack of the tests' own: the real services by compose, beside whatever else runs on this machine."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slipway import ports
from slipway.settings import ROOT, STATE
from tests import beside

SECONDS_TO_STOP = 20  # on a busy machine; five are promised on a quiet one


@dataclass
class Stack:
    """What `make` is told, so that it works on these services."""

    project: str
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Choose ports and folders."""
        self.variables = {
            "RUNTIME": "docker",
            "COMPOSE_PROJECT_NAME": self.project,
            "MLFLOW_PORT": str(ports.find_free()),
            "PORT": str(ports.find_free()),
            "DEPLOYER_PORT": str(ports.find_free()),
            "MLFLOW_ARTIFACT_ROOT": str(self.folder / "artifacts"),
            "BACKUP_DIR": str(self.folder / "backups"),
            "MLFLOW_TRACKING_URI": "",
            "MODEL_DIR": "model",
            **dict.fromkeys(
                ("TRAIN_ARGS", "URL", "KEPT", "MODEL", "FORMAT", "FORCE", "WHY", "TO", "FOLLOW", "FILE", "CLASS"), ""
            ),
        } | self.variables

    def start(self, target: str, **variables: str) -> subprocess.Popen[str]:
        """Start a make target in a session of its own, as a terminal does."""
        environment = {**os.environ, **self.variables, **variables}
        return subprocess.Popen(
            ["make", "--no-print-directory", target], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def make(self, target: str, **variables: str) -> str:
        """Run a make target and return what it printed; fail with that when it fails."""
        code, printed = self.try_make(target, **variables)
        assert code == 0, f"make {target} failed:\n{printed}"
        return printed

    def try_make(self, target: str, **variables: str) -> tuple[int, str]:
        """Run a make target; return its exit code and what it printed."""
        process = self.start(target, **variables)
        try:
            printed, _ = process.communicate(timeout=600)
        finally:
            beside.kill(process)
        return process.returncode, printed

    @contextmanager
    def serve(self, model: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Serve a model in the foreground for a while, then press Ctrl-C; it must be gone soon."""
        process = self.start("serve_model", MODEL=model, **variables)
        try:
            yield process
        finally:
            pressed = time.monotonic()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            try:
                print(process.communicate(timeout=30)[0])
            finally:
                beside.kill(process)
            took = time.monotonic() - pressed
        assert took < SECONDS_TO_STOP, f"Ctrl-C took {took:.1f} s"

    def docker(self, *arguments: str) -> str:
        """Run a docker command and return its output."""
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()

    def remove(self) -> None:
        """Remove containers, network and volumes, and what a deployer keeps."""
        for kind, arguments in (
            ("container", ["ps", "-aq"]),
            ("volume", ["volume", "ls", "-q"]),
            ("network", ["network", "ls", "-q"]),
        ):
            found = self.docker(
                *arguments, "--filter", f"name=^{self.project}[_-]" if kind != "network" else f"name=^{self.project}$"
            ).split()
            if found:
                subprocess.run(
                    ["docker", kind, "rm", *(["--force"] if kind != "network" else []), *found],
                    check=False,
                    capture_output=True,
                )
        for place in (STATE / "deployer" / self.variables["DEPLOYER_PORT"], STATE / "live" / self.variables["PORT"]):
            shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Return a stack named after the test module, not started yet; nothing of it is left at the end."""
    request.getfixturevalue("docker")
    name = request.module.__name__.rsplit("_", 1)[-1]
    made = Stack(f"slipway-test-{name}", tmp_path_factory.mktemp(name))
    made.remove()
    try:
        yield made
    finally:
        made.remove()
