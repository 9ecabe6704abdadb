"""Waiting requests and their predicts.

What waits together is predicted together, and what is slow runs beside the event loop.

Nothing is held back in the hope of more: a request that comes alone is predicted at once. Requests that arrive in one
turn of the loop, or while a predict is under way, share the next one. One that comes by the same connection as the one
before does not wait for the turn's end either: a lone client is answered sooner, and of many hardly one comes so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scoring import memory
from scoring.compression import WORTH, accepts, deflate
from scoring.errors import Refusal, not_predicted
from scoring.models.rows import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scoring.codecs.media import Encoded
    from scoring.metrics import Metrics
    from scoring.models.aliases import Predictions
    from scoring.models.base import Model
    from scoring.settings import Settings
    from scoring.transfer.streams import EventStream

INLINE = (
    0.004  # s; Python lets go of its lock every 5 ms, so a shorter predict beside the loop would not free it sooner
)
LARGE = 64 * 1024  # bytes; what is made of such a body is much memory
LEARN = 0.2  # weight of the newest predict in the running mean of their durations
NOT_ENCODED = "the model's prediction cannot be encoded"
logger = logging.getLogger("scoring")


class Request(Protocol):
    """What a request for predictions is to a queue and a scorer, whichever server carries it."""

    body: bytes
    rows: int  # that it asks for, once they are counted
    follows: bool  # the request before it came by the same connection, so that no other came since
    out_of_range: Mapping[str, int]  # rows out of the training's range, by column
    predicted: tuple[Any, Any, str] | None  # what its predict took and gave, where there is a prediction log
    size: int  # bytes of the body then

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for an answer any more."""

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header (its name in lower case), or None."""

    def answer(self, status: int, body: bytes, content_type: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        """Send the answer; without effect when `is_over`."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer with an error."""

    def stream(self, events: EventStream) -> None:
        """Answer with events as they come; close them when `is_over`."""


@dataclass(slots=True, eq=False)
class QueuedPredict:
    """What one request wants predicted: a table, or all by itself through `run`."""

    request: Request
    encode: Callable[[Any], Encoded]  # makes the answer of this request's predictions
    table: Table | None = None
    method: str = "predict"
    params: dict[str, Any] | None = None
    run: Callable[[], Any] | None = None

    def write(self, predictions: Predictions) -> Encoded:
        """Return the answer, compressed where that is asked for.

        What cannot be written is the model's fault, not the caller's.
        """
        body, content_type, headers = encoded = write(self.encode, predictions)
        if len(body) < WORTH or not accepts(self.request.header(b"accept-encoding") or b""):
            return encoded
        return deflate(body), content_type, (*headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))

    def note(self, predictions: Predictions | None) -> None:
        """Keep for the prediction log what the predict took and gave."""
        note(self.request, self.table, predictions, self.method)

    def key(self) -> tuple[Any, ...]:
        """Return what must be equal in those that share a predict."""
        return (self.method, self.params, self.table and self.table.kind())


def note(request: Request, data: Any, predictions: Predictions | None, method: str) -> None:  # noqa: ANN401 -- see Predicted
    """Keep for the prediction log what a predict took and gave for a request."""
    request.predicted, request.size = (data, predictions, method), len(request.body)


def predict_for(model: Model, request: Request, data: Any, method: str, params: dict[str, Any] | None) -> Predictions:  # noqa: ANN401 -- see Predicted
    """Predict for one request alone, a Table or what the model takes; keep both where there is a prediction log."""
    table = isinstance(data, Table)
    predictions = model.predict([data], method, params) if table else model.predict_data(data, method, params)
    note(request, data, predictions, method)
    return predictions


def write(encode: Callable[[Any], Encoded], predictions: Predictions) -> Encoded:
    """Encode predictions; raise Refusal (500) for those that cannot be."""
    try:
        return encode(predictions)
    except Refusal:
        raise
    except Exception as error:
        logger.warning(
            "the model's prediction, a %s, cannot be encoded: %s", type(predictions).__name__, type(error).__name__
        )
        raise Refusal(500, NOT_ENCODED) from error


