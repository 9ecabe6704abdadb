"""The access log: one JSON line on stdout for each request, written ten times a second."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec

EVERY = 0.1  # s between two writes


class AccessLog:
    """Gathers lines and writes them together: a write for each would cost more than the request."""

    def __init__(self, *, on: bool) -> None:
        self.on = on
        self._lines: list[bytes] = []

    def add(self, **fields: Any) -> None:  # noqa: ANN401 -- any JSON
        """Log a request."""
        if not self._lines:
            asyncio.get_running_loop().call_later(EVERY, self.flush)
        self._lines.append(msgspec.json.encode({"time": round(time.time(), 3), **fields}))

    def flush(self) -> None:
        """Write what has been gathered."""
        if self._lines:
            sys.stdout.buffer.write(b"\n".join(self._lines) + b"\n")
            sys.stdout.buffer.flush()
            self._lines.clear()
