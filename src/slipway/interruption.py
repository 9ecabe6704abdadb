"""Work that another thread may end: the programs that it runs are ended, and the reason is raised where it stood."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

GRACE_SECONDS = 4.0  # between SIGTERM and SIGKILL
_CURRENT: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


class Interruption:
    """The programs of one piece of work, and the reason for which it has to end, once there is one."""

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self._lock = threading.Lock()
        self._programs: set[subprocess.Popen[bytes]] = set()

    def end(self, reason: Exception) -> None:
        """Have the work end for a reason, the first that is given; called by another thread."""
        with self._lock:
            self.reason = self.reason or reason
            programs = {program for program in self._programs if program.poll() is None}
        for program in programs:
            _end(program)

    def check(self) -> None:
        """Raise the reason, when there is one."""
        if self.reason is not None:
            raise self.reason

    def add(self, program: subprocess.Popen[bytes]) -> None:
        """Have a program end with the work."""
        with self._lock:
            self._programs = {each for each in self._programs if each.poll() is None} | {program}
            ended = self.reason is not None
        if ended:
            _end(program)


@contextmanager
def interruptible(work: Interruption) -> Iterator[None]:
    """Run a block whose programs end with the work; raise its reason in place of what their end led to."""
    token = _CURRENT.set(work)
    try:
        work.check()
        yield
    except Exception:
        work.check()
        raise
    finally:
        _CURRENT.reset(token)
    work.check()


def find_current() -> Interruption | None:
    """Return the work that this thread does, when another may end it."""
    return _CURRENT.get()


def check() -> None:
    """Raise the reason, when this thread's work has to end."""
    if work := find_current():
        work.check()


def register(program: subprocess.Popen[bytes]) -> None:
    """Have a program that was just started end with the work that started it."""
    if work := find_current():
        work.add(program)


def _end(program: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        program.terminate()
    timer = threading.Timer(GRACE_SECONDS, _kill, [program])
    timer.daemon = True
    timer.start()


def _kill(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is None:
        with suppress(OSError):
            program.kill()
