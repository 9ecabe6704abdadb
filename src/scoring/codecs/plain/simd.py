"""JSON that is all numbers, read by simdjson, and what that will take."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np
import simdjson

from scoring import memory

if TYPE_CHECKING:
    from scoring.models.aliases import Json

SHORT = 2048  # bytes, in which Python counts more quickly than numpy
LONG = 64 * 1024  # bytes, from which on it is worth a look whether a sign is rare
RARE = 4  # brackets, at least, that a body has where its values are flat
KEPT = 4 * 1024 * 1024  # bytes; a parser keeps up to 14 times the largest body that it has seen, until the next trim
BYTE_S, BRACKET_S, QUOTE_S = (
    1e-9,
    1.2e-7,
    1.2e-7,
)  # s to read a byte; and for each list or object, and each end of a text
NUMBER_S, OBJECT_S = 1.5e-8, 1.2e-7  # s for each value that is read into a matrix; or into an object of Python's
_parsers: dict[int, simdjson.Parser] = {}  # by thread
memory.forget_at_trim(_parsers.clear)


def parse_numbers(body: bytes) -> Json:
    """Parse JSON with simdjson, in this thread's parser as long as what it keeps is little."""
    if len(body) > KEPT:
        return simdjson.Parser().parse(body)
    parser = _parsers.get(get_ident()) or _parsers.setdefault(get_ident(), simdjson.Parser())
    try:
        return parser.parse(body)
    except RuntimeError:  # it is not JSON, or what was parsed before is still in use
        return simdjson.Parser().parse(body)


def count(body: bytes, *signs: bytes) -> list[int]:
    """Return how often each of some bytes occurs; numpy counts at least twice as fast as `bytes.count`."""
    if len(body) <= SHORT:
        return [body.count(sign) for sign in signs]
    if len(body) > LONG:
        return [_count_long(body, sign) for sign in signs]
    given = np.frombuffer(body, np.uint8)
    return [int(np.count_nonzero(given == ord(sign))) for sign in signs]


def _count_long(body: bytes, sign: bytes) -> int:
    """Count by `find` what is rare, at twice numpy's speed."""
    at = 0
    for found in range(RARE):
        at = body.find(sign, at) + 1
        if not at:
            return found
    return RARE + int(np.count_nonzero(np.frombuffer(body, np.uint8)[at:] == ord(sign)))


def most_seconds(value_s: float) -> float:
    """Return the most that `read_seconds` estimates for a byte of JSON: three, `"",`, are a text and its comma."""
    return BYTE_S + (2 * QUOTE_S + value_s) / 3


def read_seconds(body: bytes, value_s: float = NUMBER_S) -> float:
    """Estimate how long a decoder works on JSON, whatever is in it.

    Values, keys, lists and objects each take their time.
    """
    commas, quotes, lists, objects = count(body, b",", b'"', b"[", b"{")
    return len(body) * BYTE_S + commas * value_s + quotes * QUOTE_S + (lists + objects) * BRACKET_S
