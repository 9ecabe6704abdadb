"""Several worker processes behind one port: uvicorn's supervisor, with a socket for each worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from multiprocessing.connection import wait
from socket import AI_PASSIVE, SO_REUSEADDR, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET, getaddrinfo, socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import multiprocess

from scoring.direct import DirectProtocol

if TYPE_CHECKING:
    from uvicorn import Config

MODEL_DID_NOT_LOAD = 3
SECONDS_TO_ANSWER = 15  # for a worker that is asked whether it lives
SPREADS = sys.platform == "linux"
SECONDS_TO_LET_GO = 0.05  # for the event loop, of a port that was closed
logger = logging.getLogger("scoring")


def bind(host: str, port: int, workers: int) -> list[socket]:
    """Bind the port; raise OSError when it is taken.

    Linux spreads connections over sockets that share a port, where workers on one socket leave it to chance who takes how many.
    So there each worker gets a socket of its own (`Supervisor._start`), and this one only holds the port.
    """
    family, _, _, _, address = getaddrinfo(host or None, port, type=SOCK_STREAM, flags=AI_PASSIVE)[0]
    sockets = [_bind(family, address, shared=False)]
    if workers > 1 and SPREADS:
        sockets.pop().close()  # it was free: nobody else has it
        sockets = [_bind(family, address, shared=True)]
    return sockets


def _bind(family: int, address: tuple[object, ...], *, shared: bool) -> socket:
    bound = socket(family, SOCK_STREAM)
    bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    bound.bind(address)
    bound.set_inheritable(True)
    return bound


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


class _Process(multiprocess.Process):
    """A worker with our server in it."""

    @property
    def server(self) -> Server:
        """Return the server, made when it is first asked for."""
        if self._server is None:
            self._server = Server(self.config)
        return self._server  # type: ignore[return-value]

    def _healthcheck(self, timeout: float) -> bool | None:
        """Ask as uvicorn does; a worker that ends meanwhile is not waited for."""
        try:
            self.parent_conn.send(b"ping")
            wait([self.parent_conn, self.process.sentinel], timeout)
            return bool(self.parent_conn.recv()) if self.parent_conn.poll() else None
        except (OSError, EOFError):
            return None


class Supervisor(multiprocess.Multiprocess):
    """Starts the workers, replaces those that die, and ends them."""

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self._has_answered = False
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what there is to say is said here

    @property
    def exit_code(self) -> int:
        """What the workers' end means."""
        return MODEL_DID_NOT_LOAD if any(process.exitcode == MODEL_DID_NOT_LOAD for process in self.processes) else 0

    def init_processes(self) -> None:
        """Start the workers: the first alone, since a model that does not load need say so only once."""
        for _ in range(self.processes_num):
            self.processes.append(self._start())
            while not self._has_answered and not self.should_exit.is_set():
                self.handle_signals()
                self._has_answered = self.processes[0].is_ready(SECONDS_TO_ANSWER)
                if not self.processes[0].process.is_alive():
                    self.should_exit.set()
                time.sleep(0.02)
            if self.should_exit.is_set():
                return

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died, or hang."""
        for at, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(SECONDS_TO_ANSWER):
                continue
            process.kill()
            process.join()
            logger.warning("worker %s ended with code %s, and is replaced", process.pid, process.exitcode)
            self.processes[at] = self._start()

    def terminate_all(self) -> None:
        """Let go of the port, so that nobody is connected whom no worker will accept; then end the workers."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def handle_hup(self) -> None:
        """Pass the signal on: a change of model is each worker's own affair."""
        for process in self.processes:
            if process.pid:
                os.kill(process.pid, signal.SIGHUP)

    def _start(self) -> multiprocess.Process:
        """Start a worker. Its socket is its own alone: when it ends, connections go to the others, and none waits where nobody answers."""
        holder = self.sockets[0]
        own = _bind(holder.family, holder.getsockname(), shared=True) if SPREADS else holder
        process = _Process(self.config, [own])
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # the worker gets it when it has a model to change
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        if own is not holder:
            own.close()
        return process
