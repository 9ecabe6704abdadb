"""How a server ends, and what becomes of its requests; workers that die."""

from __future__ import annotations

import http.client
import os
import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.scoring.conftest import DEADLINE, Answer, body, exchange, until
from tests.scoring.load import Load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

TIMES = 10


def _connect(server: Server) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    connection.connect()
    return connection


def _all_right(load: Load, plus: float = 0.0) -> bool:
    return all(answer.status == 200 and answer.json() == {"predictions": [value + plus]} for value, answer in load.answers)


@pytest.mark.parametrize("flags", [[], ["--workers", "2"], ["--cors-origins", "https://a.example"]], ids=["one", "two", "plain ASGI"])
def test_grace(flags: list[str], serve: Serve, folders: dict[str, Path]) -> None:
    """After SIGTERM readiness fails and predictions are still answered for the grace, on old connections and on new ones."""
    with serve(folders["one"], "--grace", "2", *flags) as server:
        connections = [_connect(server) for _ in range(2)]
        for connection in connections:
            assert exchange(connection, "POST", "/invocations", body(1.0), {}).status == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.is_ready(), "readiness fails")
        new = server.predict(2.0)
        old = [
            exchange(connections[0], "POST", "/invocations", body(3.0), {}),
            exchange(connections[1], "GET", "/livez", None, {}),
        ]

        assert new.json() == {"predictions": [2.0]}
        assert [answer.status for answer in old] == [200, 200]
        assert {answer.headers["connection"] for answer in [new, *old]} == {"close"}
        assert server.process.wait(DEADLINE) == 0
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("grace", ["0", "1"])
def test_no_request_is_lost(workers: str, grace: str, serve: Serve, folders: dict[str, Path]) -> None:
    """SIGTERM under load: whatever was sent is answered, and the exit code is 0."""
    with serve(folders["one"], "--workers", workers, "--grace", grace, "--access-log", "off") as server, Load(server) as load:
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(DEADLINE)

    assert load.lost == []
    assert code == 0
    assert _all_right(load)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_slow_predict_is_finished(workers: str, serve: Serve, folders: dict[str, Path]) -> None:
    """A predict under way when SIGTERM comes is answered, and so is what waits behind it."""
    with serve(folders["slow"], "--workers", workers) as server:
        answers: list[Answer] = []
        threads = [threading.Thread(target=lambda: answers.append(server.predict(1.0, 5.0))) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: server.metrics()["scoring_in_flight"] == len(threads), "all are under way")
        code = server.stop()
        for thread in threads:
            thread.join()

    assert [answer.json() for answer in answers] == [{"predictions": [6.0]}] * 4
    assert code == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_hanging_predict_does_not_hold_the_process(workers: str, number: int, serve: Serve, folders: dict[str, Path]) -> None:
    """A predict that hangs is given up after the drain."""
    with serve(folders["slow"], "--workers", workers, "--drain", "1") as server:
        with server.connect() as line:
            line.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                         % (len(body(3600.0)), body(3600.0)))  # fmt: skip
            until(lambda: server.metrics()["scoring_in_flight"] == 1, "it is under way")
            workers_before = server.workers()
            code = server.stop(number)

        assert code == 0
        assert not [pid for pid in workers_before if os.path.exists(f"/proc/{pid}")]  # noqa: PTH110


def test_workers_that_die(serve: Serve, folders: dict[str, Path]) -> None:
    """Ten SIGTERMs and ten SIGKILLs of workers under load: only what a killed worker had is lost; each is replaced; counters go on."""
    with serve(folders["one"], "--workers", "2", "--access-log", "off") as server, Load(server, clients=8) as load:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(TIMES):
                gone = server.workers()[0]
                os.kill(gone, number)
                until(lambda gone=gone: gone not in server.workers() and server.count_workers() == 2, "it is replaced")
                load.more()
            if number == signal.SIGTERM:
                assert load.lost == []
        before = server.metrics()
        until(lambda: _busy(server, before) == 2, "both workers answer")
        load.more()

    assert len(load.lost) <= TIMES * load.clients * 2  # what was sent, and who was connected again while it was dying
    assert [words for words in load.lost if not re.search("Reset|Disconnected|BrokenPipe", words)] == []  # a cut connection
    assert _all_right(load)


def _busy(server: Server, before: dict[str, float]) -> int:
    server.predict(1.0)  # on a new connection: any worker may take it
    after = server.metrics()
    return sum(after[name] > before.get(name, 0) for name in after if name.startswith("scoring_worker_requests_total"))


def test_counters_survive_a_worker(serve: Serve, folders: dict[str, Path]) -> None:
    """Counters are exact over two workers, and go on where a killed one stopped."""
    with serve(folders["one"], "--workers", "2") as server:
        for _ in range(20):
            server.predict(1.0)
        before = server.metrics()
        pid = server.workers()[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in server.workers() and server.count_workers() == 2, "it is replaced")
        for _ in range(10):
            server.predict(1.0)
        after = server.metrics()

    assert before["scoring_requests_total[200]"] == 20
    assert after["scoring_requests_total[200]"] == 30
    assert after["scoring_in_flight"] == 0
