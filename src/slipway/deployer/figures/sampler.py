"""The figures of the last hour and day, sampled from the served model's metrics.

They are in memory, bounded: a reload of the page finds them, a deployer that starts begins with none.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from slipway.deployer.figures import changes, exposition
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.deployer.figures.changes import Change, Totals
    from slipway.release.protocols import Target

EVERY_S, LONG_S = 10, 300  # between two points of the hour, of the day
HOUR, DAY = 3600 // EVERY_S, 86400 // LONG_S  # points
PATIENCE_S = 3.0
LARGEST = 1 << 20  # bytes of metrics
SERVERS = 50  # of one target


@dataclass
class Seen:
    """One server at the last look."""

    totals: Totals
    at: float  # monotonic
    is_down: bool = False


@dataclass
class Series:
    """A target's points: [time, version, the figures]; the figures are null where nothing answered."""

    hour: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HOUR))
    day: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=DAY))
    seen: dict[str, Seen] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)
    begun: float = 0.0  # of what is pending


class Sampler:
    """Looks at every target's servers, every 10 s."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self._targets = targets
        self._series = {name: Series() for name in targets}
        self._lock = threading.Lock()
        self._warned: dict[str, str] = {}

    def begin(self) -> None:
        """Start a thread for each target: one that does not answer keeps no other waiting."""
        for name in self._targets:
            threading.Thread(target=self._run, args=(name,), daemon=True, name=f"figures of {name}").start()

    def look(self, name: str, now: float | None = None) -> None:
        """Take a sample of a target; `now` is s since 1970."""
        series, now = self._series[name], time.time() if now is None else now
        found = []
        addresses = self._targets[name].list_addresses()[:SERVERS]
        for address in addresses:
            seen, clock = series.seen.get(address), time.monotonic()
            try:
                totals = ask(address)
            except requests.RequestException:
                totals = None
            if totals is None:
                if seen:
                    seen.is_down = True
                continue
            before = seen.totals if seen else None
            span = clock - seen.at if seen else 0.0
            found.append(changes.compare(before, totals, span, was_down=bool(seen and seen.is_down)))
            series.seen[address] = Seen(totals, clock)
        for gone in series.seen.keys() - set(addresses):  # a pod that went
            del series.seen[gone]
        with self._lock:
            self._add(series, found, now)

    def show(self) -> dict[str, Any]:
        """Return all points, as JSON."""
        with self._lock:
            return {
                name: {
                    "hour": {"step": EVERY_S, "points": list(series.hour)},
                    "day": {"step": LONG_S, "points": list(series.day)},
                }
                for name, series in self._series.items()
            }

    @staticmethod
    def _add(series: Series, found: list[Change], now: float) -> None:
        change = changes.add(found, in_turn=False)
        series.hour.append(_point(change if found else None, now))
        if not series.begun:
            series.begun = now
        series.pending += [change] if found else []
        if now - series.begun >= LONG_S:
            long = changes.add(series.pending, in_turn=True) if series.pending else None
            series.day.append(_point(long, now))
            series.pending, series.begun = [], now

    def _run(self, name: str) -> None:
        while True:
            begun = time.monotonic()
            try:
                self.look(name)
                self._warned.pop(name, None)
            except (SlipwayError, OSError, ValueError) as error:  # the next look may see
                words = f"warning: no figures of {name}: {getattr(error, 'message', error)}"
                if self._warned.get(name) != words:
                    print(words, file=sys.stderr, flush=True)
                self._warned[name] = words
            time.sleep(max(1.0, EVERY_S - (time.monotonic() - begun)))


def ask(address: str) -> Totals | None:
    """Return what a server's metrics say; None when it is no model server, or says too much."""
    with requests.get(f"{address}/metrics", timeout=PATIENCE_S, stream=True, allow_redirects=False) as answer:
        if not answer.ok:
            return None
        body = answer.raw.read(LARGEST + 1, decode_content=True)
    if len(body) > LARGEST:
        return None
    return changes.total(exposition.read(body.decode("utf-8", "replace")))


def _point(change: Change | None, now: float) -> dict[str, Any]:
    figures = change.figures() if change else dict.fromkeys(changes.FIGURES)
    return {"at": round(now, 1), "version": ", ".join(sorted(change.versions)) if change else None, **figures}
