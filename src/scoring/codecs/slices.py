"""Large JSON, parsed slice after slice.

A parser lets no other thread run before it is done, so none gets much at a time.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from scoring.bounds import BRACKETS, COMMA, scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scoring.models.aliases import Json

SLICE = 128 * 1024  # bytes
DEEPEST = 5  # levels; what is large and deeper is parsed as a whole
SPACE = b" \t\r\n"
KEY = re.compile(rb'[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:', re.DOTALL)
NO_JSON = "this is not JSON"


def load(body: bytes, size: int = SLICE) -> Json:
    """Parse JSON in UTF-8; raise ValueError for what is none, RecursionError for what is too deep."""
    body.decode()
    return parse(body) if len(body) <= size else _Slices(body, size).load()


def parse(part: bytes) -> Json:
    """Parse JSON by the quicker parser where it takes it; it knows no NaN, for one."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(part)
    return json.loads(part)


class _Slices:
    """A body, and where its brackets and commas stand, and on which level."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size
        places, depths, depth = [], [], 0
        for at, signs, outside in scan(body):
            changes = BRACKETS[signs]
            found = np.flatnonzero(((changes != 0) | (signs == COMMA)) & outside)
            deep = depth + np.cumsum(changes[found], dtype=np.int64)
            depth = int(deep[-1]) if len(deep) else depth
            kept = deep <= DEEPEST
            places.append((found[kept] + at).astype(np.uint32 if len(body) < 1 << 32 else np.int64))
            depths.append(deep[kept].clip(-1).astype(np.int8))
        self._places, self._depths = np.concatenate(places), np.concatenate(depths)

    def load(self) -> Json:
        """Parse it."""
        return self._value(0, len(self._body), 0)

    def _value(self, start: int, end: int, depth: int) -> Json:
        """Parse what stands between two places, on a level."""
        text = self._body[start:end]
        if len(text) <= self._size or depth >= DEEPEST:
            return parse(text)
        start, end = end - len(text.lstrip(SPACE)), start + len(text.rstrip(SPACE))
        opening, closing = self._body[start : start + 1], self._body[end - 1 : end]
        if (opening, closing) not in {(b"[", b"]"), (b"{", b"}")}:  # a long text
            return parse(text)
        first, last = (
            int(each) for each in np.searchsorted(self._places, np.array([start, end - 1], self._places.dtype))
        )
        inside = self._depths[first + 1 : last]
        if (inside <= depth).any():  # it ends before
            raise ValueError(NO_JSON)
        cuts = self._places[first + 1 : last][inside == depth + 1]
        cuts = cuts[np.frombuffer(self._body, np.uint8)[cuts] == COMMA].astype(np.int64)
        found: Any = [] if opening == b"[" else {}
        for one, other in self._parts(start + 1, end - 1, cuts):
            if other - one <= self._size:
                part = parse(opening + self._body[one:other] + closing)
            elif opening == b"[":
                part = [self._value(one, other, depth + 1)]
            else:
                part = self._member(one, other, depth + 1)
            if not part and len(cuts):  # nothing before a comma, or behind it
                raise ValueError(NO_JSON)
            if opening == b"[":
                found += part
            else:
                found.update(part)
        return found

    def _parts(self, start: int, end: int, cuts: np.ndarray) -> Iterator[tuple[int, int]]:
        """Yield the places between which small elements stand together, or a large one alone."""
        while end - start > self._size:
            at = int(np.searchsorted(cuts, start + self._size, "right"))
            if at and cuts[at - 1] >= start:
                stop = int(cuts[at - 1])
            elif at < len(cuts):
                stop = int(cuts[at])
            else:
                break
            yield start, stop
            start = stop + 1
        yield start, end

    def _member(self, start: int, end: int, depth: int) -> dict[str, Any]:
        """Parse a member of an object whose value is large."""
        if (key := KEY.match(self._body, start, end)) is None:
            raise ValueError(NO_JSON)
        return {json.loads(key[1]): self._value(key.end(), end, depth)}
