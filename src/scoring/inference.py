"""One model behind its protocols: reads a request, queues it before the model, writes the answer."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from scoring.batching import INLINE, Encoded, Job, Lane, write
from scoring.bounds import Bounds
from scoring.codecs import open_inference, tensors
from scoring.codecs import predictions as output
from scoring.codecs.fast_json import decoder_for
from scoring.codecs.simd import NUMBER_S, OBJECT_S, read_seconds
from scoring.errors import Refusal
from scoring.http import access_log
from scoring.http.exchange import JSON

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.http.exchange import Exchange
    from scoring.metrics import Metrics
    from scoring.models.base import Model
    from scoring.models.rows import Table
    from scoring.settings import Settings

CSV, PARQUET = b"text/csv", b"application/vnd.apache.parquet"
SWIFT = 2560 * 1024  # bytes of numbers that are read in INLINE; reading more would hold up the event loop
HEAVY = 256 * 1024  # the same for other bodies
ODD = 8 * 1024  # the same for a body that pandas must read
DATED = 1024  # the same where it must find out how dates are written
SMALL = 8 * 1024  # the same for JSON of whatever form
WIDE = 64  # columns; pandas takes longer to read more of them
TOO_LARGE = 413
HEAVY_THREADS = 2
THREADS = 8  # predicts at a time for a model whose requests cannot be joined: it may wait for something


class Scorer:
    """A model, its decoder and its lanes."""

    def __init__(self, model: Model, settings: Settings, metrics: Metrics) -> None:
        self.model = model
        self._settings = settings
        self._columns = model.signature.columns
        self._bounds = Bounds.of(settings)
        self._inline_bounds = self._bounds.with_few_empty()
        self._decoder = decoder_for(model.signature, self._bounds)
        self._quick, self._value_s = (SWIFT, NUMBER_S) if _is_matrix(model) else (HEAVY, OBJECT_S)
        self._odd = DATED if any(column.type == "datetime" for column in self._columns or ()) else ODD
        self._light = Lane(
            model, metrics, settings,
            threads=1 if model.joins else settings.threads or THREADS, max_rows=settings.max_batch if model.joins else 0,
        )  # fmt: skip
        self._heavy = Lane(model, metrics, settings, threads=HEAVY_THREADS, max_rows=0)
        name, version = _header(model.identity.name), _header(model.identity.version)
        self.headers = b"x-model-name: %s\r\nx-model-version: %s\r\n" % (name, version)
        self.header_list = [(b"x-model-name", name), (b"x-model-version", version)]
        self.log_fields = b'"model":%s,"version":%s' % (access_log.quote(name), access_log.quote(version))

    @property
    def is_idle(self) -> bool:
        """Whether no request waits for this model."""
        return self._light.is_idle and self._heavy.is_idle

    def close(self) -> None:
        """Let the threads of both lanes end."""
        self._light.close()
        self._heavy.close()

    def invocations(self, exchange: Exchange) -> None:
        """Take a request of MLflow's scoring protocol; raise Refusal for what is none."""
        content_type = exchange.header(b"content-type") or b""
        mime = JSON if content_type == JSON else media_type(content_type)
        body = exchange.body
        if self._decoder and mime is JSON and self._is_quick(body) and (table := self._decoder.decode(body)):
            self._submit(exchange, table, _encode, *self.model.default)
        elif self._columns is None:
            self._queue_by_itself(exchange, mime)
        elif len(body) > self._odd or len(self._columns) > WIDE or mime == PARQUET or not self._read_here(exchange, mime):
            self._heavy.submit(Job(exchange, _as_it_is, run=lambda: self._read_and_answer(exchange, mime)))

    def _is_quick(self, body: bytes) -> bool:
        """Whether a decoder reads JSON in so short a time that the event loop may wait for it."""
        return len(body) <= SMALL or (len(body) <= self._quick and read_seconds(body, self._value_s) < INLINE)

    def _read_here(self, exchange: Exchange, mime: bytes) -> bool:
        """Read a small body and queue its rows; return False for one whose table would not be small."""
        try:
            table, given, encode = self._read(exchange.body, mime, self._inline_bounds)
        except Refusal as refusal:
            if refusal.status == TOO_LARGE:
                return False
            raise
        self._submit(exchange, table, encode, *self.model.params_of(given))
        return True

    def infer(self, exchange: Exchange) -> None:
        """Take a request of the Open Inference Protocol; raise Refusal for what is none."""
        identity = self.model.identity
        if self._decoder and len(self._columns or ()) <= WIDE and self._is_quick(exchange.body):
            request = self._parse_tensors(exchange)
            if request.is_quick and (table := self._read_tensors(exchange, request)[0]):
                method, params = self.model.params_of(request.params())
                encode = partial(open_inference.encode, request, identity, method)
                self._submit(exchange, table, encode, method, params)
                return

        def run() -> tuple[open_inference.Request, str, Any]:
            request = self._parse_tensors(exchange)
            table, arrays = self._read_tensors(exchange, request)
            method, params = self.model.params_of(request.params())
            _stop_if_over(exchange)
            if table:
                return request, method, self.model.predict([table], method, params)
            return request, method, self.model.predict_data(self.model.from_arrays(arrays), method, params)

        lane = self._heavy if self._decoder else self._light
        lane.submit(Job(exchange, lambda done: open_inference.encode(done[0], identity, *done[1:]), run=run))

    def _parse_tensors(self, exchange: Exchange) -> open_inference.Request:
        return open_inference.parse(exchange.body, exchange.header(b"inference-header-content-length"), self._bounds)

    def _read_tensors(self, exchange: Exchange, request: open_inference.Request) -> tuple[Table | None, dict[str, Any]]:
        """Return the rows of a request where the model takes rows, or else its arrays."""
        if self._columns:
            tensors.check_names([tensor.name for tensor in request.infer.inputs], self._columns)
        arrays = request.arrays()
        tensor = self.model.signature.tensor
        table = tensors.to_table(arrays, self._columns) if self._columns else tensors.to_matrix(arrays, *tensor) if tensor else None
        if table:
            self._check_rows(exchange, table)
        return table, arrays

    def _submit(
        self, exchange: Exchange, table: Table, encode: Callable[[Any], Encoded], method: str, params: dict[str, Any] | None
    ) -> None:
        """Queue rows: many that take long go where they hold up no others."""
        self._check_rows(exchange, table)
        lane = self._heavy if (table.n - 1) * self.model.row_seconds > INLINE else self._light
        lane.submit(Job(exchange, encode, table, method, params))

    def _queue_by_itself(self, exchange: Exchange, mime: bytes) -> None:
        """Queue a request for a model without plain columns: MLflow's own parser reads what the decoder did not."""

        def run() -> tuple[Any, bool]:
            body = exchange.body
            if self._decoder and mime is JSON and not self._is_quick(body) and (table := self._decode(body)):
                self._check_rows(exchange, table)
                return self.model.predict([table], *self.model.default), False
            data, given, bare = self.model.parse(body, mime.decode(), self._bounds)
            _stop_if_over(exchange)
            return self.model.predict_data(data, *self.model.params_of(given)), bare

        lane = self._heavy if self._decoder else self._light
        lane.submit(Job(exchange, lambda done: _encode_bare(done[0]) if done[1] else _encode(done[0]), run=run))

    def _read_and_answer(self, exchange: Exchange, mime: bytes) -> Encoded:
        encode: Callable[[Any], Encoded] = _encode
        method, params = self.model.default
        body = exchange.body
        table = self._decode(body) if mime is JSON else None
        if table is None:
            table, given, encode = self._read(body, mime, self._bounds)
            method, params = self.model.params_of(given)
        self._check_rows(exchange, table)
        _stop_if_over(exchange)
        return write(encode, self.model.predict([table], method, params))

    def _decode(self, body: bytes) -> Table | None:
        """Read a large body in the short way, unless it may have more than the bounds allow."""
        return self._decoder.decode(body) if self._decoder and self._bounds.seems_plain(body, self._decoder.width) else None

    def _read(self, body: bytes, mime: bytes, bounds: Bounds) -> tuple[Table, Any, Callable[[Any], Encoded]]:
        """Read any form of input; return the rows, the params, and what makes the answer."""
        from scoring.codecs import csv_body, mlflow_forms  # noqa: PLC0415 -- bring pandas

        columns = self._columns or ()
        if mime == CSV:
            return csv_body.read(body, columns, bounds), None, _encode
        if mime == PARQUET:
            from scoring.codecs import parquet_body  # noqa: PLC0415 -- brings pyarrow

            return parquet_body.read(body, columns, bounds), None, _encode
        value = mlflow_forms.parse(body, bounds)
        if mlflow_forms.is_message(value):
            params = {each["name"]: value.pop(each["name"]) for each in self.model.signature.params if each["name"] in value}
            return mlflow_forms.from_message(value, columns, bounds), params or None, _encode_bare
        return mlflow_forms.to_table(value, columns, bounds), value.get("params"), _encode

    def _check_rows(self, exchange: Exchange, table: Table) -> None:
        self._bounds.check_rows(table.n)
        exchange.rows = table.n


