"""The promotion gate: each situation has its verdict, in words."""

import math
from dataclasses import replace

import pytest

from slipway.model_folder import Rules
from slipway.training import gate
from slipway.training.gate import Evidence

RULES = Rules("rmse", "minimize", margin=1.0, at_least={"r2": 0.3}, at_most={"rmse": 90.0}, latency_ms=50.0)
CHAMPION = Evidence(1, {"rmse": 60.0, "r2": 0.5}, "data")
MAXIMIZE = Rules("accuracy", "maximize")


@pytest.mark.parametrize(
    ("candidate", "champion", "passed", "kind", "said"),
    [
        (Evidence(2, {"rmse": 58.0, "r2": 0.5}, "data"), None, True, "first model", "58"),
        (Evidence(2, {"rmse": 58.0, "r2": 0.5}, "data"), CHAMPION, True, "better", "better by 2"),
        (Evidence(2, {"rmse": 59.0, "r2": 0.5}, "data"), CHAMPION, True, "better", "better by 1"),
        (Evidence(2, {"rmse": 59.5, "r2": 0.5}, "data"), CHAMPION, False, "within the margin", "the margin is 1"),
        (Evidence(2, {"rmse": 60.0, "r2": 0.5}, "data"), CHAMPION, False, "equal", "the champion's (version 1) 60"),
        (Evidence(2, {"rmse": 61.0, "r2": 0.5}, "data"), CHAMPION, False, "worse", "rmse 61"),
        (Evidence(2, {"r2": 0.5}, "data"), CHAMPION, False, "missing metric", "version 2 has no rmse; its metrics: r2"),
        (Evidence(2, {"rmse": 50.0}, "data"), CHAMPION, False, "missing metric", "no r2"),
        (Evidence(2, {}, "data"), None, False, "missing metric", "its metrics: none"),
        (
            Evidence(2, {"rmse": math.nan, "r2": 0.5}, "data"),
            CHAMPION,
            False,
            "not a number",
            "rmse of version 2 is nan",
        ),
        (Evidence(2, {"rmse": -math.inf, "r2": 0.5}, "data"), CHAMPION, False, "not a number", "-inf"),
        (Evidence(2, {"rmse": 50.0, "r2": math.nan}, "data"), None, False, "not a number", "r2"),
        (Evidence(2, {"rmse": 50.0, "r2": 0.29}, "data"), CHAMPION, False, "below the floor", "at least 0.3"),
        (Evidence(2, {"rmse": 91.0, "r2": 0.5}, "data"), None, False, "above the ceiling", "at most 90"),
        (Evidence(2, {"rmse": 50.0, "r2": 0.5}, "other"), CHAMPION, False, "not comparable", "digests other and data"),
        (Evidence(2, {"rmse": 50.0, "r2": 0.5}, ""), CHAMPION, False, "not comparable", "unknown"),
        (
            Evidence(2, {"rmse": 50.0, "r2": 0.5}, "data"),
            replace(CHAMPION, metrics={}),
            False,
            "not comparable",
            "version 1 has no rmse",
        ),
        (
            Evidence(2, {"rmse": 50.0, "r2": 0.5}, "data"),
            replace(CHAMPION, metrics={"rmse": math.nan}),
            False,
            "not comparable",
            "of the champion, rmse of version 1 is nan",
        ),
    ],
    ids=[
        "first model", "better", "better by just the margin", "within the margin", "equal", "worse",
        "no deciding metric", "no floor's metric", "no metrics at all", "NaN", "infinite", "a floor's metric is NaN",
        "below a floor", "above a ceiling, without a champion", "other data", "unknown data",
        "the champion has no metric", "the champion's is NaN",
    ],
)  # fmt: skip
def test_each_situation_has_its_verdict(
    candidate: Evidence, champion: Evidence | None, passed: bool, kind: str, said: str
) -> None:
    """A candidate passes when it is measured, above all floors, on the champion's data, and better by the margin.

    The words say why not.
    """
    verdict = gate.judge(RULES, candidate, champion)

    assert (verdict.passed, verdict.kind) == (passed, kind)
    assert said in verdict.words


@pytest.mark.parametrize(("value", "kind"), [(0.9, "better"), (0.8, "equal"), (0.7, "worse")])
def test_more_is_better_where_it_is_maximized(value: float, kind: str) -> None:
    """A metric that is maximized decides the other way round; without a margin any gain will do, none will not."""
    champion = Evidence(1, {"accuracy": 0.8})

    assert gate.judge(MAXIMIZE, Evidence(2, {"accuracy": value}), champion).kind == kind


@pytest.mark.parametrize(
    ("bound", "milliseconds", "passed", "kind"),
    [
        (50.0, 50.0, True, "quick enough"),
        (50.0, 50.1, False, "too slow"),
        (None, 1e6, True, "not bounded"),
        (50.0, math.nan, False, "not measured"),
        (None, math.nan, True, "not bounded"),
    ],
    ids=["at the bound", "above it", "no bound", "no row to send", "no row to send, no bound"],
)
def test_latency_is_bounded(bound: float | None, milliseconds: float, passed: bool, kind: str) -> None:
    """What the smoke test measured passes up to the bound."""
    verdict = gate.judge_latency(replace(RULES, latency_ms=bound), milliseconds)

    assert (verdict.passed, verdict.kind) == (passed, kind)
