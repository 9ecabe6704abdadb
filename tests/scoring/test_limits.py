"""Limits, each with its own clear answer."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING

import pytest

from tests import beside
from tests.scoring.conftest import DEADLINE, body, exchange, read_all, until
from tests.scoring.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

WAYS = [[], ["--cors-origins", "https://a.example"]]
OVERLOAD = 30  # s
HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module", params=WAYS, ids=["direct", "plain ASGI"])
def small(request: pytest.FixtureRequest, serve: Serve, folders: dict[str, Path]) -> Iterator[Server]:
    """Return a server with low limits."""
    limits = [
        "--max-body",
        "2000",
        "--max-rows",
        "3",
        "--max-depth",
        "5",
        "--request-timeout",
        "1",
        "--keep-alive",
        "1",
    ]
    with serve(
        folders["slow"], *limits, "--max-waiting", "4", "--batching", "off", "--threads", "1", *request.param
    ) as server:
        yield server


def _post(head: bytes, content: bytes) -> bytes:
    return HEAD + head + b"\r\n" + content


@pytest.mark.parametrize("size", [2001, 7000, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_body(size: int, chunked: bool, small: Server) -> None:
    """Too large a body is answered with 413; the connection is usable afterwards, or closed cleanly."""
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=DEADLINE)
    content = iter([b" " * 1000] * (size // 1000) + [b" " * (size % 1000 + 1)]) if chunked else b" " * size
    try:
        answer = exchange(connection, "POST", "/invocations", content, {})
    except (BrokenPipeError, ConnectionResetError):
        pytest.fail("the client could not read the answer")

    assert answer.status == 413
    assert answer.json()["error_code"] == "REQUEST_TOO_LARGE"
    if answer.headers.get("connection") == "close":
        connection.close()
    assert exchange(connection, "POST", "/invocations", body(0.0, 1.0), {}).status == 200
    connection.close()


def test_body_without_end(small: Server) -> None:
    """A body that goes on and on is cut off; what the client reads, if it reads, is 413."""
    with small.connect() as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            end = time.monotonic() + DEADLINE
            while time.monotonic() < end:
                line.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        except ConnectionError:
            pass
        else:
            pytest.fail("it takes it all")

    assert small.predict(0.0).status == 200


def test_rows(small: Server) -> None:
    """Too many rows are answered with 413."""
    rows = json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": [[0, 0, 0]] * 4}}).encode()
    csv = small.ask("POST", "/invocations", b"a,b,c\n" + b"0.0,1.0,2.0\n" * 4, Content_Type="text/csv")

    assert [small.ask("POST", "/invocations", rows).status, csv.status] == [413, 413]


@pytest.mark.parametrize("depth", [7, 900])
def test_depth(depth: int, small: Server) -> None:
    """Too deep a nest is answered with 400."""
    nest = b'{"inputs": ' + b"[" * depth + b"]" * depth + b"}"

    assert "nested deeper than 5" in small.ask("POST", "/invocations", nest).json()["message"]


def test_slow_model(small: Server) -> None:
    """A request that takes too long is answered with 504, and so is what waits behind it."""
    answers = []
    with beside.together(lambda: answers.append(small.predict(2.0)), 3):
        pass

    assert [answer.status for answer in answers] == [504] * 3
    assert {answer.json()["error_code"] for answer in answers} == {"DEADLINE_EXCEEDED"}
    until(lambda: small.predict(0.0).status == 200, "it answers again")


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (HEAD + b"Content-Length: 50\r\n\r\n{", [408]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n", [408]),
        (HEAD + b"X-Never: end", [408]),
        (_post(b"Content-Length: %d\r\n" % len(body()), body()) + HEAD, [200, 408]),
        (b"", []),
    ],
    ids=["body", "chunk", "header", "second header", "nothing"],
)
def test_what_never_arrives(sent: bytes, statuses: list[int], small: Server) -> None:
    """A request that does not arrive gets 408 and its connection is closed; one that does not begin is closed."""
    answers = small.raw(sent)

    assert [answer.status for answer in answers] == statuses
    assert not statuses or answers[-1].headers["connection"] == "close"


def test_waiting(small: Server) -> None:
    """More requests than may wait are answered with 503 and Retry-After; the others are answered."""
    answers = []
    with beside.together(lambda: answers.append(small.predict(0.1)), 12):
        pass
    refused = [answer for answer in answers if answer.status == 503]

    assert refused
    assert {answer.status for answer in answers} == {200, 503}
    assert all(
        int(answer.headers["retry-after"]) >= 1 and answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        for answer in refused
    )


@pytest.mark.parametrize("way", WAYS, ids=["direct", "plain ASGI"])
def test_client_gone(way: list[str], serve: Serve, folders: dict[str, Path]) -> None:
    """A request whose client has gone is not predicted, and counted as under way no longer."""
    with serve(folders["slow"], "--batching", "off", "--threads", "1", *way) as server:
        before = server.metrics()["scoring_rows_total"]
        with beside.together(lambda: server.predict(1.0), 1):
            until(lambda: server.metrics()["scoring_in_flight"] == 1, "the model is busy")
            lines = [server.connect() for _ in range(5)]
            for line in lines:
                line.sendall(_post(b"Content-Length: %d\r\n" % len(body()), body()))
            until(lambda: server.metrics()["scoring_waiting"] == len(lines), "they wait")
            for line in lines:
                line.close()
        server.predict(0.0)
        until(lambda: server.metrics()["scoring_in_flight"] == 0, "nothing is under way")

        assert server.metrics()["scoring_rows_total"] - before == 2


def test_overload(serve: Serve, folders: dict[str, Path]) -> None:
    """Under ten times its capacity, memory is flat, health answers, and requests are answered or refused."""
    flags = ["--batching", "off", "--threads", "1", "--max-waiting", "10", "--access-log", "off"]
    with serve(folders["slow"], *flags) as server, Load(server, clients=50, first=0.01) as load:
        sizes, end = [], time.monotonic() + OVERLOAD
        while time.monotonic() < end:
            load.more()
            sizes.append(server.memory())
            assert server.ask("GET", "/livez").status == 200

    statuses = [answer.status for _, answer in load.answers]
    assert load.lost == []
    assert set(statuses) == {200, 503}
    assert max(sizes) - sizes[0] < 16 << 20, sizes


def test_half_closed(small: Server) -> None:
    """A client that closes its half of the connection is taken for gone; the server goes on."""
    with small.connect() as line:
        line.sendall(_post(b"Content-Length: %d\r\n" % len(body(0.2)), body(0.2)))
        line.shutdown(1)
        answers = read_all(line)

    assert [answer.status for answer in answers] in ([], [200])
    assert small.predict(0.0).status == 200
