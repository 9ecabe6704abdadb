"""gzip, in requests and in answers: no more comes out of a body than a body may be."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

from scoring.errors import Refusal, bad

GZIP = 31  # zlib's way to say: with gzip's own header, the largest window
PIECE = 64 * 1024  # bytes that are inflated together
MEMBERS = 1000  # files that may stand one after another in a body
WORTH = 1400  # bytes; a shorter answer fits into one packet as it is
LEVEL = 1
ACCEPTS = re.compile(rb"(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)", re.IGNORECASE)


def inflate(body: bytes, limit: int) -> bytes:
    """Return what a gzip body holds; raise Refusal when it is none, or holds more than `limit` bytes."""
    parts: list[bytes] = []
    size, members = 0, 1
    engine = zlib.decompressobj(GZIP)
    try:
        for at in range(0, len(body), PIECE):
            data = body[at : at + PIECE]
            while data:
                if engine.eof:
                    engine, members = zlib.decompressobj(GZIP), members + 1
                    if members > MEMBERS:
                        raise bad(f"the body has more than {MEMBERS} gzip members")
                parts.append(engine.decompress(data, limit - size + 1))
                size += len(parts[-1])
                if size > limit:
                    raise Refusal(413, f"the body holds more than {limit} bytes")
                data = engine.unused_data if engine.eof else engine.unconsumed_tail
    except zlib.error:
        raise bad("the body is not gzip, as its Content-Encoding says") from None
    if not engine.eof:
        raise bad("the body is not gzip, as its Content-Encoding says")
    return b"".join(parts)


def deflate(body: bytes) -> bytes:
    """Return a body as gzip."""
    engine = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    return engine.compress(body) + engine.flush()


@lru_cache(64)
def accepts(header: bytes) -> bool:
    """Whether an Accept-Encoding names gzip."""
    return bool(ACCEPTS.search(header))
