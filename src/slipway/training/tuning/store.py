"""A trial's own MLflow store: a sqlite file that its script logs to, read while it runs, and deleted with it.

So nothing of a trial is registered, and its files lie nowhere. The tables are MLflow's, the same since its version 1.0:
metrics (key, value, timestamp, run_uuid, step, is_nan), params and tags (key, value, run_uuid), runs (run_uuid,
start_time).
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.runtimes.base import STORE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from slipway.registry.run_log import Point

MAKE = ["-c", "import mlflow; mlflow.search_experiments(max_results=1)"]  # has MLflow make its tables
MOST = 20_000  # points of metrics, and parameters, that are taken of a trial
# Of runs beside each other the newest with the metric counts, of nested ones the outermost
RUN = """
    SELECT run_uuid FROM runs
    WHERE run_uuid NOT IN (SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId')
    ORDER BY EXISTS (SELECT 1 FROM metrics WHERE metrics.run_uuid = runs.run_uuid AND key = ?) DESC, start_time DESC
"""
POINTS = """
    SELECT key, CASE WHEN is_nan THEN NULL ELSE value END, timestamp, step FROM metrics
    WHERE run_uuid = ? AND (key = ? OR ?) ORDER BY timestamp DESC, step DESC LIMIT ?
"""
PARAMS = "SELECT key, value FROM params WHERE run_uuid = ? LIMIT ?"
COPIED = {  # of the tables, what is copied from a store elsewhere
    "runs": ("run_uuid", "start_time"),
    "tags": ("key", "value", "run_uuid"),
    "metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "params": ("key", "value", "run_uuid"),
}
Row = tuple[str, list[object]]  # of a table: its name, and the values of its columns in `COPIED`


@dataclass
class Logged:
    """What a script has logged to its run: parameters, and its metrics' points, oldest first."""

    params: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)

    def list_steps(self, metric: str) -> list[tuple[int, float]]:
        """Return a metric's values by step, the last one of each step, in the order of steps."""
        return sorted({step: value for name, value, _, step in self.points if name == metric}.items())

    def find(self, metric: str) -> float | None:
        """Return a metric's value as MLflow shows it, that of its last step; None if there is none."""
        steps = self.list_steps(metric)
        return steps[-1][1] if steps else None

    @property
    def names(self) -> list[str]:
        """The names of the metrics."""
        return sorted({point[0] for point in self.points})


def read(folder: Path, metric: str, *, only: bool = False) -> Logged:
    """Return what was logged to the store in a folder, `only` that metric.

    Raises sqlite3.Error if it cannot be read.
    """
    with closing(sqlite3.connect(f"{(folder / STORE).as_uri()}?mode=rw", uri=True, timeout=5)) as base:
        return _read(base, metric, only=only)


def copy(folder: Path, rows: Iterable[Row]) -> None:
    """Add rows of a store elsewhere to the copy in a folder, which is made by the first. Raises sqlite3.Error."""
    with closing(sqlite3.connect(folder / STORE)) as base, base:
        for table, columns in COPIED.items():
            base.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(columns)})")
        for table, values in rows:
            base.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(COPIED[table]))})", values)  # noqa: S608 -- a table of ours


def _read(base: sqlite3.Connection, metric: str, *, only: bool) -> Logged:
    run = base.execute(RUN, (metric,)).fetchone()
    if run is None:
        return Logged()
    rows = base.execute(POINTS, (*run, metric, not only, MOST)).fetchall()
    points = [
        (str(key), math.nan if number is None else float(number), int(at), int(step))
        for key, number, at, step in reversed(rows)
    ]
    params = [] if only else base.execute(PARAMS, (*run, MOST)).fetchall()
    return Logged({str(key): str(value) for key, value in params}, points)
