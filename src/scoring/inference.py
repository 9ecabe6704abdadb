"""One model behind its protocols: reads a request, queues it before the model, writes the answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from scoring.batching import INLINE, BatchQueue, QueuedPredict, predict_for, write
from scoring.bounds import Bounds
from scoring.codecs import open_inference, tensors
from scoring.codecs import predictions as output
from scoring.codecs.fast_json import decoder_for
from scoring.codecs.media import CSV, JSON, PARQUET, is_table, media_type, parquet
from scoring.codecs.plain import tensors as plain_tensors
from scoring.codecs.plain.simd import NUMBER_S, OBJECT_S, most_seconds, read_seconds
from scoring.errors import Refusal
from scoring.models.rows import Table
from scoring.transfer import streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.batching import Request
    from scoring.codecs.media import Encoded
    from scoring.metrics import Metrics
    from scoring.models.aliases import Predictions
    from scoring.models.base import Model
    from scoring.settings import Settings

FAST_JSON_MAX = 1024 * 1024  # bytes of numbers that are read in INLINE; reading more would hold up the event loop
INLINE_MAX = 256 * 1024  # the same for other bodies
PANDAS_MAX = 8 * 1024  # the same for a body that pandas must read
DATED = 1024  # the same where it must find out how dates are written
WIDE = 64  # columns; pandas takes longer to read more of them
TOO_LARGE = 413
HEADER_LENGTH = b"inference-header-content-length"
HEAVY_THREADS = 2
FEW_FILES = 8  # that are read in the event loop
STREAM = b'"stream"'
THREADS = 8  # predicts at a time for a model whose requests cannot share one: it may wait for something


class Scorer:
    """A model, its decoder and its queues."""

    def __init__(self, model: Model, settings: Settings, metrics: Metrics) -> None:
        self.model = model
        self._settings = settings
        self._columns = model.signature.columns
        self.bounds = Bounds.of(settings)
        self._inline_bounds = self.bounds.with_few_empty()
        self._decoder = decoder_for(model.signature, self.bounds)
        self._tensors = plain_tensors.reader_for(model.signature, self.bounds)
        self._quick, self._value_s = (FAST_JSON_MAX, NUMBER_S) if _is_matrix(model) else (INLINE_MAX, OBJECT_S)
        self._surely_quick = int(INLINE / most_seconds(self._value_s))  # bytes
        self._odd = DATED if any(column.type == "datetime" for column in self._columns or ()) else PANDAS_MAX
        self._light = BatchQueue(
            model, metrics, settings,
            threads=1 if model.batchable else settings.threads or THREADS,
            max_rows=settings.max_batch if model.batchable else 0,
        )  # fmt: skip
        self._heavy = BatchQueue(model, metrics, settings, threads=HEAVY_THREADS, max_rows=0)
        self._slow = BatchQueue(model, metrics, settings, threads=settings.threads or THREADS, max_rows=0)  # streams
        name, version = _header(model.identity.name), _header(model.identity.version)
        self.headers = b"x-model-name: %s\r\nx-model-version: %s\r\n" % (name, version)
        self.header_list = [(b"x-model-name", name), (b"x-model-version", version)]
        named = {"model": name.decode("latin-1"), "version": version.decode("latin-1")}
        self.log_fields = msgspec.json.encode(named)[1:-1]  # of a line

    def close(self) -> None:
        """Let the threads of all queues end."""
        for queue in (self._light, self._heavy, self._slow):
            queue.close()

    def invocations(self, request: Request) -> None:
        """Take a request of MLflow's scoring protocol; raise Refusal for what is none."""
        content_type = request.header(b"content-type") or b""
        if content_type != JSON and self.model.takes_files and not is_table(content_type):
            self._take_files(request, content_type)
            return
        mime = JSON if content_type == JSON else media_type(content_type)
        body = request.body
        if self.model.streams and mime is JSON and STREAM in body:
            self._queue_stream(request)
            return
        if self._decoder and mime is JSON and self._is_quick(body) and (table := self._decoder.decode(body)):
            self._submit(request, table, _encode, *self.model.default)
        elif self._columns is None:
            self._queue_by_itself(request, mime)
        elif (
            len(body) > self._odd or len(self._columns) > WIDE or mime == PARQUET or not self._read_here(request, mime)
        ):
            self._heavy.submit(QueuedPredict(request, _as_it_is, run=lambda: self._read_and_answer(request, mime)))

    def _take_files(self, request: Request, content_type: bytes) -> None:
        """Queue files, each of which is a row."""
        from scoring.transfer import uploads  # most models take none

        if len(request.body) <= INLINE_MAX and uploads.count_most(request.body, content_type) <= FEW_FILES:
            files = uploads.read(request.body, content_type, self._inline_bounds)
            if self._columns:
                self._submit(request, Table(len(files), [(file,) for file in files]), _encode, *self.model.default)
                return

        def run() -> Encoded:
            files = uploads.read(request.body, content_type, self.bounds)
            request.rows = len(files)
            _stop_if_over(request)
            method, params = self.model.default
            if self._columns:
                table = Table(len(files), [(file,) for file in files])
                return _encode(predict_for(self.model, request, table, method, params))
            return _encode(predict_for(self.model, request, files, method, params))

        self._heavy.submit(QueuedPredict(request, _as_it_is, run=run))

    def _queue_stream(self, request: Request) -> None:
        """Queue a request whose body names `stream`: where that is true, its answer comes in pieces."""
        events = streams.EventStream(request.stream)

        def run() -> Encoded:
            from scoring.codecs import mlflow_forms  # brings pandas

            data, given, bare = self.model.parse(request.body, JSON.decode(), self.bounds)
            method, params = self.model.params_of(given)
            request.rows = 1
            _stop_if_over(request)
            if mlflow_forms.parse(request.body, self.bounds).get("stream") is not True:
                predictions = predict_for(self.model, request, data, method, params)
                return write(_encode_bare if bare else _encode, predictions)
            streams.pump(self.model.predict_stream(data, params), events)
            return b"", JSON, ()  # it was answered

        self._slow.submit(QueuedPredict(request, _as_it_is, run=run))

    def _is_quick(self, body: bytes) -> bool:
        """Whether a decoder reads JSON in so short a time that the event loop may wait for it."""
        return len(body) <= self._surely_quick or (
            len(body) <= self._quick and read_seconds(body, self._value_s) < INLINE
        )

    def _read_here(self, request: Request, mime: bytes) -> bool:
        """Read a small body and queue its rows; return False for one whose table would not be small."""
        try:
            table, given, encode = self.read(request.body, mime, self._inline_bounds)
        except Refusal as refusal:
            if refusal.status == TOO_LARGE:
                return False
            raise
        self._submit(request, table, encode, *self.model.params_of(given))
        return True

    def infer(self, request: Request) -> None:
        """Take a request of the Open Inference Protocol; raise Refusal for what is none."""
        identity = self.model.identity
        declined: open_inference.Request | None = None  # it was parsed here, and is read elsewhere
        if self._decoder and len(self._columns or ()) <= WIDE and self._is_quick(request.body):
            table, parsed = self._read_plain(request)
            if parsed is None:
                parsed = self.parse_tensors(request)
                table = self.read_tensors(request, parsed)[0] if parsed.is_quick else None
            if table:
                method, params = self.model.params_of(parsed.params())
                self._submit(request, table, partial(open_inference.encode, parsed, identity, method), method, params)
                return
            declined = parsed

        def run() -> tuple[open_inference.Request, str, Any]:
            table, parsed = (None, declined) if declined else self._read_plain(request)
            arrays: dict[str, Any] = {}
            if table is None or parsed is None:
                parsed = parsed or self.parse_tensors(request)
                table, arrays = self.read_tensors(request, parsed)
            method, params = self.model.params_of(parsed.params())
            _stop_if_over(request)
            if table:
                return parsed, method, predict_for(self.model, request, table, method, params)
            data = self.model.from_arrays(arrays)
            return parsed, method, predict_for(self.model, request, data, method, params)

        queue = self._heavy if self._decoder else self._light
        queue.submit(QueuedPredict(request, lambda done: open_inference.encode(done[0], identity, *done[1:]), run=run))

    def _read_plain(self, request: Request) -> tuple[Table | None, open_inference.Request | None]:
        """Return the rows of a plain request, and what else it says; twice None for any other."""
        is_json = request.header(HEADER_LENGTH) is None
        table, parsed = (self._tensors and is_json and self._tensors.decode(request.body)) or (None, None)
        if table:
            self._check_rows(request, table)
        return table, parsed

    def parse_tensors(self, request: Request) -> open_inference.Request:  # noqa: D102 -- its name says it
        return open_inference.parse(request.body, request.header(HEADER_LENGTH), self.bounds)

    def read_tensors(self, request: Request, parsed: open_inference.Request) -> tuple[Table | None, dict[str, Any]]:
        """Return the rows of a request where the model takes rows, or else its arrays."""
        if self._columns:
            tensors.check_names([tensor.name for tensor in parsed.infer.inputs], self._columns)
        arrays = parsed.arrays()
        table = tensors.to_rows(arrays, self.model.signature)
        if table:
            self._check_rows(request, table)
        return table, arrays

    def _submit(
        self,
        request: Request,
        table: Table,
        encode: Callable[[Any], Encoded],
        method: str,
        params: dict[str, Any] | None,
    ) -> None:
        """Queue rows: many that take long go where they hold up no others."""
        self._check_rows(request, table)
        queue = self._heavy if (table.n - 1) * self.model.row_seconds > INLINE else self._light
        queue.submit(QueuedPredict(request, encode, table, method, params))

    def _queue_by_itself(self, request: Request, mime: bytes) -> None:
        """Queue a request for a model without plain columns: MLflow's own parser reads what the decoder did not."""

        def run() -> tuple[Any, bool]:
            body = request.body
            if self._decoder and mime is JSON and not self._is_quick(body) and (table := self.decode(body)):
                self._check_rows(request, table)
                return predict_for(self.model, request, table, *self.model.default), False
            data, given, bare = self.model.parse(body, mime.decode(), self.bounds)
            _stop_if_over(request)
            return predict_for(self.model, request, data, *self.model.params_of(given)), bare

        queue = self._heavy if self._decoder else self._light
        queue.submit(
            QueuedPredict(request, lambda done: _encode_bare(done[0]) if done[1] else _encode(done[0]), run=run)
        )

    def _read_and_answer(self, request: Request, mime: bytes) -> Encoded:
        encode: Callable[[Any], Encoded] = _encode
        method, params = self.model.default
        body = request.body
        table = self.decode(body) if mime is JSON else None
        if table is None:
            table, given, encode = self.read(body, mime, self.bounds)
            method, params = self.model.params_of(given)
        self._check_rows(request, table)
        _stop_if_over(request)
        return write(encode, predict_for(self.model, request, table, method, params))

    def decode(self, body: bytes) -> Table | None:
        """Read a large body in the short way, if there is one."""
        return self._decoder.decode(body) if self._decoder else None

    def read(self, body: bytes, mime: bytes, bounds: Bounds) -> tuple[Table, Any, Callable[[Any], Encoded]]:
        """Read any form of input; return the rows, the params, and what makes the answer."""
        from scoring.codecs import csv_body, mlflow_forms  # bring pandas

        columns = self._columns or ()
        if mime == CSV:
            return csv_body.read(body, columns, bounds), None, _encode
        if mime == PARQUET:
            return parquet().read(body, columns, bounds), None, _encode
        value = mlflow_forms.parse(body, bounds)
        if mlflow_forms.is_message(value):
            params = {
                each["name"]: value.pop(each["name"]) for each in self.model.signature.params if each["name"] in value
            }
            return mlflow_forms.from_message(value, columns, bounds), params or None, _encode_bare
        return mlflow_forms.to_table(value, columns, bounds), value.get("params"), _encode

    def _check_rows(self, request: Request, table: Table) -> None:
        self.bounds.check_rows(table.n)
        request.rows, request.out_of_range = table.n, self.model.ranges.find(table)


def _is_matrix(model: Model) -> bool:
    """Whether the decoder reads large JSON straight into a matrix, without an object for each value."""
    return model.signature.is_numeric or bool(model.signature.tensor and model.signature.tensor[0].startswith("float"))


def _encode(predictions: Predictions) -> Encoded:
    return output.encode(predictions), JSON, ()


def _stop_if_over(request: Request) -> None:
    """Do no more for a request whose time is over, or whose client has gone."""
    if request.is_over:
        raise Refusal(504, "the request took too long")


def _as_it_is(answer: Encoded) -> Encoded:
    return answer


def _encode_bare(predictions: Predictions) -> Encoded:
    return output.encode_bare(predictions), JSON, ()


def _header(text: str) -> bytes:
    """Return text as a header's value: what a header cannot hold is left out."""
    return "".join(sign for sign in text if sign.isprintable()).encode("latin-1", "ignore")
