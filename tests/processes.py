"""The processes of a test run: those that inherited its mark in their environment, and their descendants.

They are found in Linux's /proc; elsewhere only the fixtures end what they start.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "TEST_RUN"  # the variable; a run inside a run adds its number to the outer one's
PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class Process:
    """A process: its memory is what it does not share with others, in bytes."""

    pid: int
    parent: int
    memory: int
    command: str


def mark() -> str:
    """Mark this process, so that its descendants can be found; return the mark."""
    os.environ[MARK] = run = f"{os.environ.get(MARK, '')}/{os.getpid()}"
    return run


def find(run: str, root: int = os.getpid()) -> dict[int, Process]:
    """Return the running processes of a run by pid, including its root, which is this one by default."""
    everything = dict(filter(None, map(_read, PROC.glob("[0-9]*"))))
    found = {pid for pid in everything if pid == root or _is_marked(pid, run)}
    new = found
    while new:  # some programs write over their environment: Postgres does, to show what it is doing
        new = {pid for pid, process in everything.items() if process.parent in new} - found
        found = found | new
    return {pid: everything[pid] for pid in found}


def find_orphans(run: str) -> list[Process]:
    """Return the processes of a run that are not descendants of this one: their parent has ended."""
    found = find(run)
    ours = {os.getpid()}
    while more := {pid for pid, process in found.items() if process.parent in ours} - ours:
        ours |= more
    return [process for pid, process in found.items() if pid not in ours]


def kill(some: list[Process]) -> None:
    """Kill processes."""
    for process in some:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def _read(place: Path) -> tuple[int, Process] | None:
    try:
        state, parent, *_ = (place / "stat").read_text(errors="replace").rpartition(") ")[2].split()
        _, resident, shared, *_ = map(int, (place / "statm").read_text().split())
        command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:  # it has ended
        return None
    pid = int(place.name)
    return None if state in "ZX" else (pid, Process(pid, int(parent), (resident - shared) * PAGE, command))


def _is_marked(pid: int, run: str) -> bool:
    try:
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or it is another user's
        return False
    mine = f"{MARK}={run}".encode()
    return any(each == mine or each.startswith(mine + b"/") for each in variables)
