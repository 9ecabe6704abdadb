"""A request for a prediction on the direct way, and its answer: one write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from scoring.codecs.media import JSON
from scoring.errors import Refusal, full
from scoring.http.bodies import Pace
from scoring.http.exchange import Exchange, request_id

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    import httptools

    from scoring.http.state import ServerState

HOPELESS = 4  # times the largest body: whoever sends more is answered before it has sent all
TOO_LARGE = "the body is larger than {} bytes"


class Connection(Protocol):
    """What an exchange needs of its connection: uvicorn's protocol, and what ours adds."""

    state: ServerState
    is_first: bool
    url: bytes
    client: tuple[str, int] | None
    parser: httptools.HttpRequestParser
    transport: asyncio.Transport

    def date(self) -> bytes:
        """Return the headers that all answers have."""

    def on_response_complete(self) -> None:
        """Go on with what is queued."""

    def close(self) -> None:
        """Close the connection."""


class _NoEvent:
    """Stands where uvicorn's cycle has an event that nobody here waits for."""

    def set(self) -> None:
        """Do nothing."""


class DirectExchange(Exchange):
    """An exchange that is its connection's present cycle, as uvicorn calls it: hence the names that are uvicorn's."""

    message_event = _NoEvent()

    def __init__(
        self, protocol: Connection, handler: Callable[[Exchange], None], headers: list[tuple[bytes, bytes]]
    ) -> None:
        super().__init__(protocol.state, protocol.url, headers)
        self._protocol = protocol
        self.handler = handler
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = protocol.parser.should_keep_alive() and not self.state.draining
        self.is_whole = False  # all of the body has arrived
        self._parts: list[bytes] = []
        self._size = 0
        self._pace: Pace | None = None  # none for a body that comes at once

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or the client has gone."""
        return self.response_complete or self.disconnected

    def peer(self) -> str:
        """Return the address at the other end of the connection."""
        return self._protocol.client[0] if self._protocol.client else ""

    def is_too_slow(self) -> bool:
        """Whether the body arrives too slowly; asked at each look."""
        if self.is_whole:
            return False
        self._pace = self._pace or Pace()
        return self._pace.is_too_slow(self._size, self.state.settings)

    def feed(self, part: bytes) -> None:
        """Take a part of the body; keep none of one that is too large."""
        self._size += len(part)
        limit = self.state.settings.max_body
        if self._size <= limit and self.state.room.take(self, len(part)):
            self._parts.append(part)
            return
        self.drop()
        if self._size <= limit:
            self.keep_alive = False
            self.refuse(full())
        elif self._size > limit * HOPELESS:
            self.keep_alive = False
            self.refuse(Refusal(413, TOO_LARGE.format(limit)))

    def complete(self) -> None:
        """Hand the whole request on."""
        if self._size > self.state.settings.max_body:
            self.refuse(Refusal(413, TOO_LARGE.format(self.state.settings.max_body)))
            return
        self.is_whole = True
        # Of many that arrive at once the others wait for the loop's next turn, in which it serves all connections
        self.follows = self._protocol.is_first and self.state.newest is self._protocol
        self.state.newest, self._protocol.is_first = self._protocol, False
        self.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.handle(self.handler)

    def drop(self) -> None:
        """Let go of the body, and of its share of the memory that requests may hold."""
        self.state.room.give_back(self)
        self._parts.clear()
        self.body = b""

    def answer(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Write the answer."""
        if self.response_complete or self.disconnected:
            return
        self.response_complete = True
        protocol, given_id = self._protocol, request_id(self.headers)
        headers += self.checked()
        extra = b"".join(b"%s: %s\r\n" % header for header in headers) if headers else b""
        protocol.transport.write(
            b"%s%s%sx-request-id: %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s%s\r\n%s"
            % (
                STATUS_LINE[status], protocol.date(), self.scorer.headers, given_id, content_type, len(body), extra,
                b"" if self.keep_alive else b"connection: close\r\n", body,
            )
        )  # fmt: skip
        self.drop()
        if not self.keep_alive:
            protocol.close()
        protocol.on_response_complete()
        self.observe(status, given_id)
