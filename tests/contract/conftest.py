"""Two servers for each model, MLflow's and ours, started once for all cases."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract import models
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.case import Case

DEADLINE = 270  # s for all servers to answer on a busy machine
SHORT = {"slow": ["--request-timeout", "1"]}  # s


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A process that serves, its log, and its ports by model."""

    command: list[str]
    log: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment)

    def wait(self) -> None:
        """Wait until every port answers; fail with the log when the process ended or the time is over."""
        wait_until(
            lambda: all(_is_ready(port) for port in self.ports.values()),
            DEADLINE,
            lambda: f"{' '.join(self.command[:5])} is not ready:\n{self.log.read_text()[-3000:]}",
            process=self.process,
        )

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.kill()
            self.process.wait()


def _find_ports(n: int) -> list[int]:
    """Return n free ports, each another."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def _is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/ping").status == 200
    except OSError:
        return False


def ask(
    port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | list[bytes] = b""
) -> Answer:
    """Send one request and return its answer; a list of bytes goes in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        content = iter(body) if isinstance(body, list) else body or None
        connection.request(method, path, content, headers or {}, encode_chunked=isinstance(body, list))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def _cases(session: pytest.Session) -> list[Case]:
    """Return the cases of a run."""
    return [item.callspec.params["case"] for item in session.items if "both" in getattr(item, "fixturenames", ())]  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[int, int]]]:
    """Return the ports of MLflow's server and of ours, by model, for the models of the run's cases."""
    folder = tmp_path_factory.mktemp("contract")
    folders = models.save_all(folder, {case.model for case in _cases(request.session)})
    found = _find_ports(2 * len(folders))
    theirs, ours = (dict(zip(folders, found[half::2], strict=True)) for half in range(2))
    places = [f"{name}={folders[name]}:{port}" for name, port in theirs.items()]
    started = [
        Server(
            [sys.executable, str(Path(__file__).with_name("mlflow_servers.py")), *places], folder / "mlflow.log", theirs
        )
    ]
    for name, port in ours.items():
        options = ["--port", str(port), "--access-log", "off", *SHORT.get(name, [])]
        started.append(
            Server(
                [sys.executable, "-m", "scoring", str(folders[name]), *options], folder / f"{name}.log", {name: port}
            )
        )
    try:
        for server in started:
            server.start()
        for server in started:
            server.wait()
        yield {name: (theirs[name], ours[name]) for name in folders}
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def both(
    request: pytest.FixtureRequest, servers: dict[str, tuple[int, int]]
) -> Iterator[Callable[[Case], tuple[Answer, Answer]]]:
    """Return a function that gives both servers' answers to a case.

    The cases of a run are asked a few at a time, ahead of their tests: it is quicker, and good requests meet bad ones.
    """

    def put(case: Case) -> tuple[Answer, Answer]:
        headers = {**case.headers} if case.type is None else {"Content-Type": case.type, **case.headers}
        theirs, ours = (ask(port, case.method, case.path, headers, case.body) for port in servers[case.model])
        return theirs, ours

    pool = ThreadPoolExecutor(4)
    asked = {case.id: pool.submit(put, case) for case in _cases(request.session)}
    try:
        yield lambda case: asked[case.id].result()
    finally:
        pool.shutdown(cancel_futures=True)
