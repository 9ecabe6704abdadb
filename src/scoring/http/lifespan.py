"""What happens in a process besides requests: signals, and requests that take too long."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from scoring.http import fast_protocol
from scoring.http.bodies import WATCH_S
from scoring.http.descriptors import Descriptors

if TYPE_CHECKING:
    from scoring.http.state import ServerState

logger = logging.getLogger("scoring")


class Lifespan:
    """Begins with the event loop of a process and ends with it."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._descriptors = Descriptors()
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take the signals over from uvicorn, and begin to watch."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            then = functools.partial(self._drain, signal.getsignal(name))
            signal.signal(name, lambda number, _, then=then: loop.call_soon_threadsafe(then, number))  # type: ignore[misc]
        self._watching = loop.create_task(self._watch())
        if self._state.log:
            self._state.log.begin()

    def end(self) -> None:
        """Stop watching, and write what is still to be written."""
        if self._watching:
            self._watching.cancel()
        self._state.access.flush()
        self._state.scorer.close()
        if self._state.lane:
            self._state.lane.close()
        if self._state.log:
            self._state.log.end()

    def _drain(self, then: Any, number: int) -> None:  # noqa: ANN401 -- uvicorn's handler
        """Fail readiness and close connections after their next answer; after the grace, stop accepting.

        A second signal does not wait.
        """
        first, self._state.is_ending = not self._state.is_ending, True
        self._state.draining = True
        grace = self._state.settings.grace if first and number == signal.SIGTERM else 0
        asyncio.get_running_loop().call_later(grace, then, number, None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                self._look()
            except Exception:
                logger.exception("the check for overdue requests failed")  # the next one may not

    def _look(self) -> None:
        fast_protocol.expire(self._state.connections, self._state.settings, time.perf_counter())
        for exchange in list(self._state.arriving):
            exchange.hurry()
        self._descriptors.look()
