"""Waiting in tests: slipway's own poll, with deadlines that are longer on a busy or slow machine."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from slipway import polling

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")
SETTING = "TEST_TIME_FACTOR"  # the factor for deadlines; empty is unset: measured
WORK = "sum(n * n % 7 for n in range(4_000_000))"
QUIET_S = 0.35  # what WORK takes on each core of a quiet machine; measured on two cores, x86-64
MOST = 5.0
PAUSE_S = 0.05


@functools.cache
def find_factor() -> float:
    """Return the factor for deadlines: TEST_TIME_FACTOR, or a measured one, from 1 to 5.

    It is how much longer than on a quiet machine a fixed piece of work takes on all cores at once (at most four).
    """
    if given := os.environ.get(SETTING):
        return float(given)
    started = time.monotonic()
    workers = [subprocess.Popen([sys.executable, "-ISc", WORK]) for _ in range(min(4, os.cpu_count() or 1))]
    for worker in workers:
        worker.wait()
    return round(min(MOST, max(1.0, (time.monotonic() - started) / QUIET_S)), 1)


def stretch(seconds: float) -> float:
    """Return a deadline for this machine."""
    return seconds * find_factor()


def wait_until(
    look: Callable[[], Found | None],
    seconds: float,
    words: str | Callable[[], str],
    *,
    process: subprocess.Popen[Any] | None = None,
    ignored: tuple[type[Exception], ...] = (),
) -> Found:
    """Return the first true result of `look`; fail the test with `words` if there is none.

    It gives up after `seconds` × the factor, or when `process` has ended. Exceptions in `ignored` count as not yet.
    """

    def try_it() -> tuple[Found] | bool:
        has_ended = process is not None and process.poll() is not None
        try:
            found = look()
        except ignored:
            return has_ended
        return (found,) if found else has_ended

    seen = polling.poll(try_it, stretch(seconds), PAUSE_S)
    if isinstance(seen, tuple):
        return seen[0]
    ended = f" (exit code {process.returncode})" if process is not None and process.returncode is not None else ""
    said = words if isinstance(words, str) else words()
    return pytest.fail(f"not within {stretch(seconds):.0f} s{ended}: {said}", pytrace=False)
