"""Several worker processes behind one port: uvicorn's supervisor, with a socket for each worker."""

from __future__ import annotations

import logging
import sys
import time
from socket import AI_PASSIVE, SO_REUSEADDR, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET, getaddrinfo, socket
from typing import TYPE_CHECKING

from uvicorn.supervisors import multiprocess

from scoring.processes.worker import Worker

if TYPE_CHECKING:
    from uvicorn import Config

MODEL_DID_NOT_LOAD = 3
SECONDS_TO_ANSWER = 15  # for a worker that serves, and is asked whether it lives
LONGEST_PAUSE_S = 60  # between two starts, while workers do not load
LOOK_S = 0.05  # between two looks at the first worker
SPREADS = sys.platform == "linux"
logger = logging.getLogger("scoring")


def bind(host: str, port: int, workers: int) -> list[socket]:
    """Bind the port; raise OSError when it is taken.

    Linux spreads connections over sockets that share a port, where workers on one socket leave it to chance who takes
    how many. So there each worker gets a socket of its own (`Supervisor._start`), and this one only holds the port.
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


def pause_after(failures: int) -> float:
    """Return the seconds before another start, after so many without success."""
    return min(LONGEST_PAUSE_S, 2.0 ** min(failures - 1, LONGEST_PAUSE_S))


class Supervisor(multiprocess.Multiprocess):
    """Starts the workers, replaces those that die, and ends them."""

    processes: list[Worker]  # type: ignore[assignment] # ours

    def __init__(self, config: Config, sockets: list[socket], start_timeout: float) -> None:
        super().__init__(config, sockets)
        self._start_timeout = start_timeout
        self._has_answered = False
        self._failures = 0  # starts without success, one after another
        self._failure = 0  # the exit code of the newest
        self._next_start = 0.0
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what there is to say is said here

    @property
    def exit_code(self) -> int:
        """Say what the end means: 0 where the model was loaded once, or a signal came before.

        Else how the first worker ended.
        """
        return (
            0 if self._has_answered else self._failure if self._failure >= 0 else 128 - self._failure
        )  # as a shell names a signal

    def init_processes(self) -> None:
        """Start the workers: the first alone, since a model that does not load need say so only once."""
        self.processes.append(self._start())
        while not self.should_exit.is_set():
            self.handle_signals()
            self.processes[0].look()
            if self.processes[0].has_answered:
                self._has_answered = True
                self.processes += [self._start() for _ in range(1, self.processes_num)]
                return
            if not self._is_well(self.processes[0]):
                self.should_exit.set()
            time.sleep(LOOK_S)

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died, or hang; while new ones do not load, ever more slowly."""
        for at, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.look():
                self._failures, self._next_start = 0, 0.0
            if self._is_well(process) or time.monotonic() < self._next_start:
                continue
            self.processes[at] = self._start()

    def _is_well(self, process: Worker) -> bool:
        """Whether a worker lives and answers in time; end one that does not."""
        if process.is_over:
            return False
        limit = SECONDS_TO_ANSWER if process.has_answered else self._start_timeout
        if process.process.is_alive() and process.silence < limit:
            return True
        hangs = process.process.is_alive()
        process.kill()
        process.join()
        process.is_over = True
        self.handle_signals()
        if self.should_exit.is_set():  # it had the same signal
            return False
        if hangs and not process.has_answered:
            sys.stderr.write(f"error: the model was not loaded within {limit:g} s (SCORING_START_TIMEOUT)\n")
        pause = 0.0
        if not process.has_answered:
            self._failures, self._failure = self._failures + 1, MODEL_DID_NOT_LOAD if hangs else process.exitcode or 0
            pause = pause_after(self._failures)
            self._next_start = time.monotonic() + pause
        if self._has_answered:
            then = f"in {pause:g} s" if pause else "now"
            how = f"did not answer for {limit:g} s" if hangs else f"ended with code {process.exitcode}"
            logger.warning("worker %s %s, and is replaced %s", process.pid, how, then)
        return False

    def terminate_all(self) -> None:
        """Let go of the port, so that nobody is connected whom no worker will accept; then end the workers."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def handle_ttin(self) -> None:
        """Do nothing: the number of workers is a setting."""

    handle_ttou = handle_ttin
    handle_hup = multiprocess.Multiprocess.handle_term

    def _start(self) -> Worker:
        """Start a worker.

        Its socket is its own alone: when it ends, connections go to the others, and none waits where nobody answers.
        """
        holder = self.sockets[0]
        own = _bind(holder.family, holder.getsockname(), shared=True) if SPREADS else holder
        process = Worker(self.config, [own])
        process.start()
        if own is not holder:
            own.close()
        return process
