"""Giving memory back: what a large body took stays with the allocators otherwise, though nobody uses it."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def trim() -> None:
    """Give back what the allocators of C and, where it is loaded, of Arrow keep free."""
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
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
