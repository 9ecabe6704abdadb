"""The memory that the bodies of requests may hold at a time, and how fast a body must arrive."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from scoring import memory

if TYPE_CHECKING:
    from scoring.settings import Settings

LARGEST = 4  # bodies of the largest size that there is room for
LARGEST_OF_ONE = 3  # of them, for one caller
SMALL = 64 * 1024  # bytes; such bodies have room of their own, as much as one of the largest size
WATCH_S = 0.25  # between two looks at requests that take too long
LOOKS = (
    20  # after which a body is judged; looks, not seconds: a loop that is held up has not read what arrived meanwhile
)


class Body(Protocol):
    """What a room sees of a request."""

    held: int  # bytes of it that are counted
    large_caller: bytes  # who they are counted for, once it is large

    def caller(self) -> bytes:
        """Return who sent it."""


class Room:
    """Counts the bytes of all bodies in memory.

    Large ones leave room for small ones, and one caller leaves room for others.
    """

    def __init__(self, largest: int) -> None:
        self.held = 0
        self._most = largest * LARGEST
        self._most_with_small = self._most + largest
        self._most_of_one = largest * LARGEST_OF_ONE
        self._by_caller: defaultdict[bytes, int] = defaultdict(int)  # bytes of the large ones

    def take(self, body: Body, size: int) -> bool:
        """Count bytes that arrived; return False, and count none, when there is no room for them."""
        whole = body.held + size
        if whole <= SMALL:
            if self.held > self._most_with_small:
                return False
        else:
            caller = body.large_caller or body.caller()
            known = 0 if body.large_caller else body.held
            if self.held > self._most or self._by_caller.get(caller, 0) + known + size > self._most_of_one:
                return False
            body.large_caller = caller
            self._by_caller[caller] += known + size
        self.held += size
        body.held = whole
        return True

    def give_back(self, body: Body) -> None:
        """Count a body no longer, and give back to the system, soon, what a large one took."""
        self.held -= body.held
        if body.large_caller:
            memory.trim_soon()
            self._by_caller[body.large_caller] -= body.held
            if not self._by_caller[body.large_caller]:
                del self._by_caller[body.large_caller]
            body.large_caller = b""
        body.held = 0


class Pace:
    """How fast a body arrives, looked at every WATCH_S."""

    def __init__(self) -> None:
        self._looks = 0
        self._before = 0

    def is_too_slow(self, arrived: int, settings: Settings) -> bool:
        """Whether less arrived over the last looks than must.

        That is `min_body_rate`, and more for a body that holds much already: the rate at which what it holds would
        have arrived in `request_timeout`. A body that arrives evenly, and in time, is never too slow.
        """
        self._looks += 1
        if self._looks % LOOKS:
            return False
        new, before, self._before = arrived - self._before, self._before, arrived
        return new < LOOKS * WATCH_S * max(settings.min_body_rate, before / max(settings.request_timeout, WATCH_S))
