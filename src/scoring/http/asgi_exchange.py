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

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from scoring.http.state import ServerState

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class AsgiExchange(Exchange):
    """An exchange that ASGI carries."""

    def __init__(self, state: ServerState, path: bytes, scope: Scope) -> None:
        super().__init__(state, path, scope["headers"])
        self._client = scope.get("client") or ("", 0)
        self.answered: asyncio.Future[tuple[int, bytes, list[tuple[bytes, bytes]]]] = (
            asyncio.get_running_loop().create_future()
        )
        self.is_cut = False  # the rest of the body is not read
        self.is_whole = False  # all of the body has arrived
        self.limit: asyncio.Timeout | None = None
        self._arrived = 0
        self._pace = Pace()

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or given up."""
        return self.answered.done()

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
        given_id = request_id(self.headers)
        ours = [
            (b"content-type", content_type),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", given_id),
            *headers,
        ]
        if self.state.draining or self.is_cut or status == 408:  # noqa: PLR2004 -- whose body is still to come
            ours.append((b"connection", b"close"))
        self.answered.set_result((status, body, [*ours, *self.scorer.header_list]))
        self.observe(status, given_id)
