"""Giving memory back: what a large body took stays with the allocators otherwise, though nobody uses it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_lock = threading.Lock()
_quiet = 0  # large bodies that are under way
_forget: list[Callable[[], None]] = []
_timer: threading.Timer | None = None  # until the next trim
TRIM_S = (
    0.5  # a trim costs as much as reading 2 MB of JSON, and the next large body would ask for the same memory again
)
YOUNG = 1  # generation of garbage; to look at the oldest would stop all threads for long


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Let Python look for no garbage meanwhile: it would stop all threads to look at each list of a large body."""
    global _quiet  # noqa: PLW0603 -- so is Python's switch
    with _lock:
        _quiet += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _quiet -= 1
            if not _quiet:
                gc.enable()


def forget_at_trim(forget: Callable[[], None]) -> None:
    """Have what is kept for the next large body forgotten at each trim."""
    _forget.append(forget)


def trim_soon() -> None:
    """Give back what the allocators keep free, once for all large bodies of a moment."""
    global _timer  # noqa: PLW0603 -- so is the process's memory
    with _lock:
        if _timer is None:
            timer = threading.Timer(TRIM_S, _trim_now)
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no thread may start: the next large body tries again
                timer.start()
                _timer = timer


def _trim_now() -> None:
    global _timer  # noqa: PLW0603 -- as above
    with _lock:
        _timer = None
    trim()


def trim() -> None:
    """Forget what is kept, and give back what C's allocator keeps free."""
    for forget in _forget:
        forget()
    if not _quiet:
        gc.collect(YOUNG)  # a table of pandas holds itself
    if found := _malloc_trim():
        found(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's function, which lets other threads run meanwhile; None with another C library."""
    try:
        function: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return function
