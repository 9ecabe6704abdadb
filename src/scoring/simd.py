"""JSON that is all numbers, read by simdjson, and what that will take."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import simdjson

KEPT = 4 * 1024 * 1024  # bytes; a parser keeps about three times the largest body that it has seen
BYTE_S, BRACKET_S = 1.6e-9, 1.2e-7  # s to read a byte of numbers; and for each list or object
_parsers = threading.local()


def parse_numbers(body: bytes) -> Any:  # noqa: ANN401 -- its types are unions of all that JSON has
    """Parse JSON with simdjson, in this thread's parser as long as what it keeps is little."""
    if len(body) > KEPT:
        return simdjson.Parser().parse(body)
    if not hasattr(_parsers, "own"):
        _parsers.own = simdjson.Parser()
    try:
        return _parsers.own.parse(body)
    except RuntimeError:  # it is not JSON, or what was parsed before is still in use
        return simdjson.Parser().parse(body)


def count_brackets(body: bytes) -> int:
    """Return the number of lists that begin in JSON whose strings have no brackets."""
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("[")))


def read_seconds(body: bytes) -> float:
    """Estimate how long a decoder works on JSON: many short rows take longer than few long ones."""
    signs = np.frombuffer(body, np.uint8)
    brackets = np.count_nonzero(signs == ord("[")) + np.count_nonzero(signs == ord("{"))
    return len(body) * BYTE_S + int(brackets) * BRACKET_S
