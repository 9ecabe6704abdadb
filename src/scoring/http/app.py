"""The application: which request goes where.

Predictions take the direct way (fast_protocol.py) or come through ASGI; all else is ASGI.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from scoring.errors import Refusal
from scoring.http.asgi_exchange import AsgiExchange
from scoring.http.exchange import request_id
from scoring.http.fast_protocol import LATE
from scoring.http.lifespan import Lifespan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from scoring.http.state import ServerState

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Application:
    """The ASGI application of one process."""

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self._others: Any = None
        self._predictions: Any = self._exchange
        if state.settings.cors_origins:
            from scoring.http.routes import allow_origins  # few need it

            self._predictions = allow_origins(self._exchange, state.settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["method"] == "POST" and scope["path"].encode() in self.state.direct:
            await self._predictions(scope, receive, send)
        else:
            await self._other(self._without_prefix(scope), receive, self._with_headers(scope, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        lifespan = Lifespan(self.state)
        lifespan.begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        lifespan.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        state, path = self.state, scope["path"].encode()
        handler = state.direct[path]
        exchange = AsgiExchange(state, path, scope)
        gone: asyncio.Future[None] | None = None
        try:
            async with asyncio.timeout(state.settings.request_timeout) as exchange.limit:
                if refusal := state.refusal(exchange.headers):
                    exchange.is_cut = True
                    exchange.refuse(refusal)
                elif await exchange.read(receive):
                    gone = asyncio.ensure_future(_wait_until_gone(receive))
                    exchange.handle(handler)
                    ends: list[asyncio.Future[Any]] = [exchange.answered, gone]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    exchange.answered.cancel()  # without effect when there is an answer
                    if exchange.is_stream:
                        await exchange.send(send, gone)
        except TimeoutError:
            if exchange.is_stream:
                await exchange.send_late(send)
            else:
                exchange.refuse(Refusal(504, "the request took too long") if exchange.is_whole else Refusal(408, LATE))
        finally:
            if gone:
                gone.cancel()
            exchange.end()
        if exchange.answered.cancelled():
            state.metrics.began(-1)
        elif not exchange.is_stream:
            await exchange.send(send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._others is None:
            from scoring.http.routes import build  # a prediction need not wait for it

            self._others = build(self.state)
        await self._others(scope, receive, send)

    def _without_prefix(self, scope: Scope) -> Scope:
        prefix = next((prefix for prefix in self.state.prefixes if scope["path"].startswith(f"{prefix}/")), "")
        return {**scope, "path": scope["path"][len(prefix) :]} if prefix else scope

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def wrapped(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    *self.state.scorer.header_list,
                    (b"x-request-id", request_id(scope["headers"])),
                    *(((b"connection", b"close"),) if self.state.draining else ()),
                ]
            await send(message)

        return wrapped


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
