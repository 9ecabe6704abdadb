"""What happened at a model server between two looks at its metrics, as the eight figures that matter (pure)."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.deployer.figures.exposition import Sample

SERVER_ERROR = 500  # from this status on, an answer is a failure
FIGURES = ("requests", "errors", "p50", "p99", "waiting", "predict", "memory", "restarts")
BUCKET = "scoring_request_duration_seconds_bucket"


@dataclass(frozen=True)
class Totals:
    """A server's counters since it began, and its gauges."""

    version: str
    requests: float
    failed: float
    predicts: float
    predict_seconds: float
    waiting: float
    memory: float
    buckets: dict[float, float]  # of latency: how many requests took at most so long


@dataclass
class Change:
    """What happened in some seconds, at one server or several."""

    seconds: float
    requests: float = 0
    failed: float = 0
    predicts: float = 0
    predict_seconds: float = 0
    waiting: float = 0
    memory: float = 0
    restarts: int = 0
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    versions: set[str] = field(default_factory=set)

    def figures(self) -> dict[str, float | None]:
        """Return requests/s, the share of failures, latencies and predict time in s, queue, bytes, restarts."""
        return {
            "requests": self.requests / self.seconds if self.seconds > 0 else None,
            "errors": self.failed / self.requests if self.requests else None,
            "p50": find_quantile(self.buckets, 0.5),
            "p99": find_quantile(self.buckets, 0.99),
            "waiting": self.waiting,
            "predict": self.predict_seconds / self.predicts if self.predicts else None,
            "memory": self.memory,
            "restarts": self.restarts,
        }


def total(samples: Iterable[Sample]) -> Totals | None:
    """Return what a server's metrics say; None when they are no model server's."""
    sums: dict[str, float] = defaultdict(float)
    buckets: dict[float, float] = defaultdict(float)
    version = None
    for name, labels, value in samples:
        if not math.isfinite(value):
            continue
        sums[name] += value
        if name == "scoring_requests_total":
            sums["failed"] += value if int(_number(labels.get("code", ""))) >= SERVER_ERROR else 0
        elif name == BUCKET:
            buckets[_number(labels.get("le", ""))] += value
        elif name == "scoring_model_info":
            version = labels.get("version", "")
    if version is None:
        return None
    predict = "scoring_predict_duration_seconds"
    return Totals(
        version, sums["scoring_requests_total"], sums["failed"], sums[f"{predict}_count"], sums[f"{predict}_sum"],
        sums["scoring_waiting"], sums["scoring_worker_resident_memory_bytes"], dict(buckets),
    )  # fmt: skip


def compare(before: Totals | None, now: Totals, seconds: float, *, was_down: bool = False) -> Change:
    """Return what happened at one server.

    Counters that begin again are a restart's, unless another version has begun; so is an answer after none.
    """
    fell = before is not None and (now.requests < before.requests or now.predicts < before.predicts)
    same = before is not None and now.version == before.version
    change = Change(seconds, waiting=now.waiting, memory=now.memory, versions={now.version})
    change.restarts = int(same and (fell or was_down))
    if before is None:  # what it did before we looked is nothing of these seconds
        return change
    old = Totals(now.version, 0, 0, 0, 0, 0, 0, {}) if fell else before
    change.requests, change.failed = now.requests - old.requests, max(0.0, now.failed - old.failed)
    change.predicts = now.predicts - old.predicts
    change.predict_seconds = max(0.0, now.predict_seconds - old.predict_seconds)
    for bound, count in now.buckets.items():
        change.buckets[bound] = max(0.0, count - old.buckets.get(bound, 0))
    return change


def add(changes: Iterable[Change], *, in_turn: bool) -> Change:
    """Return several changes as one: of servers side by side, or of one after the other (gauges: the highest)."""
    found = Change(0)
    for each in changes:
        found.seconds = found.seconds + each.seconds if in_turn else max(found.seconds, each.seconds)
        found.waiting = max(found.waiting, each.waiting) if in_turn else found.waiting + each.waiting
        found.memory = max(found.memory, each.memory) if in_turn else found.memory + each.memory
        for name in ("requests", "failed", "predicts", "predict_seconds", "restarts"):
            setattr(found, name, getattr(found, name) + getattr(each, name))
        for bound, count in each.buckets.items():
            found.buckets[bound] += count
        found.versions |= each.versions
    return found


def find_quantile(buckets: dict[float, float], share: float) -> float | None:
    """Return a quantile of a histogram as Prometheus estimates it: linear in its bucket, at most the last bound."""
    if not buckets or not (count := max(buckets.values())):
        return None
    low, below = 0.0, 0.0
    for bound in sorted(buckets):
        if buckets[bound] >= share * count:
            if math.isinf(bound):
                return low
            inside = buckets[bound] - below
            return low + (bound - low) * ((share * count - below) / inside if inside else 1.0)
        low, below = bound, buckets[bound]
    return low


def _number(words: str) -> float:
    try:
        return float(words)
    except ValueError:
        return 0.0
