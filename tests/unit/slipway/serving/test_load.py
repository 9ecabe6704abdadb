"""What a load test's result means: the bounds it breaks, and whether the generator was the limit."""

import math

import pytest

from slipway.errors import USAGE, SlipwayError
from slipway.serving.load.load_test import Result, Wanted, judge, read_stages


def result(requests: int = 1000, failed: int = 0, p99: float = 20.0, busy: float = 0.3, late: int = 0) -> Result:
    """Return a result."""
    return Result(requests, failed, 10.0, requests / 10, 5.0, 10.0, p99, busy, late)


@pytest.mark.parametrize(
    ("found", "p99_ms", "failures", "broken"),
    [
        (result(), 50, 0, []),
        (result(), None, None, []),
        (result(p99=80), 50, 0, ["p99 is 80.0 ms, at most 50 is allowed"]),
        (result(failed=2), 50, 0, ["0.200% of the requests failed, at most 0.000% may"]),
        (result(failed=2), 50, 0.01, []),
        (result(0, 0, math.nan), 50, None, ["no request was answered", "p99 is nan ms, at most 50 is allowed"]),
    ],
    ids=["within", "no bounds", "slow", "failures", "few failures", "no answers"],
)
def test_bounds_decide(found: Result, p99_ms: float | None, failures: float | None, broken: list[str]) -> None:
    """Each bound that is broken is named with both numbers; without bounds only silence fails."""
    assert judge(Wanted(1, 1.0, 0.0, "", p99_ms, failures), found) == broken


def test_the_generators_limit_is_told() -> None:
    """A generator that has no core left, or sends a hundredth of the requests late, was the limit."""
    assert not result().was_the_limit
    assert result(busy=0.95).was_the_limit
    assert result(late=11).was_the_limit


def test_stages_are_read() -> None:
    """Stages are callers and times, in seconds or minutes."""
    assert read_stages("10x30s, 50x2m") == [(10, 30), (50, 120)]
    assert read_stages("") == []


@pytest.mark.parametrize("text", ["10", "10x", "x30s", "10x30", "10x30h", "-1x3s"])
def test_stages_that_are_none_are_refused(text: str) -> None:
    """What is no stage is refused with an example."""
    with pytest.raises(SlipwayError, match="STAGES is") as refused:
        read_stages(text)

    assert refused.value.code == USAGE
