"""The sockets that a keeper hands this process, which asks for them under its version's name."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.processes.keeper import LONGEST, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    Hold = Callable[[dict[int, socket.socket], bool], Coroutine[Any, Any, None]]

MOST = 253  # sockets in one message: Linux's limit
AGAIN_S = 0.1  # between two tries to reach the keeper
logger = logging.getLogger("scoring")


class Handed:
    """A connection to the keeper, in a thread of its own; `hold` is called in the event loop with each answer.

    It gets all the sockets that this process is to hold, by their numbers, and whether they are another keeper's than
    those before.
    """

    def __init__(self, door: str, version: str, hold: Hold) -> None:
        self._door, self._version, self._hold = Path(door), version, hold
        self._loop = asyncio.get_running_loop()
        self._line: socket.socket | None = None
        self._is_over = False
        threading.Thread(target=self._run, daemon=True, name="keeper").start()

    def close(self) -> None:
        """Leave the keeper, which hands this process's sockets to others."""
        self._is_over = True
        with contextlib.suppress(OSError):
            if self._line:
                self._line.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        is_known = True
        while not self._is_over:
            try:
                self._ask()
                is_known = True
            except (OSError, RuntimeError, ValueError, CancelledError) as error:  # a ValueError: of too few sockets
                if is_known and not self._is_over:
                    logger.warning("no keeper answers at %s (%s); it is tried again", self._door, error)
                is_known = False
            time.sleep(AGAIN_S)

    def _ask(self) -> None:
        """Connect, and do what the keeper says until it goes."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            with shorten(self._door) as short:
                line.connect(short)
            self._line = line
            line.sendall(json.dumps(self._version).encode() + b"\n")
            is_new = True
            while not self._is_over and (words := self._take(line, is_new=is_new)):
                line.sendall(words)
                is_new = False

    def _take(self, line: socket.socket, *, is_new: bool) -> bytes:
        """Do what the keeper says next, and return its words; b"" when it has gone."""
        words, descriptors, _, _ = socket.recv_fds(line, LONGEST, MOST)
        listeners = [socket.socket(fileno=each) for each in descriptors]
        if words and not self._is_over:
            given = dict(zip(json.loads(words), listeners, strict=True))
            asyncio.run_coroutine_threadsafe(self._hold(given, is_new), self._loop).result()
        return words
