"""One request and its answer, whichever server carries them."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from scoring.codecs.media import JSON
from scoring.errors import CODES, Refusal, full
from scoring.models.ranges import write_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from scoring.http.state import ServerState
    from scoring.transfer.streams import EventStream

GIVEN_ID = re.compile(rb"[\w.:/+=@-]{1,128}")  # what needs no quoting, in a header or in JSON
_ids = itertools.count(1)
_prefix = os.urandom(6).hex().encode()
logger = logging.getLogger("scoring")


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the caller's X-Request-Id where it is a plain one, or else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and GIVEN_ID.fullmatch(value):
            return value
    return b"%s-%x" % (_prefix, next(_ids))


class Exchange:
    """A request whose body is there, and the means to answer it, once."""

    predicted: tuple[Any, Any, str] | None = None  # what its predict took and gave, for the prediction log
    size = 0  # bytes of the body that was predicted for
    problem = ""  # why it was refused
    out_of_range: Mapping[str, int] = MappingProxyType({})  # rows, by column

    def __init__(self, state: ServerState, path: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.state = state
        self.path = path
        self.headers = headers
        self.body = b""
        self.started = time.perf_counter()
        state.metrics.began(1)  # until it is answered, or its client has gone
        self.rows = 0
        self.follows = False
        self.is_v2 = path.startswith(b"/v2/") or path.endswith(b"/infer")
        self.is_explanation = path.endswith(b"/explain")
        self.scorer = state.scorer
        self.held = 0  # bytes of the body that are counted in state.room
        self.large_caller = b""  # who it is counted for, once the body is large

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for an answer any more: it was given, or the client has gone."""
        raise NotImplementedError

    def peer(self) -> str:
        """Return the address at the other end of the connection."""
        raise NotImplementedError

    def caller(self) -> bytes:
        """Return who sent this: its key, or else its address."""
        return self.state.keys.find(self.headers) if self.state.keys.needed else self.peer().encode()

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header (its name in lower case), or None."""
        for given, value in self.headers:
            if given == name:
                return value
        return None

    def handle(self, handler: Callable[[Exchange], None]) -> None:
        """Hand the whole request to its handler; whatever goes wrong becomes an answer."""
        try:
            if (encoding := self.header(b"content-encoding")) and encoding.lower() != b"identity":
                self._inflate(handler, encoding.lower())
            else:
                handler(self)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception:
            logger.exception("a request could not be handled")
            self.refuse(Refusal(500, "the server could not handle this request"))

    def _inflate(self, handler: Callable[[Exchange], None], encoding: bytes) -> None:
        """Inflate the body and then hand the request on; raise Refusal for other encodings, and when too much waits."""
        if encoding not in {b"gzip", b"x-gzip"}:
            raise Refusal(415, "the server accepts no Content-Encoding other than gzip")
        self.state.inflater.submit(self, partial(self._handle_inflated, handler))

    def _handle_inflated(self, handler: Callable[[Exchange], None], done: Future[bytes]) -> None:
        room = self.state.room
        room.give_back(self)

        def handle(exchange: Exchange) -> None:
            exchange.body = done.result()
            if not room.take(exchange, len(exchange.body)):
                raise full()
            handler(exchange)

        self.headers = [header for header in self.headers if header[0] != b"content-encoding"]
        self.handle(handle)

    def answer(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send the answer; without effect when `is_over`."""
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error, in the form of the protocol that was called."""
        headers = tuple((name.lower().encode(), value.encode()) for name, value in refusal.headers)
        body = msgspec.json.encode({"error": refusal.message}) if self.is_v2 else refusal.body()
        self.problem = refusal.message
        self.answer(refusal.status if refusal.status in CODES else 500, body, JSON, headers)

    def checked(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header that says which columns are out of range, for a caller who asks with X-Slipway-Check."""
        if not self.out_of_range or self.header(b"x-slipway-check") is None:
            return ()
        return ((b"x-slipway-out-of-range", write_header(self.out_of_range)),)

    def stream(self, events: EventStream) -> None:
        """Answer with events as they come; close them when `is_over`."""
        raise NotImplementedError  # requests of models that stream come through ASGI

    def observe(self, status: int, given_id: bytes) -> None:
        """Count and log the answer."""
        seconds, state = time.perf_counter() - self.started, self.state
        state.metrics.began(-1)
        if self.is_explanation:  # which is no prediction
            if state.access.on:
                state.access.add(self, status, given_id, seconds)
            return
        state.metrics.answered(status, seconds)
        if self.out_of_range:
            state.metrics.out_of_range(self.scorer.model.ranges.names, self.out_of_range)
        if state.access.on:
            state.access.add(self, status, given_id, seconds)
        if state.log:
            state.log.add(self, status, given_id, seconds)
