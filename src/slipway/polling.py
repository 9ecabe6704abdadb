"""Polling: check, pause, check again, until it succeeds or time is up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")


def poll(look: Callable[[], Found], seconds: float, pause: float) -> Found:
    """Return what `look` returns once that is true, or what it returned last when `seconds` are over.

    It looks at least once, and `pause` s after each look; what it raises ends the wait.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found
