"""Clients that keep a server busy, and know of each request what became of it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from tests import beside
from tests.scoring.conftest import DEADLINE, Answer, Server, body, exchange, until

if TYPE_CHECKING:
    import threading


@dataclass
class Load:
    """Clients that send, each on a connection kept alive, until the context ends or nobody listens."""

    server: Server
    clients: int = 20
    first: float = 0.0  # the first column: the seconds that a slow model takes
    pause: float = 0.0  # s between two requests of a client
    closes: bool = False  # a connection for each request
    answers: list[tuple[float, Answer]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: int = 0

    def __enter__(self) -> Self:
        """Start, and wait for the first answers."""
        with contextlib.ExitStack() as stack:
            numbers = itertools.count()
            self._end = stack.enter_context(beside.threads(lambda end: self._send(next(numbers), end), self.clients))
            until(lambda: len(self.answers) >= self.clients, "the first answers")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stack.close()

    def more(self) -> None:
        """Wait for some more answers of each."""
        wanted = len(self.answers) + 2 * self.clients
        until(lambda: len(self.answers) >= wanted or self._end.is_set(), "more answers")

    def _send(self, client: int, end: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=DEADLINE)
        sent = 0
        while not end.is_set():
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionError:  # nothing was sent, so nothing is lost
                self.refused += 1
                if self.server.process.poll() is not None:
                    return
                time.sleep(0.01)
                continue
            sent += 1
            value = client * 1e6 + sent
            try:
                self.answers.append((value, exchange(connection, "POST", "/invocations", body(self.first, value), {})))
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(f"{value}: {error!r}")
                connection.close()
            if self.closes:
                connection.close()
            end.wait(self.pause)
        connection.close()
