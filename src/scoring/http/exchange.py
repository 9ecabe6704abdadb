"""One request and its answer, whichever server carries them."""

from __future__ import annotations

import itertools
import os
import re
import time
from typing import TYPE_CHECKING

import msgspec

from scoring.errors import CODES, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scoring.http.app import Application

JSON = b"application/json"
GIVEN_ID = re.compile(rb"[\w.:/+=@-]{1,128}")  # what needs no quoting, in a header or in JSON
_ids = itertools.count(1)
_prefix = os.urandom(6).hex().encode()


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the caller's X-Request-Id where it is a plain one, or else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and GIVEN_ID.fullmatch(value):
            return value
    return b"%s-%x" % (_prefix, next(_ids))


class Exchange:
    """A request whose body is there, and the means to answer it, once."""

    def __init__(self, app: Application, path: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.app = app
        self.path = path
        self.headers = headers
        self.body = b""
        self.started = time.perf_counter()
        app.metrics.began(1)  # until it is answered, or its client has gone
        self.rows = 0
        self.is_v2 = path.endswith(b"/infer")
        self.scorer = app.scorer  # it answers, also when another takes its place meanwhile
        self.held = 0  # bytes of the body that are counted in app.room
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
        return self.app.keys.find(self.headers) if self.app.keys.needed else self.peer().encode()

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header (its name in lower case), or None."""
        for given, value in self.headers:
            if given == name:
                return value
        return None

    def answer(self, status: int, body: bytes, content_type: bytes = JSON, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Send the answer; without effect when `is_over`."""
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error, in the form of the protocol that was called."""
        headers = tuple((name.lower().encode(), value.encode()) for name, value in refusal.headers)
        body = msgspec.json.encode({"error": refusal.message}) if self.is_v2 else refusal.body()
        self.answer(refusal.status if refusal.status in CODES else 500, body, JSON, headers)