def _is_matrix(model: Model) -> bool:
    """Whether the decoder reads large JSON straight into a matrix, without an object for each value."""
    return model.signature.is_numeric or bool(model.signature.tensor and model.signature.tensor[0].startswith("float"))


def _encode(predictions: Any) -> Encoded:  # noqa: ANN401 -- whatever a model gives
    return output.encode(predictions), JSON, ()


def _stop_if_over(exchange: Exchange) -> None:
    """Do no more for a request whose time is over, or whose client has gone."""
    if exchange.is_over:
        raise Refusal(504, "the time for one request is over")


def _as_it_is(answer: Encoded) -> Encoded:
    return answer


def _encode_bare(predictions: Any) -> Encoded:  # noqa: ANN401 -- as above
    return output.encode_bare(predictions), JSON, ()


@lru_cache(64)
def media_type(content_type: bytes) -> bytes:
    """Return the media type of a request, one of the three; raise Refusal (415) for others, as MLflow does."""
    kind, *parameters = [part.strip() for part in content_type.split(b";")]
    given = {name: value for name, _, value in (each.partition(b"=") for each in parameters)}
    if given.pop(b"charset", b"utf-8").lower() != b"utf-8":
        raise Refusal(415, "the server takes UTF-8 only")
    if given:
        raise Refusal(415, "the content type has a parameter that is not known; charset is the only one")
    for known in (JSON, CSV, PARQUET):
        if kind == known:
            return known
    raise Refusal(415, "the content type is application/json, text/csv or application/vnd.apache.parquet")


def _header(text: str) -> bytes:
    """Return text as a header's value: what a header cannot hold is left out."""
    return "".join(sign for sign in text if sign.isprintable()).encode("latin-1", "ignore")
