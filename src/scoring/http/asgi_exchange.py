"""A request for a prediction that comes through ASGI, and its answer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from scoring.codecs.media import JSON
from scoring.errors import Refusal, full
from scoring.http.bodies import Pace
from scoring.http.exchange import Exchange, request_id
from scoring.http.fast_exchange import TOO_LARGE
from scoring.transfer.streams import EVENTS, error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from scoring.http.state import ServerState
    from scoring.transfer.streams import EventStream

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LAST_WORDS_S = 1.0  # for the end of a stream whose time is over


class AsgiExchange(Exchange):
    """An exchange that ASGI carries."""

    def __init__(self, state: ServerState, path: bytes, scope: Scope) -> None:
        super().__init__(state, path, scope["headers"])
        self._client = scope.get("client") or ("", 0)
        self._abort: Callable[[], None] = scope.get("abort", lambda: None)
        self._id = request_id(self.headers)
        self.answered: asyncio.Future[tuple[int, bytes, list[tuple[bytes, bytes]]]] = (
            asyncio.get_running_loop().create_future()
        )
        self.is_cut = False  # the rest of the body is not read
        self.is_whole = False  # all of the body has arrived
        self.limit: asyncio.Timeout | None = None
        self._events: EventStream | None = None  # of an answer that comes in pieces
        self._arrived = 0
        self._pace = Pace()

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or given up."""
        return self.answered.done()

    @property
    def is_stream(self) -> bool:
        """Whether the answer comes in pieces."""
        return self._events is not None

    def peer(self) -> str:
        """Return the address at the other end of the connection."""
        return str(self._client[0])

    def hurry(self) -> None:
        """End the time for a body that arrives too slowly; called at each look."""
        if self.limit and self._pace.is_too_slow(self._arrived, self.state.settings):
            self.state.arriving.discard(self)
            with contextlib.suppress(RuntimeError):  # its time ends just now
                self.limit.reschedule(asyncio.get_running_loop().time())

    async def read(self, receive: Receive) -> bool:
        """Read the body; one that is too large is refused, and False returned."""
        self.state.arriving.add(self)
        try:
            return await self._read(receive)
        finally:
            self.state.arriving.discard(self)

    async def _read(self, receive: Receive) -> bool:
        parts: list[bytes] = []
        limit = self.state.settings.max_body
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.answered.cancel()
                return False
            more = message.get("more_body", False)
            self._arrived += len(message["body"])
            if self._arrived > limit:
                parts.clear()
                self.drop()
            elif not self.state.room.take(self, len(message["body"])):
                self.is_cut = more
                self.refuse(full())
                return False
            else:
                parts.append(message["body"])
        if self._arrived > limit:
            self.refuse(Refusal(413, TOO_LARGE.format(limit)))
            return False
        self.is_whole = True
        self.body = b"".join(parts)
        return True

    def drop(self) -> None:
        """Let go of the body's share of the memory that requests may hold."""
        self.state.room.give_back(self)

    def answer(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Keep the answer for who waits for it."""
        if self.answered.done():
            return
        given = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers, *self.checked()]
        self._set(status, body, given)
        self.observe(status, self._id)

    def stream(self, events: EventStream) -> None:
        """Have `send` send events as they come."""
        if self.answered.done():
            events.close()
            return
        self._events = events
        self._set(200, b"", [(b"content-type", EVENTS), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")])

    def _set(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        headers += [(b"x-request-id", self._id), *self.scorer.header_list]
        if self.state.draining or self.is_cut or status == 408:  # noqa: PLR2004 -- whose body is still to come
            headers.append((b"connection", b"close"))
        self.answered.set_result((status, body, headers))

    async def send(self, send: Send, gone: asyncio.Future[None] | None = None) -> None:
        """Send the answer; if it comes in pieces, until its end, its time's or its client's."""
        status, body, headers = self.answered.result()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if (events := self._events) is not None:
            if gone:
                gone.add_done_callback(lambda _: events.close())
            while part := await events.take():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": body})

    async def send_late(self, send: Send) -> None:
        """End a stream whose time is over; abort the connection of a client that does not read it."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await send({"type": "http.response.body", "body": error("the request took too long")})
        except TimeoutError:
            self._abort()

    def end(self) -> None:
        """Let go of what the request held, and count a stream, at its end."""
        self.drop()
        if self._events:
            self._events.close()
            self.observe(200, self._id)
