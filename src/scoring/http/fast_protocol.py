"""uvicorn's HTTP protocol with a short way for predictions: from the parsed request to the scorer and back.

ASGI costs about 20 µs a request (a task, an event, three dictionaries and six awaits), twice what everything else here
costs together. All other requests, and all that is unusual (pipelined, HTTP/1.0, Expect), go uvicorn's own way to the
same application, which answers the same. docs/adr/0006 has the figures.
"""

from __future__ import annotations

import fcntl
import termios
import time
from array import array
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from scoring.codecs.media import JSON
from scoring.errors import Refusal, bad
from scoring.http.fast_exchange import DirectExchange

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from scoring.http.state import ServerState
    from scoring.settings import Settings

SPARE_S = 2.0  # a connection waits longer than it says: a request that is sent at the limit is answered
IDLE = 0.5  # s without a request, after which a connection is closed when the server ends
LARGEST_HEAD = 64 * 1024  # bytes of a request's line and headers
CLOSE_DELAY_S = 2  # to read and drop what a refused client still sends: closed at once, it would lose the answer
NO_HTTP = "this is not an HTTP request, or its headers are too large"
LATE = "the request did not arrive in time"


class DirectProtocol(HttpToolsProtocol):
    """uvicorn's protocol around the application, whose own handlers it calls."""

    cycle: Any  # uvicorn's, or a DirectExchange
    exchange: DirectExchange | None = None  # the newest; requests of uvicorn's may be queued behind it
    since = 0.0  # when the connection, or its newest request, began, or that was answered
    head = 0  # bytes of the head that is arriving
    messages = 0  # that have begun
    in_head = False
    is_first = True  # no request has ended yet in what is being read
    is_whole = True  # the newest request has arrived
    is_broken = False  # what arrives now is no HTTP
    is_over = False  # nothing is answered any more
    _dated: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection."""
        super().connection_made(transport)
        self.state: ServerState = self.app.state  # it is not wrapped: see processes/server.py
        self.state.connections = self.connections
        self.since = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        """Take what arrived; a head without end is refused."""
        self.is_first = True
        self.read(data)

    def read(self, data: bytes) -> None:
        """Read what arrived, or the rest of it."""
        if self.is_broken:
            return
        before, at_begin = self.messages, self.is_whole and not self.in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        if self.in_head and (
            self.messages == before or (at_begin and self.messages == before + 1)
        ):  # else other requests are in it, too
            self.head += len(data)
            if self.head > LARGEST_HEAD:
                self.send_400_response("")

    def decline_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol (Java's client does, with each) as if it did not.

        The parser ends before its body.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("")
            return
        kept = [b"%s: %s" % (name, value) for name, value in self.headers if name not in {b"connection", b"upgrade"}]
        self.parser = httptools.HttpRequestParser(self)
        self.read(b"\r\n".join([b"%s %s HTTP/1.1" % (method, self.url), *kept, b"", rest]))

    def shutdown(self) -> None:
        """End an idle connection once it has been idle for a while: a request may be on its way to it.

        Where another process has the port, its next request is answered, and the one after that goes there: many
        clients learn that a connection was closed only when they have sent a request.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        elif (
            has_data(self.transport)
            or self.state.has_successor
            or (self.state.draining and time.perf_counter() - self.since < IDLE)
        ):
            self.loop.call_later(IDLE, self.shutdown)
        else:
            self.transport.close()

    def date(self) -> bytes:
        """Return uvicorn's own headers (the date, once a second) as they go on the line."""
        given = self.server_state.default_headers
        if self._dated[0] is not given:
            DirectProtocol._dated = (given, b"".join(b"%s: %s\r\n" % header for header in given))
        return self._dated[1]

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's words, in its plain text
        """Answer what is no HTTP, in the form of all other errors; after the answers to what came before it."""
        self.is_broken = True
        is_body = not self.in_head and not self.is_whole  # of the newest cycle, which will never be whole
        if self.cycle is None or self.cycle.response_complete or (is_body and not self.pipeline):
            self.cut(bad(NO_HTTP))
        elif is_body:
            self.pipeline.popleft()

    def on_response_complete(self) -> None:
        """Go on with what is queued; what is no HTTP comes last.

        uvicorn would set a timer to close the connection, for each answer; `expire` does that.
        """
        if self.is_over:
            self.pipeline.clear()
        elif self.pipeline:
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.since = time.perf_counter()
            self.flow.resume_reading()
            if self.is_broken:
                self.cut(bad(NO_HTTP))

    def cut(self, refusal: Refusal) -> None:
        """Answer what never became a request, and close the connection."""
        if self.is_over or self.transport.is_closing():
            return
        body = refusal.body()
        self.transport.write(
            b"%s%scontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (STATUS_LINE[refusal.status], self.date(), JSON, len(body), body)
        )
        self.close()

    def close(self) -> None:
        """Close the connection; where the client has more to send, after a while."""
        if self.is_whole:
            self.transport.close()
            return
        self.is_broken = self.is_over = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(CLOSE_DELAY_S, self.transport.close)

    def on_message_begin(self) -> None:
        """Begin a message; its ASGI scope is made only when it is needed."""
        self.url = b""
        self.messages += 1
        self.expect_100_continue = False
        self.headers = []
        self.since = time.perf_counter()
        self.in_head, self.is_whole, self.head = True, False, 0

    def on_headers_complete(self) -> None:
        """Take the short way with a request for a prediction, if nothing about it is unusual."""
        if self.parser.should_upgrade():
            return
        self.in_head = False
        handler = self.state.fast.get(self.url)
        parser = self.parser
        if (
            handler is not None
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
        ):
            self.exchange = self.cycle = exchange = DirectExchange(self, handler, self.headers)
            if refusal := self.state.refusal(self.headers):  # before the body, which is not read
                exchange.keep_alive = False
                exchange.refuse(refusal)
            return
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()
        self.cycle.transport = _Transport(self)
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key] # for a client that does not read its stream

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if not isinstance(self.cycle, DirectExchange):
            super().on_body(body)
        elif not self.cycle.is_over:
            self.cycle.feed(body)

    def on_message_complete(self) -> None:
        """Take the end of a message."""
        if self.parser.should_upgrade():
            return
        self.is_whole = True
        if self.is_over:
            self.transport.close()
        if not isinstance(self.cycle, DirectExchange):
            super().on_message_complete()
        elif not self.cycle.is_over:
            self.cycle.complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a request whose client has gone."""
        super().connection_lost(exc)
        self.pipeline.clear()
        if self.exchange and not self.exchange.response_complete:
            self.exchange.disconnected = True
            self.exchange.drop()
            self.state.metrics.began(-1)
        self.exchange = self.cycle = None  # and with them what they hold


class _Transport:
    """The transport, as uvicorn's cycles see it.

    It is closed in our way, so that a client who still sends can read the answer.
    """

    def __init__(self, protocol: DirectProtocol) -> None:
        self.write, self.is_closing = protocol.transport.write, protocol.transport.is_closing
        self.close = protocol.close


def has_data(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that was not read."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.is_closing():
        return False
    size = array("i", [0])
    try:
        fcntl.ioctl(connection.fileno(), termios.FIONREAD, size)
    except OSError:
        return False
    return size[0] > 0


def expire(connections: Iterable[DirectProtocol], settings: Settings, now: float) -> None:
    """Answer requests that have taken too long.

    Whoever has not sent all of its request by then, or sends too slowly, is cut off.
    """
    seconds = settings.request_timeout
    for connection in list(connections):
        exchange = connection.exchange
        if exchange and not exchange.is_over and (now - exchange.started > seconds or exchange.is_too_slow()):
            exchange.keep_alive = exchange.keep_alive and exchange.is_whole
            exchange.refuse(Refusal(504, "the request took too long") if exchange.is_whole else Refusal(408, LATE))
        elif connection.cycle is None or connection.cycle.response_complete:
            idle = now - connection.since
            if connection.in_head:
                if idle > seconds:
                    connection.cut(Refusal(408, LATE))
            elif not connection.is_whole:  # it was answered and still sends that body
                if idle > seconds:
                    connection.transport.close()
            elif idle > _longest(connection, settings) and not has_data(connection.transport):
                connection.transport.close()


def _longest(connection: DirectProtocol, settings: Settings) -> float:
    """Return the seconds that a connection may be idle; the first request may take as long as any."""
    if connection.cycle is None:
        return max(settings.request_timeout, settings.keep_alive)
    return settings.keep_alive + SPARE_S
