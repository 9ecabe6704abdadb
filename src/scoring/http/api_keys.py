"""API keys: who may call."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.errors import ModelError, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

REFUSAL = Refusal(401, "this API needs a key: Authorization: Bearer …, or X-API-Key", (("WWW-Authenticate", "Bearer"),))


class Keys:
    """The keys of a file, one a line; empty lines and lines with # are none. Without a file everybody may call."""

    def __init__(self, file: str) -> None:
        lines = Path(file).read_text(encoding="utf-8").splitlines() if file else []
        self._digests = [_digest(line.strip().encode()) for line in lines if line.strip() and not line.startswith("#")]
        if file and not self._digests:
            raise ModelError(f"--api-keys-file {file} holds no key")

    @property
    def needed(self) -> bool:
        """Whether a call needs a key."""
        return bool(self._digests)

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise Refusal (401) unless a request has a right key; every key is compared, in constant time."""
        if not self._digests:
            return
        digest = _digest(self.find(headers))
        if sum(hmac.compare_digest(digest, each) for each in self._digests) == 0:
            raise REFUSAL

    def find(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return the key that a request brings; empty when it brings none."""
        given = b""
        for name, value in headers:
            if name == b"x-api-key":
                given = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
        return given


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
