"""The watch over requests that take too long: nothing ends it but the end of the server."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from scoring.http.asgi_exchange import AsgiExchange
from scoring.http.bodies import LOOKS, WATCH_S
from scoring.http.lifespan import Lifespan
from scoring.metrics import Metrics
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.aliases import Json


def _state(*arriving: Json) -> Json:
    return SimpleNamespace(
        arriving=set(arriving),
        connections=set(),
        settings=Settings(Path()),
        metrics=Metrics(None),
        scorer=None,
        draining=False,
    )


def test_a_look_that_fails_is_not_the_last() -> None:
    """Whatever a look raises, the next one comes, and looks at all."""
    looks = []

    class Odd:
        def hurry(self) -> None:
            looks.append(1)
            if len(looks) == 1:
                raise ValueError
            raise asyncio.CancelledError  # as the end of the server does

    async def watch() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.timeout(100 * WATCH_S):
                await Lifespan(_state(Odd()))._watch()  # noqa: SLF001 -- it alone, without signals

    asyncio.run(watch())

    assert len(looks) == 2


def test_a_body_whose_time_is_just_over() -> None:
    """A body that is found to arrive too slowly in the turn in which its time ends raises nothing."""
    states = []

    async def expire(hurry: Callable[[AsgiExchange], None]) -> None:
        exchange = AsgiExchange(_state(), b"/invocations", {"headers": []})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0) as exchange.limit:
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    hurry(exchange)
                    states.append(exchange.limit.expired())
                    raise

    def hurry(exchange: AsgiExchange) -> None:
        for _ in range(LOOKS):
            exchange.hurry()

    asyncio.run(expire(hurry))

    assert states == [True]
