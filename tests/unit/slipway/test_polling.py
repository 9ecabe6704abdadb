"""Waiting: until a look is true, or the time is over."""

import time

import pytest

from slipway.polling import poll


def test_a_wait_ends_with_what_is_found() -> None:
    """It returns the first look that is true, and looks no more."""
    looks = iter(["", "", "found", "later"])

    assert poll(lambda: next(looks), seconds=60, pause=0) == "found"
    assert next(looks) == "later"


def test_a_wait_ends_with_its_time() -> None:
    """When the time is over it returns what it saw last; with no time at all it looks once."""
    looks = iter([0, None, ""])
    started = time.monotonic()

    assert poll(lambda: next(looks), seconds=-1, pause=60) == 0
    assert poll(lambda: next(looks), seconds=0, pause=60) is None
    assert time.monotonic() - started < 30


def test_an_error_ends_a_wait() -> None:
    """What a look raises is raised."""
    with pytest.raises(ZeroDivisionError):
        poll(lambda: 1 // 0, seconds=60, pause=0)
