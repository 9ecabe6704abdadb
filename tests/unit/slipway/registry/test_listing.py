"""How old a version is, in words; JSON that programs can read."""

import json
import math
import time

import pytest

from slipway.registry import listing

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (30, "30 s"),
        (90, "1 min"),
        (2 * HOUR - MINUTE, "1 h"),
        (DAY + HOUR, "1 d"),
        (400 * DAY + HOUR, "400 d"),
        (-DAY, "now"),
    ],
    ids=["now", "seconds", "minutes", "hours", "a day", "a year", "a clock ahead of ours"],
)
def test_age_is_in_its_largest_unit(seconds: float, words: str) -> None:
    """An age is cut to its largest whole unit; what another machine's clock puts in the future is now."""
    assert listing.age(int((time.time() - seconds) * 1000)) == words


def test_json_has_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN and infinity, which JSON does not know, are null, however deep they stand."""
    listing.print_json([{"metric": {"rmse": math.nan, "mae": -math.inf, "r2": 0.5}, "aliases": ("champion",)}])

    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == [
        {"metric": {"rmse": None, "mae": None, "r2": 0.5}, "aliases": ["champion"]}
    ]
