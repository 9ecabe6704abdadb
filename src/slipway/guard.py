"""Who may change something through the deployer: a bearer token, and an end to guessing it, which those who have it never notice."""

from __future__ import annotations

import hmac
import os
import secrets
import threading
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES, WINDOW = 5, 60.0  # wrong tokens of one address in so many s; then it waits with more of them


class Denied(Exception):  # noqa: N818 -- an answer, no error
    """The caller may not: `status` is 401 without a token, 403 with a wrong one, 429 after too many."""

    def __init__(self, status: int, message: str, wait: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.wait = status, message, wait


def read_or_make(file: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """Return the secret in a file of mode 600, made when there is none."""
    if not file.exists() or not file.read_text(encoding="utf-8").strip():  # empty: a power cut, or a hand
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        with unfinished.open("w", encoding="utf-8") as written:
            written.write(make())
            written.flush()
            os.fsync(written.fileno())
        unfinished.replace(file)
    return file.read_text(encoding="utf-8").strip()


class Guard:
    """Checks tokens, in a time that does not tell how much of one is right."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._token = read_or_make(file).encode()
        self._failures: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()  # requests are answered in threads

    @property
    def _where(self) -> str:
        return str(Path(*self._file.parts[-4:]))  # from .slipway on

    def check(self, address: str, header: str | None) -> None:
        """Check an Authorization header from an address; raise Denied."""
        with self._lock:
            self._check(address, header)

    def _check(self, address: str, header: str | None) -> None:
        scheme, _, given = (header or "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token):
            return  # whoever has it never waits: others may share the address, as all callers of a container do
        if not header:
            raise Denied(401, f"a token is needed, Authorization: Bearer …; {self._where} holds it")
        now = time.monotonic()
        for known in [known for known, failures in self._failures.items() if now - failures[-1] > WINDOW]:
            del self._failures[known]
        failures = self._failures.get(address, deque())
        if len(failures) >= FAILURES:
            wait = max(1, round(WINDOW - (now - failures[0])))
            raise Denied(429, f"too many wrong tokens; wait {wait} s", wait)
        self._failures[address].append(now)
        raise Denied(403, f"the token is wrong; {self._where} holds the right one")
