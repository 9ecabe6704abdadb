"""Holds a port for the versions of a model: python -m scoring.processes.keeper FOLDER --door PATH --port 8001.

The keeper owns the listening sockets of the port, and answers nobody. Each process of a version connects to its door, a
unix socket, says the version's name, and waits. The link `current` in FOLDER names the version whose processes are
handed the sockets (SCM_RIGHTS). Once all of these say that they accept, those of other versions are told to let go.
They all share the kernel's queues of connections meanwhile, so none is lost; while there is no version, callers wait.

Both sides speak in JSON lines: a process says its version's name; the keeper sends the numbers of all sockets that the
process is to hold, with the sockets in that order; the process repeats the line once it accepts there and nowhere else,
and the keeper sends it nothing more until then.

Nothing but the standard library.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CURRENT = "current"  # the link, whose target's last part is the name of a version
BACKLOG = 2048  # connections that wait, for each socket
LOOK_S = 0.05  # between two looks at the link
LONGEST = 4096  # bytes of a line
PATH_MAX = 100  # bytes of a socket's path that every system takes
SPREADS = sys.platform == "linux"  # connections, evenly over sockets that share a port
CANNOT_LISTEN, LOST_DOOR = 1, 2


@dataclass(eq=False)
class Process:
    """A process of a version, at the other end of a connection."""

    line: socket.socket
    version: str = ""
    given: list[int] | None = None  # the sockets that it is to hold
    held: list[int] | None = None  # those that it says it holds

    @property
    def is_settled(self) -> bool:
        """Whether it does what it was told last."""
        return self.given == self.held


class Keeper:
    """Hands `listeners` to the processes of the version that a link names."""

    def __init__(self, link: Path, door: socket.socket, listeners: list[socket.socket]) -> None:
        self._link, self._door, self._listeners = link, door, listeners
        self._selector = selectors.DefaultSelector()
        self._selector.register(door, selectors.EVENT_READ)
        self._processes: list[Process] = []  # in the order in which they came

    def turn(self) -> None:
        """Hear what the processes say, and hand the sockets out as the link says now."""
        for key, _ in self._selector.select(LOOK_S):
            self._hear(key.data) if key.data else self._admit()
        self._settle(find_current(self._link))

    def _admit(self) -> None:
        line = self._door.accept()[0]
        line.settimeout(0)
        self._processes.append(Process(line))
        self._selector.register(line, selectors.EVENT_READ, self._processes[-1])

    def _hear(self, process: Process) -> None:
        try:
            words = process.line.recv(LONGEST)
            said = json.loads(words) if words else None
        except (OSError, ValueError, RecursionError):
            said = None
        if process.version and isinstance(said, list):
            process.held = said
        elif not process.version and isinstance(said, str):
            process.version = said
        else:
            self._drop(process)

    def _drop(self, process: Process) -> None:
        self._selector.unregister(process.line)
        self._processes.remove(process)
        process.line.close()

    def _settle(self, current: str) -> None:
        chosen = [each for each in self._processes if each.version and each.version == current]
        for process, numbers in zip(chosen, share(len(self._listeners), len(chosen)), strict=True):
            self._give(process, numbers)
        if chosen and all(each.is_settled for each in chosen):
            for process in [each for each in self._processes if each.version not in {"", current}]:
                self._give(process, [])

    def _give(self, process: Process, numbers: list[int]) -> None:
        if process.given == numbers or not process.is_settled:
            return
        line = json.dumps(numbers).encode() + b"\n"
        process.given = numbers
        try:
            if numbers:
                socket.send_fds(process.line, [line], [self._listeners[number].fileno() for number in numbers])
            else:
                process.line.send(line)
        except OSError:
            self._drop(process)


def find_current(link: Path) -> str:
    """Return the name of the version that a link points to, or "" when there is no link."""
    try:
        return os.path.basename(os.readlink(link))  # noqa: PTH115, PTH119 -- asked twenty times a second
    except OSError:
        return ""


def share(sockets: int, processes: int) -> list[list[int]]:
    """Return the numbers of the sockets that each process gets: all are taken, and each process has at least one."""
    return [list(range(at, sockets, processes)) or [at % sockets] for at in range(processes)]


@contextlib.contextmanager
def shorten(path: Path) -> Iterator[str]:
    """Yield a path of a socket that is short enough: Linux takes 107 bytes, macOS 103."""
    if len(os.fsencode(path)) <= PATH_MAX or not SPREADS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(host: str, port: int, sockets: int) -> list[socket.socket]:
    """Listen on a port with several sockets; raise OSError when another program has it.

    An earlier keeper's versions may still accept on sockets of theirs: these share the port with ours.
    """
    found = []
    for _ in range(sockets if SPREADS else 1):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.settimeout(0)  # for all who are handed it
        listener.bind((host, port))
        found.append(listener)
    for listener in found:
        listener.listen(BACKLOG)
    return found


def open_door(path: Path, mode: int = 0o600) -> socket.socket:
    """Listen on a unix socket with a mode, in place of an earlier keeper's: who may connect can have the port."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with shorten(path) as short:
        old = os.umask(0o777 & ~mode)
        door.bind(short)
        os.umask(old)
    door.listen()
    return door


def main() -> None:
    """Keep the port until SIGTERM comes.

    A terminal's Ctrl-C goes to all programs in it: the versions still answer what is under way, in a keeper's network.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # process 1 of a container has no handlers of its own
    parser = argparse.ArgumentParser(prog="python -m scoring.processes.keeper", description="Hold a port for versions.")
    parser.add_argument("folder", type=Path, help=f"where the link `{CURRENT}` names the version that answers")
    parser.add_argument("--door", type=Path, required=True, help="the unix socket that versions connect to")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, required=True, help="the port to hold")
    parser.add_argument("--sockets", type=int, default=1, help="sockets that share the port: one for each worker")
    parser.add_argument("--any-user", action="store_true", help="let processes of other users connect, too")
    given = parser.parse_args()
    try:
        listeners = listen(given.host, given.port, max(1, given.sockets))
        keeper = Keeper(given.folder / CURRENT, open_door(given.door, 0o666 if given.any_user else 0o600), listeners)
    except OSError as error:
        sys.stderr.write(f"error: cannot keep {given.host}:{given.port}: {error.strerror}\n")
        sys.exit(CANNOT_LISTEN)
    while given.door.exists():  # else whoever looks after us starts another, whose door can be found
        keeper.turn()
    sys.exit(LOST_DOOR)


if __name__ == "__main__":
    main()
