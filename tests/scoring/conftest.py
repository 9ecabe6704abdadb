"""Model folders, made once, and real servers of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle
import mlflow.sklearn
import pandas as pd
import pytest
from mlflow.models import infer_signature

from tests.conftest import need
from tests.polling import wait_until
from tests.scoring import estimators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.aliases import Json

    Content = bytes | Iterable[bytes] | None  # a request's body

Found = TypeVar("Found")

DEADLINE = 60  # s for whatever must come true on a busy machine
ROWS = pd.DataFrame({"a": [0.0, -3.0], "b": [1.0, 2.0], "c": [2.0, 0.5]})
MODELS = {
    "one": estimators.Sum(),
    "two": estimators.Sum(1000.0),
    "heavy": estimators.Sum(2000.0, 16 << 20),
    "slow": estimators.Slow(),
    "mean": estimators.LessMean(),
    "moody": estimators.Moody(),
    "hold": estimators.Hold(),
    "never": estimators.Never(),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the model folders by name."""
    cloudpickle.register_pickle_by_value(estimators)
    at = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, estimator in MODELS.items():
            mlflow.sklearn.save_model(
                estimator.fit(ROWS), str(at / name), serialization_format="cloudpickle",
                signature=infer_signature(ROWS), input_example=None if name == "never" else ROWS, pip_requirements=[],
            )  # fmt: skip
    return {name: at / name for name in MODELS}


@pytest.fixture(scope="session", autouse=True)
def _linux() -> None:
    """Need Linux: these tests read of processes in /proc."""
    need("linux", os.path.isdir("/proc/self"), "run these tests on Linux")  # noqa: PTH112


def body(*values: float) -> bytes:
    """Return a request of one row, whose first columns are given."""
    row = [*values, 0.0, 0.0, 0.0][:3]
    return json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": [row]}}).encode()


def until(what: Callable[[], Found], words: str) -> Found:
    """Return what a function gives once that is true; fail when it does not become so."""
    return wait_until(what, DEADLINE, words)


@dataclass
class Answer:
    """What came back: headers by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        """Return the body's JSON."""
        return json.loads(self.body)


@dataclass
class Server:
    """A server under test."""

    port: int
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def ask(self, method: str, path: str, content: Content = None, /, **headers: str) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            return exchange(
                connection, method, path, content, {name.replace("_", "-"): value for name, value in headers.items()}
            )

    def predict(self, *values: float, **headers: str) -> Answer:
        """Ask for a prediction of one row."""
        return self.ask("POST", "/invocations", body(*values), **headers)

    def raw(self, *parts: bytes) -> list[Answer]:
        """Send bytes as they are, each part by itself, and return all answers until the connection is closed."""
        with self.connect() as line:
            for part in parts:
                line.sendall(part)
            return read_all(line)

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def is_ready(self) -> bool:
        """Whether readiness is answered with 200."""
        try:
            return self.ask("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def metrics(self) -> dict[str, float]:
        """Return all samples by their names and labels, as Prometheus reads them."""
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

        families = text_string_to_metric_families(self.ask("GET", "/metrics").body.decode())
        return {
            sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    def count_workers(self) -> int:
        """Return the number of workers that have a model."""
        try:
            return sum(name.startswith("scoring_worker_resident_memory_bytes") for name in self.metrics())
        except (OSError, http.client.HTTPException):  # it was asked of one that is dying
            return 0

    def workers(self) -> list[int]:
        """Return the processes of the workers (all children but multiprocessing's own)."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:  # noqa: PTH123
            children = [int(pid) for pid in file.read().split()]
        return [pid for pid in children if "spawn_main" in _command(pid)]

    def lines(self) -> list[dict[str, Any]]:
        """Return the access log."""
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def memory(self) -> int:
        """Return the bytes that the process holds."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, content: Content, headers: dict[str, str]
) -> Answer:
    """Send a request on a connection and return its answer."""
    connection.request(method, path, content, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def read_all(line: socket.socket) -> list[Answer]:
    """Read answers until the connection ends."""
    data, answers = b"", []
    with contextlib.suppress(ConnectionError):
        while part := line.recv(65536):
            data += part
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        size = int(headers.get("content-length", 0))
        answers.append(Answer(int(status.split()[1]), headers, data[:size]))
        data = data[size:]
    return answers


def start(folder: Path, at: Path, *flags: str, code: str = "", **env: str) -> Server:
    """Start a server on a free port, after some code in its process; do not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at.mkdir(parents=True, exist_ok=True)
    program = ["-c", f"{code}; from scoring.__main__ import main; main()"] if code else ["-m", "scoring"]
    command = [sys.executable, *program, str(folder), "--port", str(port), *flags]
    out, err = at / f"{port}.out", at / f"{port}.err"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment, start_new_session=True)
    return Server(port, process, out, err)


def end(server: Server) -> None:
    """Kill a server and its workers, which are in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def fail_to_start(folder: Path, at: Path, *flags: str, **env: str) -> tuple[int, str]:
    """Start a server that is to end by itself; return its exit code and what it said on stderr."""
    server = start(folder, at, *flags, **env)
    try:
        return server.process.wait(DEADLINE), server.err.read_text()
    finally:
        end(server)


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """Return a context with a server of a folder that is ready; it and its workers are stopped at the end."""
    at = tmp_path_factory.mktemp("servers")

    @contextlib.contextmanager
    def run(folder: Path, *flags: str, **env: str) -> Iterator[Server]:
        server = start(folder, at, *flags, **env)
        try:
            workers = int(flags[flags.index("--workers") + 1]) if "--workers" in flags else 1
            until(lambda: server.process.poll() is not None or server.is_ready(), "the server is ready")
            until(
                lambda: server.process.poll() is not None or workers == 1 or server.count_workers() == workers,
                "all workers are ready",
            )
            if server.process.poll() is not None:
                pytest.fail(
                    f"the server ended with {server.process.poll()}:\n{server.err.read_text()[-3000:]}", pytrace=False
                )
            yield server
        finally:
            end(server)

    return run
