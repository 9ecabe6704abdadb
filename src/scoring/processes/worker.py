"""The server in a process, and the process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
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
from scoring.processes.handed import Handed

if TYPE_CHECKING:
    from socket import socket

    from uvicorn import Config

    from scoring.http.state import ServerState

SECONDS_TO_LET_GO = 0.05  # for the event loop, of a port that was closed
SECONDS_TO_LOOK = 0.5  # between two looks after the supervisor
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class Server(uvicorn.Server):
    """uvicorn's server, which also answers on sockets that a keeper hands it and takes back.

    At its end it answers those, too, who are connected and not yet accepted.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._handed: dict[int, tuple[socket, asyncio.AbstractServer]] = {}  # by the keeper's numbers
        self._keeper: Handed | None = None

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start as uvicorn does, then ask the keeper for sockets, if there is one."""
        await super().startup(sockets)
        settings = self._state.settings
        if settings.keeper:
            self._keeper = Handed(settings.keeper, settings.keeper_name, self.hold)

    async def hold(self, given: dict[int, socket], is_new: bool) -> None:  # noqa: FBT001 -- see Handed
        """Accept on the given sockets, and on no others that a keeper handed; `is_new`: none of them is known yet."""
        if self.should_exit:
            return
        before = self._handed
        kept = {} if is_new else {number: before[number] for number in given.keys() & before.keys()}
        self._handed = dict(kept)
        for number, listener in given.items():
            if number in kept:
                listener.close()
            else:
                listening = await asyncio.get_running_loop().create_server(
                    self._protocol, sock=listener, ssl=self.config.ssl, backlog=self.config.backlog
                )
                self._handed[number] = (listener, listening)
        await self._leave([each for number, each in before.items() if number not in kept], is_last=is_new)
        self._state.metrics.listening(len(self._handed))
        self._state.has_successor = not given and (bool(before) or self._state.has_successor)
        self._state.draining = self._state.is_ending or self._state.has_successor

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Take the port from the event loop, accept whom the kernel has connected by then, and end as uvicorn does."""
        if self._keeper:
            self._keeper.close()
        own = list(zip(sockets or (), self.servers, strict=True))
        handed, self._handed = self._handed, {}
        await self._leave([*own, *handed.values()], is_last=True)
        await super().shutdown(sockets)

    async def _leave(self, left: list[tuple[socket, asyncio.AbstractServer]], *, is_last: bool) -> None:
        """Stop accepting on some sockets; where nobody else may have them, accept whom the kernel has connected."""
        held = [listener.dup() for listener, _ in left] if is_last else []
        for listener, listening in left:
            listening.close()
            listener.close()
        if not held:
            return
        await asyncio.sleep(SECONDS_TO_LET_GO)
        for accepted in [connection for listener in held for connection in _accept_last(listener)]:
            with contextlib.suppress(OSError):  # it has gone
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted, ssl=self.config.ssl)

    @property
    def _state(self) -> ServerState:
        return self.config.loaded_app.state  # type: ignore[no-any-return] # it is not wrapped: see server.py

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

    def look(self) -> bool:
        """Ask whether it lives, without waiting for the answer.

        Return True when it says for the first time that it serves.
        """
        first = False
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            while self.parent_conn.poll():
                serves = self.parent_conn.recv()
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
