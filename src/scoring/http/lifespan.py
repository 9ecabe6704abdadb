"""What happens in a process besides requests: signals, the change to another model, requests that take too long."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import time
from typing import TYPE_CHECKING, Any

from scoring import loading
from scoring.errors import ModelError
from scoring.http import fast_protocol
from scoring.http.bodies import WATCH_S
from scoring.http.descriptors import Descriptors

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from scoring.http.state import ServerState

logger = logging.getLogger("scoring")


class Lifespan:
    """Begins with the event loop of a process and ends with it."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._descriptors = Descriptors()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_loading = self._is_asked = False

    def begin(self) -> None:
        """Take the signals over from uvicorn, and begin to watch."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            then = functools.partial(self._drain, signal.getsignal(name))
            signal.signal(name, lambda number, _, then=then: loop.call_soon_threadsafe(then, number))  # type: ignore[misc]
        signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(self._ask_for_reload))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        self._start(self._watch())

    def end(self) -> None:
        """Stop watching, and write what is still to be written."""
        for task in self._tasks:
            task.cancel()
        self._state.access.flush()
        self._state.scorer.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _drain(self, then: Any, number: int) -> None:  # noqa: ANN401 -- uvicorn's handler
        """Fail readiness and close connections after their next answer; after the grace, stop accepting.

        A second signal does not wait.
        """
        first, self._state.draining = not self._state.draining, True
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

    def _ask_for_reload(self) -> None:
        """Load once more, after a load that is under way.

        What came meanwhile, however often, may have come too late for that.
        """
        self._is_asked = True
        if not self._is_loading:
            self._is_loading = True
            self._start(self._reload())

    async def _reload(self) -> None:
        try:
            while self._is_asked:
                self._is_asked = False
                began = time.monotonic()
                await self._load_again()
                self._state.newest_load = began
        finally:
            self._is_loading = False

    async def _load_again(self) -> None:
        """Load the folder again and answer with what is there now; keep the present model when that fails."""
        state, present = self._state, self._state.scorer.model.identity
        try:
            model = await asyncio.to_thread(loading.load, state.settings)
        except ModelError as error:
            state.reload_failed = True
            logger.error("%s %s keeps serving: %s", present.name, present.version, error)  # noqa: TRY400 -- its words say all
        else:
            state.reload_failed = False
            state.use(model)
            logger.info(
                "%s %s answers now, in place of %s %s",
                model.identity.name,
                model.identity.version,
                present.name,
                present.version,
            )
        state.metrics.reloaded(well=not state.reload_failed)
