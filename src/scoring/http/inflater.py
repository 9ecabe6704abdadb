"""Bodies that are inflated beside the event loop, one at a time, each caller in turn.

Who sends many makes nobody else wait for them.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

from scoring.compression import inflate
from scoring.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from scoring.settings import Settings

    Then = Callable[[Future[bytes]], None]

LEARN = 0.2  # weight of the newest body in the running mean of their durations


class Compressed(Protocol):
    """What is seen of a request."""

    @property
    def body(self) -> bytes:
        """Return the body as it came."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for an answer any more."""

    def caller(self) -> bytes:
        """Return who sent it."""


class Inflater:
    """A queue of bodies for each caller. All its methods but `_work` belong to the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: dict[bytes, deque[tuple[Compressed, Then]]] = {}  # by caller; the first is next
        self._count = 0  # of those that wait
        self._seconds = 0.0  # a body takes, as a running mean
        self._is_running = False
        self._pool = ThreadPoolExecutor(1, "inflate")

    def submit(self, request: Compressed, then: Then) -> None:
        """Queue a body, and call `then` with what it held, unless its client has gone.

        Raise Refusal (503) when it would wait too long.
        """
        caller = request.caller()
        ahead = self._ahead(caller) * self._seconds
        if self._count >= self._settings.max_waiting or ahead > self._settings.max_wait:
            raise Refusal(503, "the server is busy", (("Retry-After", str(max(1, round(ahead)))),))
        self._waiting.setdefault(caller, deque()).append((request, then))
        self._count += 1
        self._start()

    def _ahead(self, caller: bytes) -> int:
        """Return how many bodies come before a caller's next: of each other caller, as many as of this one."""
        own = len(self._waiting.get(caller, ()))
        return own + sum(min(own + 1, len(queue)) for other, queue in self._waiting.items() if other != caller)

    def _start(self) -> None:
        while self._waiting and not self._is_running:
            caller = next(iter(self._waiting))
            queue = self._waiting.pop(caller)
            request, then = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting[caller] = queue  # behind all others
            if not request.is_over:
                self._is_running = True
                in_loop, then_here = asyncio.get_running_loop().call_soon_threadsafe, partial(self._done, request, then)
                self._pool.submit(self._work, request.body).add_done_callback(partial(in_loop, then_here))

    def _work(self, body: bytes) -> bytes:
        started = time.perf_counter()
        try:
            return inflate(body, self._settings.max_body)
        except Refusal as error:
            error.__traceback__ = None  # its frames hold what came out of the body, until garbage is collected
            raise
        finally:
            self._seconds += LEARN * (time.perf_counter() - started - self._seconds)

    def _done(self, request: Compressed, then: Then, done: Future[bytes]) -> None:
        self._is_running = False
        self._start()
        if not request.is_over:
            then(done)