class BatchQueue:
    """What waits for one model. All its methods but `_work` belong to the event loop."""

    def __init__(self, model: Model, metrics: Metrics, settings: Settings, *, threads: int, max_rows: int) -> None:
        self._predict = model.predict
        self._metrics = metrics
        self._threads = threads
        self._max_rows = max_rows  # in a shared predict; 0: none is shared
        self._may_be_inline = model.is_steady
        self._seconds = model.predict_seconds  # a predict takes, as a running mean
        self._row_seconds = model.row_seconds
        self._logs = settings.prediction_log > 0
        self._max_waiting, self._max_wait = settings.max_waiting, settings.max_wait
        self._waiting: deque[QueuedPredict] = deque()
        self._rows = 0
        self._running = 0
        self._scheduled = False
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def submit(self, queued: QueuedPredict) -> None:
        """Queue a predict; raise Refusal (503) when it would have to wait too long."""
        ahead = len(self._waiting)
        if ahead >= self._max_waiting or (ahead and self._expected_wait() > self._max_wait):
            raise Refusal(503, "the server is busy", (("Retry-After", str(max(1, round(self._expected_wait())))),))
        self._waiting.append(queued)
        if queued.table:
            self._rows += queued.table.n
        self._metrics.waiting(1)
        if queued.request.follows and not ahead and not self._running:
            self._start()
        else:
            self._schedule()

    def close(self) -> None:
        """Let the threads end when they have nothing left to do; what waits is still predicted."""
        self._closed = True
        if self._pool and not self._waiting and not self._running:
            self._pool.shutdown(wait=False)
            self._pool = None

    def _expected_wait(self) -> float:
        predicts = -(-self._rows // self._max_rows) if self._max_rows else len(self._waiting)
        return (predicts + self._running) * self._seconds / self._threads

    def _expected(self, batch: list[QueuedPredict]) -> float:
        return max(self._seconds, self._row_seconds * sum(queued.request.rows for queued in batch))

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and self._running < self._threads:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        """Start one predict: here when it will be short, else in a thread."""
        self._scheduled = False
        batch = self._take()
        if batch and batch[0].run is None and self._may_be_inline and self._expected(batch) < INLINE:
            self._deliver(*self._work(batch))
        elif batch:
            self._running += 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "predict")
            loop = asyncio.get_running_loop()
            work = self._work if sum(len(queued.request.body) for queued in batch) < LARGE else self._work_uncollected
            self._pool.submit(work, batch).add_done_callback(
                lambda done: loop.call_soon_threadsafe(self._done, done.result())
            )
        self._schedule()

    def _done(self, worked: tuple[list[tuple[QueuedPredict, Any]], float, int]) -> None:
        self._running -= 1
        self._deliver(*worked)
        self._schedule()
        if self._closed:
            self.close()

    def _take(self) -> list[QueuedPredict]:
        """Take the first that somebody still waits for, and those behind it that may share its predict."""
        batch: list[QueuedPredict] = []
        rows, key = 0, None
        while self._waiting:
            queued = self._waiting[0]
            n = queued.table.n if queued.table else 0
            if batch and (not self._max_rows or not n or rows + n > self._max_rows or queued.key() != key):
                break
            self._waiting.popleft()
            self._rows -= n
            self._metrics.waiting(-1)
            if queued.request.is_over:
                continue
            batch.append(queued)
            if not n:  # it may fail for having no rows, and must not fail others
                break
            rows, key = rows + n, key or queued.key()
        return batch

    def _work(self, batch: list[QueuedPredict]) -> tuple[list[tuple[QueuedPredict, Any]], float, int]:
        """Predict, and encode each request's part: (queued, answer or Refusal) for all, the seconds, and the rows."""
        started = time.perf_counter()
        answers, rows = self._answers(batch)
        return answers, time.perf_counter() - started, rows

    def _work_uncollected(self, batch: list[QueuedPredict]) -> tuple[list[tuple[QueuedPredict, Any]], float, int]:
        """Predict, and look for no garbage among what is made of a large body."""
        with memory.uncollected():
            return self._work(batch)

    def _answers(self, batch: list[QueuedPredict]) -> tuple[list[tuple[QueuedPredict, Any]], int]:
        first = batch[0]
        try:
            if first.run:
                return [(first, first.write(first.run()))], first.request.rows
            tables = [queued.table for queued in batch if queued.table]
            predictions = self._predict(tables, first.method, first.params)
            if len(batch) == 1:
                if self._logs:
                    first.note(predictions)
                return [(first, first.write(predictions))], tables[0].n
            answers, at = [], 0
            for queued, table in zip(batch, tables, strict=True):
                end = at + table.n
                if self._logs:
                    queued.note(predictions[at:end])
                answers.append((queued, queued.write(predictions[at:end])))
                at = end
        except BaseException as error:  # noqa: BLE001 -- a model may raise anything: a panic of Rust's is no Exception
            if len(batch) > 1:  # one of them spoils it for all: each alone, then
                return [answer for queued in batch for answer in self._answers([queued])[0]], sum(
                    queued.request.rows for queued in batch
                )
            if self._logs and first.table:
                first.note(None)
            if isinstance(error, Refusal):
                error.__context__ = (
                    None  # both hold the frames, and so what was read of the body, until garbage is collected
                )
                return [(first, error.with_traceback(None))], 0
            return [(first, not_predicted(error))], 0
        return answers, at

    def _deliver(self, answers: list[tuple[QueuedPredict, Any]], seconds: float, rows: int) -> None:
        self._seconds += LEARN * (seconds - self._seconds)
        self._metrics.predicted(rows, seconds)
        for queued, answer in answers:
            if isinstance(answer, Refusal):
                queued.request.refuse(answer)
            else:
                body, content_type, headers = answer
                queued.request.answer(200, body, content_type, headers)
