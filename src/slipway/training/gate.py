"""The promotion gate: from metrics to a verdict. Pure: no client, no clock, no print."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.model_folder import Rules


BETTER, WORSE, EQUAL, WITHIN = "better", "worse", "equal", "within the margin"
MOST = 20  # names of metrics in a sentence
MISSING = "missing metric"
RANKED = {BETTER, WORSE, EQUAL, WITHIN}


@dataclass(frozen=True)
class Evidence:
    """What is known of one version: its metrics, and the digest of the data they were measured on ("" when unknown)."""

    version: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a version may become champion, and why: `kind` in a word or two, `words` in a sentence."""

    kind: str
    words: str
    passed: bool = False

    @property
    def line(self) -> str:
        """Both in a line."""
        return f"{self.kind}: {self.words}"

    @property
    def ranks(self) -> bool:
        """Whether it rests on two values that can be compared."""
        return self.kind in RANKED


def judge(rules: Rules, candidate: Evidence, champion: Evidence | None) -> Verdict:
    """Judge a candidate by the rules, and against the champion if there is one.

    The first of these that holds decides: a metric is missing, is not a number, breaks a floor or ceiling; there is no
    champion; the champion's metric is missing, or measured on other data; worse, equal, within the margin, better.
    """
    name = rules.metric
    for needed in (name, *rules.at_least, *rules.at_most):
        if refusal := _refuse_value(candidate, needed):
            return refusal
    value = candidate.metrics[name]
    for metric, floor in rules.at_least.items():
        if candidate.metrics[metric] < floor:
            return Verdict(
                "below the floor", f"{metric} is {candidate.metrics[metric]:.5g}, at least {floor:g} is required"
            )
    for metric, ceiling in rules.at_most.items():
        if candidate.metrics[metric] > ceiling:
            return Verdict(
                "above the ceiling", f"{metric} is {candidate.metrics[metric]:.5g}, at most {ceiling:g} is allowed"
            )
    if champion is None:
        return Verdict("first model", f"there is no champion yet; {name} is {value:.5g}", passed=True)
    return _compare(rules, candidate, champion)


def judge_latency(rules: Rules, milliseconds: float) -> Verdict:
    """Judge what the smoke test measured (p95 of one-row requests, in ms; NaN where it had no row to send)."""
    if rules.latency_ms is None:
        measured = "not measured" if math.isnan(milliseconds) else f"p95 {milliseconds:.3g} ms"
        return Verdict("not bounded", f"{measured}; model.toml sets no limit", passed=True)
    if math.isnan(milliseconds):
        return Verdict("not measured", "the latency: the version has no input example to send")
    passed = milliseconds <= rules.latency_ms
    words = f"p95 {milliseconds:.3g} ms{'' if passed else ' at best'} (limit {rules.latency_ms:g} ms)"
    return Verdict("quick enough" if passed else "too slow", words, passed)


def _refuse_value(evidence: Evidence, metric: str) -> Verdict | None:
    if metric not in evidence.metrics:
        names = sorted(evidence.metrics)
        there = ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "") or "none"
        return Verdict(MISSING, f"version {evidence.version} has no {metric}; its metrics: {there}")
    value = evidence.metrics[metric]
    if not math.isfinite(value):
        return Verdict("not a number", f"{metric} of version {evidence.version} is {value}")
    return None


def _compare(rules: Rules, candidate: Evidence, champion: Evidence) -> Verdict:
    name = rules.metric
    if refusal := _refuse_value(champion, name):
        return Verdict("not comparable", f"of the champion, {refusal.words}")
    if candidate.data != champion.data:
        digests = f"{candidate.data or 'unknown'} and {champion.data or 'unknown'}"
        return Verdict(
            "not comparable", f"{name} was measured on different data from the champion's (digests {digests})"
        )
    value, best = candidate.metrics[name], champion.metrics[name]
    gain = best - value if rules.direction == "minimize" else value - best
    beside = f"{name} {value:.5g}, the champion's (version {champion.version}) {best:.5g}"
    if gain < 0:
        return Verdict(WORSE, beside)
    if gain == 0:
        return Verdict(EQUAL, beside)
    if gain < rules.margin:
        return Verdict(WITHIN, f"{beside}: better by {gain:.3g}; the margin is {rules.margin:g}")
    return Verdict(BETTER, f"{beside}: better by {gain:.3g}", passed=True)
