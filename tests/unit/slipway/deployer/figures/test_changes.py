"""The eight figures of what happened between two looks at a server's metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slipway.deployer.figures import changes
from slipway.deployer.figures.changes import Totals

INF = float("inf")
BEFORE = Totals("3", 100, 1, 50, 5.0, 0, 1000, {0.1: 90, 0.2: 100, INF: 100})
NOW = Totals("3", 200, 11, 70, 9.0, 4, 2000, {0.1: 140, 0.2: 200, INF: 200})


def test_the_figures_are_of_the_seconds_between() -> None:
    """Rates are by the seconds, shares by the requests, latencies by the histogram, times by the predicts."""
    figures = changes.compare(BEFORE, NOW, 10).figures()

    assert tuple(figures) == changes.FIGURES
    assert figures == {
        "requests": 10, "errors": 0.1, "p50": pytest.approx(0.1), "p99": pytest.approx(0.198), "waiting": 4,
        "predict": pytest.approx(0.2), "memory": 2000, "restarts": 0,
    }  # fmt: skip


def test_without_requests_nothing_is_made_up() -> None:
    """A share, a latency or a time of no request is none, not zero."""
    figures = changes.compare(NOW, NOW, 10).figures()

    assert figures["requests"] == 0
    assert {figures[name] for name in ("errors", "p50", "p99", "predict")} == {None}


@pytest.mark.parametrize(
    ("now", "was_down", "restarts"),
    [
        (replace(NOW, requests=5, failed=1, predicts=5), False, 1),
        (replace(NOW, requests=5, failed=1, predicts=5, version="4"), False, 0),
        (NOW, True, 1),
        (replace(NOW, version="4"), True, 0),
        (NOW, False, 0),
    ],
    ids=["counters begin again", "another version's do", "an answer after none", "of another version", "it goes on"],
)
def test_a_restart_is_seen(now: Totals, was_down: bool, restarts: int) -> None:
    """It counts once, a release never; no count is below zero."""
    change = changes.compare(BEFORE, now, 10, was_down=was_down)

    assert change.restarts == restarts
    assert min(change.requests, change.failed, change.predicts, *change.buckets.values()) >= 0


def test_what_was_before_the_first_look_is_left_out() -> None:
    """A server that is seen first has its gauges, and no rate of all that it ever did."""
    change = changes.compare(None, NOW, 0)

    assert (change.requests, change.memory, change.figures()["requests"]) == (0, 2000, None)


def test_servers_add_up_and_times_have_their_highest() -> None:
    """Side by side, memory and queue add up in the same seconds; in turn, they keep the highest of all seconds."""
    one = changes.compare(BEFORE, NOW, 10)
    beside, in_turn = changes.add([one, one], in_turn=False), changes.add([one, one], in_turn=True)

    assert (beside.seconds, beside.requests, beside.memory, beside.waiting) == (10, 200, 4000, 8)
    assert (in_turn.seconds, in_turn.requests, in_turn.memory, in_turn.waiting) == (20, 200, 2000, 4)
    assert beside.figures()["p99"] == pytest.approx(0.198)


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [({}, None), ({INF: 0}, None), ({0.1: 0, INF: 5}, 0.1), ({INF: 5}, 0.0), ({0.1: 4, INF: 4}, 0.05)],
    ids=["no histogram", "no request", "above the last bound", "no bounds", "within a bucket"],
)
def test_quantiles_at_the_edges(buckets: dict[float, float], expected: float | None) -> None:
    """A quantile above the last bound is that bound, as Prometheus has it."""
    assert changes.find_quantile(buckets, 0.5) == (None if expected is None else pytest.approx(expected))
