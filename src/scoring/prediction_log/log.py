"""What requests leave in the log: a queue that nobody waits for, and the thread that writes it.

A request costs the event loop a hash of its id and, when it is logged, an entry in a list. Reading rows into columns
and writing files happen in a thread, which lets an entry wait for at most PREDICTION_LOG_SECONDS: what a process that
is killed loses.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from scoring.errors import ModelError
from scoring.prediction_log import rules
from scoring.prediction_log.entries import Entry, Predicted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from scoring.metrics import Metrics
    from scoring.models.base import Model
    from scoring.prediction_log.store import Store
    from scoring.prediction_log.tables import Writer
    from scoring.settings import Settings

ENTRIES = 50_000  # that may wait to be read into columns
BODIES = 16 * 1024 * 1024  # bytes of their bodies
LARGEST = 8 * 1024 * 1024  # bytes of a body; the rows of a larger one are not logged
SOON = 500  # entries that the thread reads at once
LOOK_S = 0.5  # between two looks at fewer
ROWS = 500_000  # in memory; more are written before their time
BYTES = 64 * 1024 * 1024
END_S = 10.0  # for the last files
NO_PYARROW = "the prediction log needs pyarrow, which is not among this version's libraries: PREDICTION_LOG=… adds it"
TEST = b"slipway-test-"  # begins the ids of our API test's requests, which are nobody's
_ALL = 1 << 32
SPREAD = 2654435761  # Knuth's multiplier, by which ids that differ little are spread over all numbers
logger = logging.getLogger("scoring")


class Logged(Protocol):
    """What is logged of a request."""

    rows: int
    size: int
    problem: str
    out_of_range: Mapping[str, int]
    predicted: tuple[Any, Any, str] | None


class PredictionLog:
    """The log of one process."""

    def __init__(self, settings: Settings, model: Model, metrics: Metrics) -> None:
        """Read the rules; raise ModelError where the log cannot be kept as they say."""
        self._settings, self._metrics = settings, metrics
        self._model = model
        self._rules = rules.load(settings.prediction_log_rules)
        rules.check(self._rules, model.signature.names or None)
        if not settings.prediction_log_dir:
            raise ModelError("the prediction log has no place: SCORING_PREDICTION_LOG_DIR=a/folder, or s3://bucket/…")
        try:
            import pyarrow as _  # noqa: F401, ICN001, PLC0415 -- only where the log is on
        except ImportError:
            raise ModelError(NO_PYARROW) from None
        self._share = round(settings.prediction_log * _ALL)
        self._entries: list[Entry] = []
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_ending = False

    def begin(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have what waits written, for at most END_S."""
        if self._thread:
            self._is_ending = True
            self._wake.set()
            self._thread.join(END_S)

    def takes(self, request_id: bytes) -> bool:
        """Whether the share has a request: by a hash of its id, so that whoever logs it elsewhere logs the same."""
        return zlib.crc32(request_id) * SPREAD % _ALL < self._share

    def add(self, request: Logged, status: int, request_id: bytes, seconds: float) -> None:
        """Take an answered request, if it is in the share, failed, or has an outlier; drop it where too many wait."""
        failed = status != 200  # noqa: PLR2004 -- HTTP's
        is_sampled = self.takes(request_id)
        if not (is_sampled or failed or request.out_of_range) or request_id.startswith(TEST):
            return
        rows = max(request.rows, 1)
        if len(self._entries) >= ENTRIES or request.size > LARGEST or self._bytes + request.size > BODIES:
            self._metrics.log_full(rows)
            return
        error = f"{status}: {request.problem}" if failed else ""
        now = time.time() + self._settings.clock_offset_s
        predicted = Predicted(*request.predicted) if request.predicted else None
        entry = Entry(now, request_id, seconds, rows, error, is_sampled, bool(request.out_of_range), predicted)
        with self._lock:
            self._entries.append(entry)
            self._bytes += request.size
        if len(self._entries) == SOON or self._bytes > BODIES // 4:
            self._wake.set()

    def _run(self) -> None:
        from scoring.prediction_log.tables import Writer  # noqa: PLC0415 -- brings pyarrow

        identity = self._model.identity
        pending = _Pending(self._settings, self._metrics, identity.name, identity.version)
        writer = Writer(self._model.signature, identity.version, self._rules)
        while not self._is_ending:
            self._wake.wait(LOOK_S)
            self._wake.clear()
            self._gather(writer, pending)
            pending.write_due()
        self._gather(writer, pending)
        pending.write_all()

    def _gather(self, writer: Writer, pending: _Pending) -> None:
        with self._lock:
            entries, self._entries, self._bytes = self._entries, [], 0
        by_day: dict[str, list[Entry]] = {}
        for entry in entries:
            by_day.setdefault(dt.datetime.fromtimestamp(entry.time, dt.UTC).date().isoformat(), []).append(entry)
        for day, found in by_day.items():
            for at in range(0, len(found), SOON):  # other threads come in between
                self._read(writer, pending, day, found[at : at + SOON])

    def _read(self, writer: Writer, pending: _Pending, day: str, entries: list[Entry]) -> None:
        try:
            pending.add(day, writer.table(entries))
        except Exception:
            if len(entries) > 1:  # one of them may spoil it for all
                for entry in entries:
                    self._read(writer, pending, day, [entry])
                return
            logger.exception("a request could not be read into the prediction log")
            self._metrics.log_failed(entries[0].rows)


class _Pending:
    """Tables that wait for their file."""

    def __init__(self, settings: Settings, metrics: Metrics, model: str, version: str) -> None:
        self._settings, self._metrics = settings, metrics
        self._named = (model, version)
        self._store: Store | None = None
        self._tables: dict[str, list[pa.Table]] = {}
        self._since = 0.0
        self._rows = self._bytes = 0
        self._tidied = ""
        self._is_failing = False

    def add(self, day: str, table: pa.Table) -> None:
        """Keep a table; write at once when there is much."""
        self._since = self._since or time.monotonic()
        self._tables.setdefault(day, []).append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes
        if self._rows > ROWS or self._bytes > BYTES:
            self.write_all()

    def write_due(self) -> None:
        """Write what has waited its time."""
        if self._since and time.monotonic() - self._since >= self._settings.prediction_log_seconds - LOOK_S:
            self.write_all()

    def write_all(self) -> None:
        """Write a file for each day; what cannot be written is dropped, counted, and said once."""
        tables, self._tables = self._tables, {}
        self._since, self._rows, self._bytes = 0.0, 0, 0
        for day, found in tables.items():
            rows = sum(table.num_rows for table in found)
            try:
                self._write(day, found)
            except Exception as error:  # noqa: BLE001 -- a disk, a network or S3's client: requests go on
                self._metrics.log_failed(rows)
                if not self._is_failing:
                    place = self._settings.prediction_log_dir
                    logger.warning("the prediction log cannot be written to %s; rows are dropped: %s", place, error)
                self._is_failing = True
            else:
                if self._is_failing:
                    logger.warning("the prediction log is written again")
                self._is_failing = False
                self._metrics.logged(rows)

    def _write(self, day: str, tables: list[pa.Table]) -> None:
        from scoring.prediction_log.store import Store  # noqa: PLC0415 -- brings pyarrow
        from scoring.prediction_log.tables import join  # noqa: PLC0415 -- as above

        if self._store is None:
            self._store = Store(self._settings.prediction_log_dir, *self._named, self._settings.prediction_log_days)
        if self._tidied < day:
            self._tidied = day
            self._store.tidy(time.time() + self._settings.clock_offset_s)
        self._store.write(day, join(tables))
