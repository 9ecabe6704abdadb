"""The server in a process, and the process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import multiprocess

from scoring.http.fast_protocol import DirectProtocol

if TYPE_CHECKING:
    from socket import socket

    from uvicorn import Config

SECONDS_TO_LET_GO = 0.05  # for the event loop, of a port that was closed
SECONDS_TO_LOOK = 0.5  # between two looks after the supervisor
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class Server(uvicorn.Server):
    """uvicorn's server, which at its end also answers those who are connected and not yet accepted."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Take the port from the event loop, accept whom the kernel has connected by then, and end as uvicorn does."""
        held = [listener.dup() for listener in sockets or ()]
        for each in (*self.servers, *(sockets or ())):
            each.close()
        await asyncio.sleep(SECONDS_TO_LET_GO)
        for accepted in [connection for listener in held for connection in _accept_last(listener)]:
            with contextlib.suppress(OSError):  # it has gone
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted, ssl=self.config.ssl)
        await super().shutdown(sockets)

    def _protocol(self) -> DirectProtocol:
        return DirectProtocol(self.config, self.server_state, self.lifespan.state)


def _accept_last(listener: socket) -> list[socket]:
    """Accept all who are connected, and close the port at once."""
    listener.setblocking(False)  # noqa: FBT003 -- the standard library's
    found = []
    with contextlib.suppress(BlockingIOError), listener:
        while True:
            found.append(listener.accept()[0])
    return found


class Worker(multiprocess.Process):
    """A process with our server in it."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self.has_answered = False  # with a model
        self.is_over = False  # it has ended, and its end was dealt with
        self.loads_since = -math.inf  # when it was last told to load another model, until it says that it has
        self._heard = time.monotonic()
        self._is_asked = False

    @property
    def server(self) -> Server:
        """Return the server, made when it is first asked for."""
        if self._server is None:
            self._server = Server(self.config)
        return self._server  # type: ignore[return-value]

    @property
    def silence(self) -> float:
        """Return the seconds since it began, or since it was asked what it has not answered yet."""
        return time.monotonic() - self._heard

    def is_serving(self, start_timeout: float) -> bool:
        """Whether it has nothing to load, which can keep all of Python from answering."""
        return self.has_answered and time.monotonic() > self.loads_since + start_timeout

    def look(self) -> bool:
        """Ask whether it lives, without waiting for the answer.

        Return True when it says for the first time that it serves.
        """
        first = False
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            while self.parent_conn.poll():
                serves, newest_load = self.parent_conn.recv()
                if newest_load > self.loads_since:
                    self.loads_since = -math.inf
                first = first or (serves and not self.has_answered)
                self.has_answered = self.has_answered or serves
                self._is_asked = False
            if not self._is_asked:
                if self.has_answered:
                    self._heard = time.monotonic()
                self._is_asked = True
                self.parent_conn.send(b"ping")
        return first

    def target(self, sockets: list[socket] | None = None) -> None:
        """Load the model, while a signal still ends the process, then serve; end after the supervisor."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        self.parent_conn.close()  # the supervisor alone has it then, and its end is seen
        _end_with_parent()
        threading.Thread(target=self.always_pong, daemon=True).start()
        self.config.load()
        self.server.run(sockets)

    def pong(self) -> None:
        """Answer the supervisor once: whether the server serves, and when the newest load began that has ended."""
        self.child_conn.recv()
        is_started = self.server.started
        self.child_conn.send((is_started, self.config.loaded_app.state.newest_load if is_started else -math.inf))

    def always_pong(self) -> None:
        """Answer the supervisor; when it is there no longer, end as if it had said so."""
        with contextlib.suppress(EOFError, OSError):
            super().always_pong()
        supervisor = multiprocessing.parent_process()
        while supervisor and os.getppid() == supervisor.pid:  # it asks no more, and waits for the end
            time.sleep(SECONDS_TO_LOOK)
        os.kill(os.getpid(), signal.SIGTERM)


def _end_with_parent() -> None:
    """Have Linux send SIGTERM when the supervisor dies: loading may keep the thread that would see it from running."""
    with contextlib.suppress(OSError, AttributeError):  # another system
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = multiprocessing.parent_process()
    if supervisor and os.getppid() != supervisor.pid:  # it died before Linux knew
        os.kill(os.getpid(), signal.SIGTERM)
