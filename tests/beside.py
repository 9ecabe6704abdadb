"""Threads, servers and processes that a test runs. They end with their block, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socketserver import BaseServer

END_WITHIN = 90  # s for a thread to end: it may wait up to 60 s for an answer
TERM_WITHIN = 20  # s for a process to end when it is asked to


@contextmanager
def threads(work: Callable[[threading.Event], object], count: int = 1) -> Iterator[threading.Event]:
    """Run `work` in threads while the block runs. Its argument is the event that is set when the block ends.

    The threads are daemons, so none keeps Python alive when a test fails, or is ended by its time-out or Ctrl-C.
    Raises AssertionError if a thread is still running END_WITHIN seconds after the block.
    """
    ended = threading.Event()
    running = [threading.Thread(target=work, args=(ended,), daemon=True) for _ in range(count)]
    for thread in running:
        thread.start()
    try:
        yield ended
    finally:
        ended.set()
        for thread in running:
            thread.join(END_WITHIN)
    assert not any(thread.is_alive() for thread in running), f"a thread is still running {END_WITHIN} s after its block"


@contextmanager
def together(work: Callable[[], object], count: int) -> Iterator[None]:
    """Run `work` once in each of `count` threads, and wait for all of them at the end of the block."""
    with threads(lambda _: work(), count):
        yield


@contextmanager
def serving(server: BaseServer) -> Iterator[int]:
    """Serve in a thread while the block runs; yield the port, which is closed at the end."""
    with server, threads(lambda _: server.serve_forever(poll_interval=0.05)):
        try:
            address: Any = server.server_address  # host and port
            yield int(address[1])
        finally:
            server.shutdown()


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """End a process with a signal; kill it, and the session that it leads, if that does not help."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(TERM_WITHIN)
        except subprocess.TimeoutExpired:
            kill(process)


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process, and the session that it leads."""
    if process.poll() is None:
        if os.getsid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
