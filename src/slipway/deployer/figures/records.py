"""What the registry knows for the page and for Prometheus: monitorings and trainings; and the disk, and the backups.

A thread looks each minute; whoever asks gets what it found last, and waits for nothing.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slipway.monitoring.monitor import SUFFIX
from slipway.monitoring.results import TAG
from slipway.registry.run_log import RunLog
from slipway.settings import STATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow.entities import Run

    from slipway.settings import Settings

EVERY_S = 60
EXPERIMENTS, RUNS = 20, 200  # that are looked at
COLUMNS = 200  # of a monitoring
FINISHED = "FINISHED"


@dataclass(frozen=True)
class Monitored:
    """The last monitoring of a version."""

    version: str
    since: str
    until: str
    at: int  # ms since 1970
    drifted: list[str]
    metrics: dict[str, float]

    def pick(self, prefix: str) -> dict[str, float]:
        """Return the metrics that begin so, by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self.metrics.items() if name.startswith(prefix)}


@dataclass
class Found:
    """What a look found."""

    monitored: list[Monitored] = field(default_factory=list)
    trainings: dict[tuple[str, str], int] = field(default_factory=dict)  # by experiment and status
    durations: dict[str, float] = field(default_factory=dict)  # s, of an experiment's last finished run
    backup_at: float | None = None  # s since 1970
    disk: tuple[int, int] | None = None  # bytes: free, size


class Records:
    """The last look."""

    def __init__(self, settings: Settings, model: str) -> None:
        self._settings, self._model = settings, model
        self.found = Found()
        self._said = ""

    def begin(self) -> None:
        """Start the thread that looks."""
        threading.Thread(target=self._run, daemon=True, name="records").start()

    def look(self) -> None:
        """Look now; raise SlipwayError where the registry does not answer, and keep what it said before."""
        old = self.found
        here = Found(old.monitored, old.trainings, old.durations, find_backup(self._settings.services.backup_dir))
        self.found = here
        here.disk = find_disk([self._settings.tracking.artifact_root, STATE])
        registry = RunLog.connect(self._settings)
        experiment = registry.find_experiment(f"{self._model}{SUFFIX}")
        runs = registry.list_newest(str(experiment.experiment_id), RUNS) if experiment else []
        trainings: Counter[tuple[str, str]] = Counter()
        durations = {}
        for each in registry.list_experiments(EXPERIMENTS):
            if each.name.endswith(SUFFIX):
                continue
            trained = registry.list_newest(str(each.experiment_id), RUNS)
            trainings.update((each.name, run.info.status) for run in trained)
            if (last := find_duration(trained)) is not None:
                durations[each.name] = last
        self.found = Found(choose(runs), dict(trainings), durations, here.backup_at, here.disk)

    def _run(self) -> None:
        while True:
            try:
                self.look()
                self._said = ""
            except Exception as error:  # noqa: BLE001 -- an outage: the next look may see
                words = f"warning: no records for the figures: {getattr(error, 'message', error)}"
                if words != self._said:
                    print(words, file=sys.stderr, flush=True)
                self._said = words
            time.sleep(EVERY_S)


def choose(runs: Sequence[Run]) -> list[Monitored]:
    """Return each version's newest finished monitoring, of runs newest first; the oldest version first (pure)."""
    found: dict[str, Monitored] = {}
    for run in runs:
        tags: dict[str, Any] = run.data.tags
        version = tags.get(f"{TAG}version", "")
        if not version or version in found or run.info.status != FINISHED:
            continue
        drifted = [name for name in tags.get(f"{TAG}drifted", "").split(",") if name]
        since, until = tags.get(f"{TAG}since", ""), tags.get(f"{TAG}until", "")
        metrics = dict(sorted(run.data.metrics.items())[:COLUMNS])
        found[version] = Monitored(version, since, until, run.info.start_time, drifted, metrics)
    return sorted(found.values(), key=lambda each: (len(each.version), each.version))


def find_duration(runs: Sequence[Run]) -> float | None:
    """Return the seconds of the newest finished run, of runs newest first (pure)."""
    times = [(run.info.start_time, run.info.end_time) for run in runs if run.info.status == FINISHED]
    return next(((end - start) / 1000 for start, end in times if end is not None), None)


def find_backup(folder: Path) -> float | None:
    """Return when the newest archive was written; None without one."""
    times = []
    for file in folder.glob("slipway-*.tar.gz"):
        try:
            times.append(file.stat().st_mtime)
        except OSError:  # it has just gone
            continue
    return max(times, default=None)


def find_disk(folders: Sequence[Path]) -> tuple[int, int] | None:
    """Return the free bytes and the size of the disk of the first folder that is there."""
    for folder in folders:
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        return usage.free, usage.total
    return None
