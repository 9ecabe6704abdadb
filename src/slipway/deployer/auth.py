"""Who may change something through the deployer.

A bearer token, with a limit on guesses that callers with the token never notice.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import defaultdict, deque
from pathlib import Path

from slipway import secret_file

FAILURES, WINDOW = 5, 60.0  # wrong tokens of one address in so many s; then it waits with more of them


class Denied(Exception):  # an answer, no error
    """The caller may not: `status` is 401 without a token, 403 with a wrong one, 429 after too many."""

    def __init__(self, status: int, message: str, wait: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.wait = status, message, wait


class Guard:
    """Checks tokens in constant time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._token = secret_file.read_or_make(file).encode()
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
