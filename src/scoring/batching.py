"""Waiting requests and their predicts: what waits together is predicted together, and what is slow runs beside the event loop.

Nothing is held back in the hope of more: a request that comes alone is predicted at once. Requests that arrive in one turn
of the loop, or while a predict is under way, share the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scoring import memory
from scoring.compression import WORTH, accepts, deflate
from scoring.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.http.exchange import Exchange
    from scoring.metrics import Metrics
    from scoring.models.base import Model
    from scoring.models.rows import Table
    from scoring.settings import Settings

Encoded = tuple[bytes, bytes, tuple[tuple[bytes, bytes], ...]]  # body, content type, further headers
INLINE = 0.004  # s; Python lets go of its lock every 5 ms, so a shorter predict beside the loop would not free it sooner
LARGE = 64 * 1024  # bytes; what is made of such a body is much memory
LEARN = 0.2  # weight of the newest predict in the running mean of their durations
NOT_ENCODED = "the model's prediction cannot be encoded"
logger = logging.getLogger("scoring")


@dataclass(slots=True, eq=False)
class Job:
    """What one request wants predicted: a table, or all by itself through `run`."""

    exchange: Exchange
    encode: Callable[[Any], Encoded]  # makes the answer of this request's predictions
    table: Table | None = None
    method: str = "predict"
    params: dict[str, Any] | None = None
    run: Callable[[], Any] | None = None

    def write(self, predictions: Any) -> Encoded:  # noqa: ANN401 -- whatever a model gives
        """Return the answer, compressed where that is asked for; what cannot be written is the model's fault, not the caller's."""
        body, content_type, headers = encoded = write(self.encode, predictions)
        if len(body) < WORTH or not accepts(self.exchange.header(b"accept-encoding") or b""):
            return encoded
        return deflate(body), content_type, (*headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))

    def key(self) -> tuple[Any, ...]:
        """Return what must be equal in jobs that share a predict."""
        return (self.method, self.params, self.table and self.table.kind())


def write(encode: Callable[[Any], Encoded], predictions: Any) -> Encoded:  # noqa: ANN401 -- whatever a model gives
    """Encode predictions; raise Refusal (500) for those that cannot be."""
    try:
        return encode(predictions)
    except Refusal:
        raise
    except Exception as error:
        logger.warning("the model's prediction, a %s, cannot be encoded: %s", type(predictions).__name__, type(error).__name__)
        raise Refusal(500, NOT_ENCODED) from error


class Lane:
    """A queue of jobs before a model. All its methods but `_work` belong to the event loop."""

    def __init__(self, model: Model, metrics: Metrics, settings: Settings, *, threads: int, max_rows: int) -> None:
        self._predict = model.predict
        self._metrics = metrics
        self._threads = threads
        self._max_rows = max_rows  # in a shared predict; 0: none is shared
        self._may_be_inline = model.is_steady
        self._seconds = model.predict_seconds  # a predict takes, as a running mean
        self._row_seconds = model.row_seconds
        self._max_waiting, self._max_wait = settings.max_waiting, settings.max_wait
        self._waiting: deque[Job] = deque()
        self._rows = 0
        self._running = 0
        self._scheduled = False
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def submit(self, job: Job) -> None:
        """Queue a job; raise Refusal (503) when it would have to wait too long."""
        ahead = len(self._waiting)
        if ahead >= self._max_waiting or (ahead and self._expected_wait() > self._max_wait):
            raise Refusal(503, "the server is busy", (("Retry-After", str(max(1, round(self._expected_wait())))),))
        self._waiting.append(job)
        if job.table:
            self._rows += job.table.n
        self._metrics.waiting(1)
        self._schedule()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._running

    def close(self) -> None:
        """Let the threads end when they have nothing left to do; what waits is still predicted."""
        self._closed = True
        if self._pool and self.is_idle:
            self._pool.shutdown(wait=False)
            self._pool = None

    def _expected_wait(self) -> float:
        predicts = -(-self._rows // self._max_rows) if self._max_rows else len(self._waiting)
        return (predicts + self._running) * self._seconds / self._threads

    def _expected(self, jobs: list[Job]) -> float:
        return max(self._seconds, self._row_seconds * sum(job.exchange.rows for job in jobs))

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and self._running < self._threads:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        """Start one predict: here when it will be short, else in a thread."""
        self._scheduled = False
        jobs = self._take()
        if jobs and jobs[0].run is None and self._may_be_inline and self._expected(jobs) < INLINE:
            self._deliver(*self._work(jobs))
        elif jobs:
            self._running += 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "predict")
            loop = asyncio.get_running_loop()
            work = self._work if sum(len(job.exchange.body) for job in jobs) < LARGE else self._work_and_tidy
            self._pool.submit(work, jobs).add_done_callback(lambda done: loop.call_soon_threadsafe(self._done, done.result()))
        self._schedule()

    def _done(self, worked: tuple[list[tuple[Job, Any]], float, int]) -> None:
        self._running -= 1
        self._deliver(*worked)
        self._schedule()
        if self._closed:
            self.close()

    def _take(self) -> list[Job]:
        """Take the first job that somebody still waits for, and those behind it that may share its predict."""
        jobs: list[Job] = []
        rows, key = 0, None
        while self._waiting:
            job = self._waiting[0]
            n = job.table.n if job.table else 0
            if jobs and (not self._max_rows or not n or rows + n > self._max_rows or job.key() != key):
                break
            self._waiting.popleft()
            self._rows -= n
            self._metrics.waiting(-1)
            if job.exchange.is_over:
                continue
            jobs.append(job)
            if not n:  # it may fail for having no rows, and must not fail others
                break
            rows, key = rows + n, key or job.key()
        return jobs

    def _work(self, jobs: list[Job]) -> tuple[list[tuple[Job, Any]], float, int]:
        """Predict, and encode each job's part: (job, answer or Refusal) for all, the seconds, and the rows."""
        started = time.perf_counter()
        answers, rows = self._answers(jobs)
        return answers, time.perf_counter() - started, rows

    def _work_and_tidy(self, jobs: list[Job]) -> tuple[list[tuple[Job, Any]], float, int]:
        """Predict, and give back to the system what a large body took."""
        with memory.uncollected():
            worked = self._work(jobs)
        memory.trim()
        return worked

    def _answers(self, jobs: list[Job]) -> tuple[list[tuple[Job, Any]], int]:
        first = jobs[0]
        try:
            if first.run:
                return [(first, first.write(first.run()))], first.exchange.rows
            tables = [job.table for job in jobs if job.table]
            predictions = self._predict(tables, first.method, first.params)
            if len(jobs) == 1:
                return [(first, first.write(predictions))], first.table.n  # type: ignore[union-attr]
            answers, at = [], 0
            for job in jobs:
                end = at + job.table.n  # type: ignore[union-attr]
                answers.append((job, job.write(predictions[at:end])))
                at = end
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a model may raise anything
            if len(jobs) > 1:  # one of them spoils it for all: each alone, then
                return [answer for job in jobs for answer in self._answers([job])[0]], sum(job.exchange.rows for job in jobs)
            if isinstance(error, Refusal):
                error.__context__ = None  # both hold the frames, and so what was read of the body, until garbage is collected
                return [(first, error.with_traceback(None))], 0
            last = traceback.extract_tb(error.__traceback__)[-1]
            logger.warning("the model raised %s at %s:%s", type(error).__name__, last.filename, last.lineno)
            return [(first, Refusal(400, "the model cannot predict these rows"))], 0
        return answers, at

    def _deliver(self, answers: list[tuple[Job, Any]], seconds: float, rows: int) -> None:
        self._seconds += LEARN * (seconds - self._seconds)
        self._metrics.predicted(rows, seconds)
        for job, answer in answers:
            if isinstance(answer, Refusal):
                job.exchange.refuse(answer)
            else:
                body, content_type, headers = answer
                job.exchange.answer(200, body, content_type, headers)
