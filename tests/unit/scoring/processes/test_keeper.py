"""The keeper of a port: who gets its sockets, when, and what it says."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from scoring.processes import keeper
from scoring.processes.keeper import Keeper, share
from slipway import ports
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Place:
    """A keeper of two sockets, and processes that connect to it."""

    def __init__(self, at: Path, stack: ExitStack) -> None:
        self.at, self._stack = at, stack
        self.listeners = [stack.enter_context(each) for each in keeper.listen("127.0.0.1", 0, 2)]
        self.keeper = Keeper(at / "current", stack.enter_context(keeper.open_door(at / "door")), self.listeners)

    def connect(self, name: Any) -> socket.socket:  # noqa: ANN401 -- any JSON
        """Return the end of a process of a version."""
        line = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        with keeper.shorten(self.at / "door") as short:
            line.connect(short)
        line.settimeout(0)
        line.sendall(json.dumps(name).encode() + b"\n")
        self.turn()
        return line

    def point(self, name: str) -> None:
        """Name a version."""
        (self.at / "current").unlink(missing_ok=True)
        (self.at / "current").symlink_to(f"programs/{name}")
        self.turn()

    def turn(self) -> None:
        """Give the keeper time for what has been said, and what follows from it."""
        for _ in range(4):
            self.keeper.turn()

    def hear(self, line: socket.socket, *, agree: bool = True) -> list[int] | None:
        """Return the numbers that a process was sent, None when none; have it agree."""
        try:
            words, descriptors, _, _ = socket.recv_fds(line, 4096, 8)
        except BlockingIOError:
            return None
        numbers: list[int] = json.loads(words)
        for number, descriptor in zip(numbers, descriptors, strict=True):
            with socket.socket(fileno=descriptor) as handed:
                assert handed.getsockname() == self.listeners[number].getsockname()
        if agree:
            line.sendall(words)
            self.turn()
        return numbers


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a keeper whose door has a path longer than a socket's may be."""
    at = tmp_path / ("long" * 30)
    at.mkdir()
    with ExitStack() as stack:
        yield Place(at, stack)


@pytest.mark.parametrize(
    ("sockets", "processes", "shares"),
    [
        (1, 1, [[0]]),
        (3, 2, [[0, 2], [1]]),
        (2, 3, [[0], [1], [0]]),
        (2, 0, []),
    ],
    ids=["one", "more sockets", "more processes", "nobody"],
)
def test_shares(sockets: int, processes: int, shares: list[list[int]]) -> None:
    """Every socket is somebody's, and every process has one."""
    assert share(sockets, processes) == shares


def test_the_one_before_lets_go_last(place: Place) -> None:
    """A version lets go only when the next one says that it accepts; a third is told nothing but to hold none."""
    one, two = place.connect("one"), place.connect("two")
    waits = place.hear(one)
    place.point("one")
    first = place.hear(one), place.hear(two)
    place.point("two")
    given = place.hear(two, agree=False)
    meanwhile = place.hear(one)
    two.sendall(b"[0, 1]\n")
    place.turn()

    assert waits is None
    assert first == ([0, 1], [])
    assert given == [0, 1]
    assert meanwhile is None
    assert place.hear(one) == []


def test_workers_share_and_inherit(place: Place) -> None:
    """Two processes of a version have a socket each; what one that dies had, the other gets, until there is another."""
    place.point("one")
    first = place.connect("one")
    alone = place.hear(first)
    second = place.connect("one")
    halves = place.hear(first), place.hear(second)
    second.close()
    place.turn()
    inherited = place.hear(first)
    third = place.connect("one")

    assert alone == [0, 1]
    assert halves == ([0], [1])
    assert inherited == [0, 1]
    assert (place.hear(first), place.hear(third)) == ([0], [1])


def test_a_version_that_is_not_there_takes_nothing(place: Place) -> None:
    """While the version that is named is not there, or has died before it accepts, the one before goes on."""
    place.point("one")
    one = place.connect("one")
    place.hear(one)
    place.point("two")
    two = place.connect("two")
    place.hear(two, agree=False)
    two.close()
    place.turn()

    assert place.hear(one) is None
    place.point("one")
    assert place.hear(one) is None  # it has them


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b'"two"\n', b"[" * 4000], ids=["http", "text", "deep"])
@pytest.mark.parametrize("name", ["one", ["a list"], 1], ids=repr)
def test_who_talks_nonsense_is_dropped(words: bytes, name: Any, place: Place) -> None:  # noqa: ANN401 -- any JSON
    """What is not JSON, or not what is said then, ends a connection; the keeper and its other processes go on."""
    place.point("one")
    line = place.connect(name)
    with suppress(BrokenPipeError):
        line.sendall(words)
    place.turn()
    one = place.connect("one")

    assert place.hear(one) == [0, 1]


def test_the_door_is_its_owners(place: Place) -> None:
    """No other user can connect, and so take the port."""
    assert (place.at / "door").stat().st_mode & 0o777 == 0o600


@contextmanager
def _started(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a keeper's own program; give it and its port."""
    door, port = place / "door", ports.find_free()
    command = [sys.executable, "-m", "scoring.processes.keeper", str(place), "--door", str(door)]
    with subprocess.Popen([*command, "--port", str(port)]) as process:
        try:
            wait_until(door.exists, 30, "it listens")
            yield process, port
        finally:
            process.kill()


def test_only_sigterm_ends_it(tmp_path: Path) -> None:
    """A Ctrl-C in its terminal, which its versions hear too, leaves them the port for what is under way."""
    with _started(tmp_path) as (process, port):
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        socket.create_connection(("127.0.0.1", port)).close()
        process.terminate()

        assert process.wait(30) == 0


def test_it_ends_without_its_door(tmp_path: Path) -> None:
    """No version could reach it any more: the next keeper has a door again."""
    with _started(tmp_path) as (process, _):
        (tmp_path / "door").unlink()

        assert process.wait(30) == keeper.LOST_DOOR
