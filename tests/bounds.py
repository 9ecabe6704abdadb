"""A pytest plugin that bounds a test run: it limits the memory, and leaves no process behind.

TEST_MEMORY_MB limits the memory of pytest and all that it starts, 4096 by default; a run that needs more is ended.
Processes that tests leave behind are killed when their module ends, and threads cannot keep Python alive: it has
TEST_LEAVE_S to leave, 60 s by default.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_MB = int(os.environ.get("TEST_MEMORY_MB") or 4096)
LOOK_S = 2.0
LEAVE_S = float(os.environ.get("TEST_LEAVE_S") or 60)  # to tear down when a run is ended, and to leave Python then


@dataclass
class Bounds:
    """The state of a run."""

    run: str
    err: int  # the real stderr, which pytest does not capture
    peak: int = 0  # bytes
    code: int = pytest.ExitCode.TESTS_FAILED  # of a run whose Python does not leave
    left: dict[int, str] = field(default_factory=dict)  # by pid, commands of processes that tests left running
    over: threading.Event = field(default_factory=threading.Event)

    def say(self, words: str) -> None:
        """Write to the real stderr."""
        os.write(self.err, f"\n{words}\n".encode())

    def watch(self) -> None:
        """Watch the memory until the run is over; end a run that takes too much."""
        while not self.over.wait(LOOK_S):
            found = sorted(processes.find(self.run).values(), key=lambda process: -process.memory)
            held = sum(process.memory for process in found)
            self.peak = max(self.peak, held)
            if held > LIMIT_MB << 20:
                largest = "\n".join(f"  {each.memory >> 20} MB  {each.command[:150]}" for each in found[:5])
                self.say(
                    f"the tests hold {held >> 20} MB, more than TEST_MEMORY_MB={LIMIT_MB}; ending the run:\n{largest}"
                )
                processes.kill([each for each in found if each.pid != os.getpid()])
                os.kill(os.getpid(), signal.SIGINT)
                self.leave("the tests did not end by themselves")
                return

    def leave(self, words: str) -> None:
        """End the process if it is still running after LEAVE_S, and name its threads."""
        time.sleep(LEAVE_S)
        names = ", ".join(thread.name for thread in threading.enumerate() if not thread.daemon)
        self.say(f"{words}: {names}")
        os._exit(self.code)

    def clear(self, left: list[processes.Process]) -> None:
        """Kill leftover processes, and record them."""
        processes.kill(left)
        self.left |= {process.pid: process.command[:150] for process in left}  # one that is dying is found again


def pass_signals_on(reading: int) -> None:
    """Interrupt the main thread for each signal whose number comes through a pipe.

    Linux may give a signal to any thread, Ctrl-C and the alarm of a time-out too; Python's handler then waits for the
    main thread, which sleeps on.
    """
    main = threading.main_thread().ident or 0
    while number := os.read(reading, 1):
        if number[0] != signal.SIGURG:
            signal.pthread_kill(main, signal.SIGURG)


RUN = pytest.StashKey[Bounds]()


def pytest_configure(config: pytest.Config) -> None:
    """Mark all that the tests start, watch its memory, and let signals interrupt whatever a test waits for."""
    config.stash[RUN] = bounds = Bounds(processes.mark(), os.dup(2))
    threading.Thread(target=bounds.watch, daemon=True).start()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, lambda *_: None)
    threading.Thread(target=pass_signals_on, args=(reading,), daemon=True).start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """After the last test of a module, kill orphans; what a session fixture started still has its parent."""
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            bounds = item.config.stash[RUN]
            bounds.clear(processes.find_orphans(bounds.run))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """After all fixtures have ended, kill what is still running."""
    bounds = session.config.stash[RUN]
    bounds.code = exitstatus or bounds.code
    bounds.clear([process for pid, process in processes.find(bounds.run).items() if pid != os.getpid()])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how much memory the run took, and what it left running."""
    bounds = config.stash[RUN]
    if bounds.peak:
        terminalreporter.write_line(f"memory: {bounds.peak >> 20} MB at most, of {LIMIT_MB} MB (TEST_MEMORY_MB)")
    for command in bounds.left.values():
        terminalreporter.write_line(f"killed, because a test left it running: {command}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Make Python exit, even if a thread does not end."""
    bounds = config.stash[RUN]
    bounds.over.set()
    words = "Python cannot exit because of running threads"
    threading.Thread(target=bounds.leave, args=(words,), daemon=True).start()
