"""Real tracking servers, on sqlite and on a real Postgres, and a real training against them."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from slipway import ports
from slipway import settings as slipway_settings
from slipway.registry.client import Registry
from slipway.settings import ROOT, Settings
from tests import beside
from tests.conftest import changed, find_command, need
from tests.polling import wait_until

DEADLINE = 270  # s for a server to answer on a busy machine


@dataclass
class Tracking:
    """A running tracking server that a test may kill and start again."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until its API answers; fail at once with its log when it ends instead."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)
        wait_until(
            lambda: requests.get(f"{self.url}/api/2.0/mlflow/experiments/search?max_results=1", timeout=5).ok,
            DEADLINE,
            lambda: f"the tracking server is not ready:\n{self.log.read_text()[-3000:]}",
            process=self.process,
            ignored=(requests.RequestException,),
        )

    def kill(self) -> None:
        """SIGKILL it and its workers."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def run_postgres(folder: Path) -> Iterator[str]:
    """Run a Postgres server of the test's own and yield its SQLAlchemy URI."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [
        Path(found).parent for found in [shutil.which("initdb")] if found
    ]
    need("postgres", bool(binaries), "apt install postgresql, or brew install postgresql")
    data, port = (
        Path(tempfile.mkdtemp(prefix="slipway-postgres-")),
        ports.find_free(),
    )  # pytest closes its own folders to other users
    as_user: list[str] = []
    if os.getuid() == 0:  # Postgres refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(data, account.pw_uid, account.pw_gid)
        as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    subprocess.run(
        [*as_user, str(binaries[-1] / "initdb"), "-D", str(data), "-U", "mlflow", "--auth=trust"],
        check=True,
        capture_output=True,
        cwd="/",
    )
    command = [
        *as_user,
        str(binaries[-1] / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-k",
        str(data),
        "-c",
        "fsync=off",
    ]
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    ask = [str(binaries[-1] / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
    try:
        wait_until(
            lambda: subprocess.run(ask, check=False, capture_output=True).returncode == 0,
            DEADLINE,
            (folder / "postgres.log").read_text,
            process=process,
        )
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        beside.end(process, signal.SIGINT)  # fast: it does not wait for clients
        shutil.rmtree(data)


@pytest.fixture(scope="session")
def tracking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """Run MLflow's real server on Postgres, or on the kind of database that a test asks for."""
    kind = getattr(request, "param", "postgres")
    folder = tmp_path_factory.mktemp(kind)
    store = run_postgres(folder) if kind == "postgres" else _sqlite(folder)
    with store as uri:
        port = ports.find_free()
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--port",
            str(port),
            "--workers",
            "1",
            "--backend-store-uri",
            uri,
        ]
        server = Tracking(
            [*command, "--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"],
            port,
            folder / "mlflow.log",
        )
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def served_settings(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of the host runtime that use the tracking server, which MLflow's functions use then, too."""
    monkeypatch.setenv("RUNTIME", "host")
    mlflow.set_tracking_uri(tracking.url)
    return changed(slipway_settings.load(), tracking={"external_uri": tracking.url})


@pytest.fixture
def registry(served_settings: Settings) -> Registry:
    """Return the registry of the server under test."""
    return Registry.connect(served_settings)


@pytest.fixture
def client(tracking: Tracking) -> MlflowClient:
    """Return MLflow's own client of the server under test, which MLflow's functions use then, too."""
    mlflow.set_tracking_uri(tracking.url)
    return MlflowClient(tracking.url)


@pytest.fixture
def script(tracking: Tracking) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a target's command against the tracking server, as make does.

    What still runs at the end of the test is ended.
    """
    started: list[subprocess.Popen[str]] = []

    def start(target: str, **variables: str) -> subprocess.Popen[str]:
        mine = {
            name: value for name, value in os.environ.items() if name != "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
        }  # see registry.client.limit_retries
        environment = {
            **mine,
            "TRAIN_ARGS": "",
            "URL": "",
            "MODEL": "",
            "RUNTIME": "host",
            "MLFLOW_TRACKING_URI": tracking.url,
            **variables,
        }
        process = subprocess.Popen(
            find_command(target), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        beside.end(process)
