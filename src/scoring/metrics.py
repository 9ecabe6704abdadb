"""What Prometheus reads: numbers in memory that all workers share, each its own row, summed when they are asked for.

A row is claimed with a file lock, which ends with its process: the next worker goes on counting where a dead one
stopped.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from bisect import bisect_left
from typing import TYPE_CHECKING

from scoring.errors import CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from prometheus_client.core import Metric

    from scoring.models.base import Model

STATUS = (200, *CODES)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)
ROOM = 64  # workers, counting those that end while others begin

# Where in a row each number lies.
PID, IN_FLIGHT, WAITING, ROWS_TOTAL, LISTENING, LOGGED, LOG_FULL, LOG_FAILED = range(8)
BY_STATUS = 8
LATENCY = BY_STATUS + len(STATUS)  # buckets, the last for all above, then the sum
BATCH = LATENCY + len(SECONDS) + 2
PREDICT = BATCH + len(ROWS) + 2
RANGE = PREDICT + len(SECONDS) + 2  # the columns that have a range, the first of them
RANGES = 200
WIDTH = RANGE + RANGES
AT = {status: BY_STATUS + at for at, status in enumerate(STATUS)}


class Metrics:
    """A row of numbers for this process, and the sums over all rows."""

    def __init__(self, file: Path | None = None) -> None:
        """Open the file that all workers share (None: one worker), and claim a row of it."""
        size, start = ROOM * WIDTH * 8, 0
        if file is None:
            shared = mmap.mmap(-1, size)
        else:
            self._file = file.open("r+b")  # open as long as the process, whose lock ends with it
            self._file.truncate(size)
            shared, start = mmap.mmap(self._file.fileno(), size), self._claim() * WIDTH
        self._all = memoryview(shared).cast("d")
        self._row = self._all[start : start + WIDTH]
        self._row[PID] = os.getpid()
        self._row[IN_FLIGHT] = self._row[WAITING] = self._row[LISTENING] = 0

    def began(self, by: int) -> None:
        """Count a request under way (1), or its end (-1)."""
        self._row[IN_FLIGHT] += by

    def waiting(self, by: int) -> None:
        """Count a request that waits for a predict (1), or no longer does (-1)."""
        self._row[WAITING] += by

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer to a request for predictions."""
        row = self._row
        row[AT.get(status, AT[500])] += 1
        row[LATENCY + bisect_left(SECONDS, seconds)] += 1
        row[LATENCY + len(SECONDS) + 1] += seconds

    def predicted(self, rows: int, seconds: float) -> None:
        """Count one predict."""
        row = self._row
        row[ROWS_TOTAL] += rows
        row[BATCH + bisect_left(ROWS, rows)] += 1
        row[BATCH + len(ROWS) + 1] += rows
        row[PREDICT + bisect_left(SECONDS, seconds)] += 1
        row[PREDICT + len(SECONDS) + 1] += seconds

    def listening(self, sockets: int) -> None:
        """Note on how many sockets of a keeper this process accepts."""
        self._row[LISTENING] = sockets

    def logged(self, rows: int) -> None:
        """Count rows that are in a file of the prediction log; only its thread does, as with `log_failed`."""
        self._row[LOGGED] += rows

    def log_failed(self, rows: int) -> None:
        """Count rows that the prediction log could not write."""
        self._row[LOG_FAILED] += rows

    def log_full(self, rows: int) -> None:
        """Count rows that found no place in the prediction log's queue."""
        self._row[LOG_FULL] += rows

    def out_of_range(self, names: list[str], found: Mapping[str, int]) -> None:
        """Count rows out of the training's range, by column."""
        for name, rows in found.items():
            if (at := names.index(name)) < RANGES:
                self._row[RANGE + at] += rows

    def count_workers(self) -> tuple[int, int]:
        """Return how many processes have the model, and on how many sockets of a keeper they accept."""
        alive = [row for row in self._rows() if _resident(int(row[PID]))]
        return len(alive), int(sum(row[LISTENING] for row in alive))

    def text(self, model: Model) -> bytes:
        """Return all metrics in Prometheus's text format."""
        from prometheus_client import CollectorRegistry, generate_latest  # a start need not wait for it

        registry = CollectorRegistry()
        registry.register(_Collector(list(self._collect(model))))
        return generate_latest(registry)

    def _rows(self) -> list[memoryview[float]]:
        rows = [self._all[at * WIDTH : (at + 1) * WIDTH] for at in range(ROOM)]
        return [row for row in rows if row[PID]]

    def _claim(self) -> int:
        for row in range(ROOM):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
            except OSError:
                continue
            return row
        raise RuntimeError("there is no free row for this worker's metrics")

    def _collect(self, model: Model) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        rows = self._rows()
        total = [sum(values) for values in zip(*rows, strict=True)]
        alive = [row for row in rows if _resident(int(row[PID]))]

        requests = CounterMetricFamily(
            "scoring_requests", "Requests for predictions, by the status they were answered with", labels=["code"]
        )
        for status, at in AT.items():
            requests.add_metric([str(status)], total[at])
        yield requests
        for name, text, at, bounds in (
            ("scoring_request_duration_seconds", "From the request's head to its answer", LATENCY, SECONDS),
            ("scoring_batch_rows", "Rows that shared one predict", BATCH, ROWS),
            ("scoring_predict_duration_seconds", "One predict, for however many requests", PREDICT, SECONDS),
        ):
            buckets, count = [], 0.0
            for place, bound in enumerate((*map(float, bounds), float("inf"))):
                count += total[at + place]
                buckets.append(("+Inf" if bound == float("inf") else str(bound), count))
            histogram = HistogramMetricFamily(name, text)
            histogram.add_metric([], buckets, total[at + len(bounds) + 1])
            yield histogram
        yield CounterMetricFamily("scoring_rows", "Rows that were predicted", value=total[ROWS_TOTAL])
        yield CounterMetricFamily(
            "scoring_prediction_log_rows", "Rows in files of the prediction log", value=total[LOGGED]
        )
        dropped = CounterMetricFamily(
            "scoring_prediction_log_dropped", "Rows that the prediction log lacks, by the reason", labels=["reason"]
        )
        dropped.add_metric(["full"], total[LOG_FULL])
        dropped.add_metric(["unwritten"], total[LOG_FAILED])
        yield dropped
        outside = CounterMetricFamily(
            "scoring_out_of_range_rows", "Rows with a value out of the training's range", labels=["column"]
        )
        for at, name in enumerate(model.ranges.names[:RANGES]):
            outside.add_metric([name], total[RANGE + at])
        yield outside
        yield GaugeMetricFamily("scoring_in_flight", "Requests under way", value=sum(row[IN_FLIGHT] for row in alive))
        yield GaugeMetricFamily(
            "scoring_waiting", "Requests that wait for a predict", value=sum(row[WAITING] for row in alive)
        )
        yield GaugeMetricFamily(
            "scoring_model_load_seconds", "What loading the present model took", value=model.load_seconds
        )
        info = GaugeMetricFamily("scoring_model_info", "The model that answers", labels=["name", "version", "run"])
        info.add_metric([model.identity.name, model.identity.version, model.identity.run], 1)
        yield info
        by_worker = CounterMetricFamily(
            "scoring_worker_requests", "Requests for predictions, by worker", labels=["worker"]
        )
        memory = GaugeMetricFamily(
            "scoring_worker_resident_memory_bytes", "Memory of a worker's process", labels=["worker"]
        )
        for at, row in enumerate(rows):
            by_worker.add_metric([str(at)], sum(row[BY_STATUS:LATENCY]))
            if size := _resident(int(row[PID])):
                memory.add_metric([str(at)], size)
        yield from (by_worker, memory)


class _Collector:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """Return them, as a registry asks."""
        return self._metrics


def _resident(pid: int) -> int:
    """Return the bytes that a process holds; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123 -- as cheap as can be
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return _alive(pid)


def _alive(pid: int) -> int:
    """Return 1 for a process that is there, where the system has no /proc; else 0."""
    try:
        os.kill(pid, 0)
    except OSError:
        return 0
    return 0 if os.path.isdir("/proc/self") else 1  # noqa: PTH112 -- as above
