"""Bodies that arrive slowly or never, from callers with a key and without."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from tests.scoring.conftest import body, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from socket import socket

    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

WAYS = [[], ["--cors-origins", "https://a.example"]]
LARGEST = 1 << 20
SOON = 4  # s, on a busy machine; a body that is waited for takes 60


@pytest.fixture(scope="module", params=WAYS, ids=["direct", "plain ASGI"])
def closed(request: pytest.FixtureRequest, serve: Serve, folders: dict[str, Path]) -> Iterator[Server]:
    """Return a server that needs a key."""
    keys = folders["one"].parent / "keys"
    keys.write_text("key-1\nkey-2\n")
    with serve(folders["one"], "--api-keys-file", str(keys), "--max-body", str(LARGEST), *request.param) as server:
        yield server


def _head(size: int, *lines: str) -> bytes:
    fixed = ["POST /invocations HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {size}"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def _begin(server: Server, arrived: int, *lines: str, size: int = LARGEST) -> socket:
    """Send a head and a part of its body."""
    line = server.connect()
    with contextlib.suppress(ConnectionError):  # it may be refused meanwhile
        line.sendall(_head(size, *lines) + b" " * arrived)
    return line


@pytest.mark.parametrize(
    "lines", [[], ["Expect: 100-continue"], ["X-API-Key: wrong"]], ids=["no key", "expecting", "wrong key"]
)
@pytest.mark.parametrize("arrived", [0, LARGEST // 2], ids=["no body", "half of it"])
def test_a_key_is_asked_for_before_the_body(closed: Server, lines: list[str], arrived: int) -> None:
    """A caller without a key is refused by the head of its request, and its connection closed.

    The body is not waited for.
    """
    started = time.monotonic()
    with _begin(closed, arrived, *lines) as line:
        answers = read_all(line)

    assert [(answer.status, answer.headers["connection"]) for answer in answers] == [(401, "close")]
    assert time.monotonic() - started < SOON


def test_nothing_behind_a_refused_head_is_answered(closed: Server) -> None:
    """What comes after a refused request on its connection is not answered."""
    second = _head(len(body()), "X-API-Key: key-1") + body()

    assert [answer.status for answer in closed.raw(_head(len(body())) + body() + second + second)] == [401]


def test_one_caller_leaves_room(closed: Server) -> None:
    """Bodies without end of one caller do not fill the memory for all.

    Others send large ones, and it still sends small ones.
    """
    small, large = body(1.0), body(2.0) + b" " * (LARGEST - 1000)
    lines: list[socket] = []

    def is_refused() -> bool:
        lines.append(_begin(closed, LARGEST - 1, "X-API-Key: key-1"))
        lines[-1].settimeout(0.5)
        try:
            return lines[-1].recv(100).startswith(b"HTTP/1.1 503 ")
        except TimeoutError:
            return False

    try:
        until(is_refused, "its room is full")
        answers = [
            closed.ask("POST", "/invocations", large, X_API_Key="key-2"),
            closed.ask("POST", "/invocations", small, X_API_Key="key-1"),
            closed.ask("POST", "/invocations", small, X_API_Key="key-2"),
        ]
    finally:
        for line in lines:
            line.close()

    assert [answer.json() for answer in answers] == [{"predictions": [value]} for value in (2.0, 1.0, 1.0)]
    until(lambda: closed.ask("POST", "/invocations", large, X_API_Key="key-1").status == 200, "there is room again")


def test_a_slow_body_is_given_up(closed: Server) -> None:
    """A body that arrives more slowly than it must is answered with 408, long before the time for a request is over."""
    started = time.monotonic()
    with _begin(closed, 1, "X-API-Key: key-1") as still, _begin(closed, 1, "X-API-Key: key-1") as dripping:
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 30:
                dripping.sendall(b" ")
                time.sleep(0.2)
        answers = [*read_all(still), *read_all(dripping)]

    assert [answer.status for answer in answers if answer] in ([408], [408, 408])
    assert closed.ask("POST", "/invocations", body(1.0), X_API_Key="key-1").status == 200
