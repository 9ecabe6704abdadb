"""How old a version is, in words."""

import time

import pytest

from slipway import listing

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (30, "30 s"), (90, "1 min"), (2 * HOUR - MINUTE, "1 h"), (DAY + HOUR, "1 d"), (400 * DAY + HOUR, "400 d"), (-DAY, "now")],
    ids=["now", "seconds", "minutes", "hours", "a day", "a year", "a clock ahead of ours"],
)
def test_age_is_in_its_largest_unit(seconds: float, words: str) -> None:
    """An age is cut to its largest whole unit; what another machine's clock puts in the future is now."""
    assert listing.age(int((time.time() - seconds) * 1000)) == words
