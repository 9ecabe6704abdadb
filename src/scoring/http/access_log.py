"""The access log: one JSON line on stdout for each request, written ten times a second."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from scoring.inference import Scorer

EVERY = 0.1  # s between two writes


class Answered(Protocol):
    """What is logged of a request."""

    path: bytes
    rows: int
    scorer: Scorer  # who answered


class AccessLog:
    """Gathers lines and writes them together: a write for each would cost more than the request."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self._lines: list[bytes] = []

    def add(self, request: Answered, status: int, request_id: bytes, seconds: float) -> None:
        """Log a request.

        The line is put together by hand, which takes a third of the time; what may need quoting is quoted.
        """
        if not self._lines:
            asyncio.get_running_loop().call_later(EVERY, self.flush)
        self._lines.append(
            b'{"time":%.3f,"request_id":"%s","path":%s,"code":%d,"ms":%.3f,"rows":%d,%s}'
            % (
                time.time(),
                request_id,
                quote(request.path),
                status,
                seconds * 1000,
                request.rows,
                request.scorer.log_fields,
            )
        )

    def flush(self) -> None:
        """Write what has been gathered."""
        lines, self._lines = self._lines, []
        with contextlib.suppress(OSError):  # nobody reads it any more
            sys.stdout.buffer.write(b"".join(line + b"\n" for line in lines))
            sys.stdout.buffer.flush()


@lru_cache(64)
def quote(text: bytes) -> bytes:
    """Return text as JSON."""
    return msgspec.json.encode(text.decode("latin-1"))
