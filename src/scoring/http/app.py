"""The application: which request goes where. Predictions take the direct way (fast_protocol.py) or come through ASGI; all else is ASGI."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from scoring.errors import Refusal, full
from scoring.http.access_log import AccessLog
from scoring.http.api_keys import Keys
from scoring.http.asgi_exchange import AsgiExchange
from scoring.http.bodies import Room
from scoring.http.exchange import request_id
from scoring.http.fast_protocol import LATE
from scoring.http.hosts import Hosts
from scoring.http.inflater import Inflater
from scoring.http.lifespan import Lifespan
from scoring.inference import Scorer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from concurrent.futures import Future

    from scoring.http.exchange import Exchange
    from scoring.metrics import Metrics
    from scoring.models.base import Model
    from scoring.settings import Settings

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger("scoring")


class Application:
    """The ASGI application of one process, around the model that answers at present."""

    def __init__(self, settings: Settings, model: Model, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.hosts = Hosts(settings.allowed_hosts)
        self.keys = Keys(settings.api_keys_file)
        self.access = AccessLog(on=settings.access_log == "on")
        self.draining = False
        self.room = Room(settings.max_body)
        self.arriving: set[AsgiExchange] = set()  # whose bodies are being read
        self.reload_failed = False  # the newest change of model
        self.newest_load = -math.inf  # when it began, once it has already ended: time.monotonic(), which all processes share
        self.prefixes = [prefix.strip().rstrip("/") for prefix in settings.root_path.split(",") if prefix.strip()]
        self.direct: dict[bytes, Callable[[Exchange], None]] = {}
        self.scorer = Scorer(model, settings, metrics)
        self._route()
        self.connections: set[Any] = set()  # uvicorn's, of the direct way
        self._others: Any = None
        self._inflater: Inflater | None = None
        self._predictions: Any = self._exchange
        if settings.cors_origins:
            from scoring.http.routes import allow_origins  # noqa: PLC0415 -- few need it

            self._predictions = allow_origins(self._exchange, settings.cors_origins)

    def use(self, model: Model) -> None:
        """Answer with a model from now on; requests that wait for the one before are still answered by that."""
        before, self.scorer = self.scorer, Scorer(model, self.settings, self.metrics)
        self._route()
        before.close()

    def _route(self) -> None:
        identity = self.scorer.model.identity
        base = f"/v2/models/{identity.name}"
        self.direct = {b"/invocations": self.scorer.invocations}
        for path in (f"{base}/infer", f"{base}/versions/{identity.version}/infer"):
            self.direct[path.encode()] = self.scorer.infer
        self.direct |= {prefix.encode() + path: handler for prefix in self.prefixes for path, handler in self.direct.items()}

    def refusal(self, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        """Return why the head of a request is refused, if it is; its body need not be read then."""
        try:
            self.hosts.check(headers)
            self.keys.check(headers)
        except Refusal as refusal:
            return refusal
        return None

    def handle(self, exchange: Exchange, handler: Callable[[Exchange], None]) -> None:
        """Hand a whole request to its handler; whatever goes wrong becomes an answer."""
        try:
            if (encoding := exchange.header(b"content-encoding")) and encoding.lower() != b"identity":
                self._inflate(exchange, handler, encoding.lower())
            else:
                handler(exchange)
        except Refusal as refusal:
            exchange.refuse(refusal)
        except Exception:
            logger.exception("a request could not be handled")
            exchange.refuse(Refusal(500, "the server could not handle this request"))

    def _inflate(self, exchange: Exchange, handler: Callable[[Exchange], None], encoding: bytes) -> None:
        """Inflate a body and then hand its request on; raise Refusal for other encodings, and when too much waits."""
        if encoding not in {b"gzip", b"x-gzip"}:
            raise Refusal(415, "the server takes no Content-Encoding but gzip")
        self._inflater = self._inflater or Inflater(self.settings)

        def inflated(exchange: Exchange, done: Future[bytes]) -> None:
            self.room.give_back(exchange)

            def handle(exchange: Exchange) -> None:
                exchange.body = done.result()
                if not self.room.take(exchange, len(exchange.body)):
                    raise full()
                handler(exchange)

            exchange.headers = [header for header in exchange.headers if header[0] != b"content-encoding"]
            self.handle(exchange, handle)

        self._inflater.submit(exchange, inflated)

    def observe(self, exchange: Exchange, status: int, given_id: bytes) -> None:
        """Count and log an answer."""
        seconds = time.perf_counter() - exchange.started
        self.metrics.began(-1)
        self.metrics.answered(status, seconds)
        if self.access.on:
            self.access.add(exchange, status, given_id, seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["method"] == "POST" and scope["path"].encode() in self.direct:
            await self._predictions(scope, receive, send)
        else:
            await self._other(self._without_prefix(scope), receive, self._with_headers(scope, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        lifespan = Lifespan(self)
        lifespan.begin()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        lifespan.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].encode()
        handler = self.direct[path]
        exchange = AsgiExchange(self, path, scope)
        gone: asyncio.Future[None] | None = None
        try:
            async with asyncio.timeout(self.settings.request_timeout) as exchange.limit:
                if refusal := self.refusal(exchange.headers):
                    exchange.is_cut = True
                    exchange.refuse(refusal)
                elif await exchange.read(receive):
                    gone = asyncio.ensure_future(_wait_until_gone(receive))
                    self.handle(exchange, handler)
                    ends: list[asyncio.Future[Any]] = [exchange.answered, gone]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    exchange.answered.cancel()  # without effect when there is an answer
        except TimeoutError:
            exchange.refuse(Refusal(504, "the time for one request is over") if exchange.is_whole else Refusal(408, LATE))
        finally:
            if gone:
                gone.cancel()
            exchange.drop()
        if exchange.answered.cancelled():
            self.metrics.began(-1)
            return
        status, body, headers = exchange.answered.result()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._others is None:
            from scoring.http.routes import build  # noqa: PLC0415 -- a prediction need not wait for it

            self._others = build(self)
        await self._others(scope, receive, send)

    def _without_prefix(self, scope: Scope) -> Scope:
        prefix = next((prefix for prefix in self.prefixes if scope["path"].startswith(f"{prefix}/")), "")
        return {**scope, "path": scope["path"][len(prefix) :]} if prefix else scope

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def wrapped(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    *self.scorer.header_list,
                    (b"x-request-id", request_id(scope["headers"])),
                    *(((b"connection", b"close"),) if self.draining else ()),
                ]
            await send(message)

        return wrapped


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
