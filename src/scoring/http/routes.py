"""Everything that is no prediction: health, versions, metrics, the v2 metadata, the pages."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from scoring.codecs import metadata
from scoring.errors import CODES, Refusal
from scoring.http.state import RESPONSES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from scoring.http.state import ServerState

MLFLOW = version("mlflow-skinny")
EXTENSIONS = ["binary_tensor_data"]
OPEN = (
    "/ping",
    "/health",
    "/version",
    "/livez",
    "/readyz",
    "/v2/health/",
    "/docs/",
    "/page/",
)  # need no key: they tell nothing of the model


def build(state: ServerState) -> Starlette:
    """Return the application for all requests but predictions."""
    handlers = _Routes(state)
    routes: list[BaseRoute] = [
        Route("/invocations", handlers.only_post, methods=["POST"]),
        Route("/predict", handlers.only_post, methods=["POST"]),
        Route("/explain", handlers.only_post, methods=["POST"]),
        Route("/ping", handlers.ping, methods=["GET"]),
        Route("/health", handlers.ping, methods=["GET"]),
        Route("/version", handlers.version, methods=["GET"]),
        Route("/livez", handlers.live, methods=["GET"]),
        Route("/readyz", handlers.ready, methods=["GET"]),
        Route("/metrics", handlers.metrics, methods=["GET"]),
        Route("/v2", handlers.server, methods=["GET"]),
        Route("/v2/health/live", handlers.live, methods=["GET"]),
        Route("/v2/health/ready", handlers.ready, methods=["GET"]),
    ]
    if state.scorer.model.task == RESPONSES:
        routes.append(Route("/responses", handlers.only_post, methods=["POST"]))
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            Route(base, handlers.model, methods=["GET"]),
            Route(f"{base}/ready", handlers.model_ready, methods=["GET"]),
            Route(f"{base}/infer", handlers.no_such_model, methods=["POST"]),
            Route(f"{base}/explain", handlers.no_such_model, methods=["POST"]),
        ]
    if state.settings.docs == "on":
        from scoring.pages import routes as pages  # noqa: PLC0415 -- may be off

        routes += pages.routes(handlers.describe, api_keys=state.keys.needed)
    cors = [Middleware(allow_origins, state.settings.cors_origins)] if state.settings.cors_origins else []
    errors: dict[Any, Any] = {HTTPException: _refuse_http, Refusal: _refuse, Exception: _refuse_any}
    starlette = Starlette(
        routes=routes, middleware=[*cors, Middleware(_Admission, state=state)], exception_handlers=errors
    )
    starlette.router.redirect_slashes = False
    return starlette


def allow_origins(app: ASGIApp, origins: str) -> CORSMiddleware:
    """Return an application that the pages of some origins, parted by commas, may call."""
    listed = [origin.strip() for origin in origins.split(",") if origin.strip()]
    shown = ["X-Model-Name", "X-Model-Version", "X-Request-Id"]
    return CORSMiddleware(
        app, allow_origins=listed, allow_methods=["GET", "POST"], allow_headers=["*"], expose_headers=shown
    )


class _Routes:
    """The handlers, around the present model."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def only_post(self, request: Request) -> Response:
        """Stand for the direct way, so that other methods are answered with 405."""
        raise Refusal(404, f"there is nothing at {request.url.path}")

    async def ping(self, _: Request) -> Response:
        """Answer as MLflow does."""
        return Response(b"\n", media_type="application/json")

    async def version(self, _: Request) -> Response:
        """Answer with MLflow's version, as MLflow does."""
        return Response(MLFLOW, media_type="application/json")

    async def live(self, _: Request) -> Response:
        """Answer whenever the process does."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answer whether requests should be sent here."""
        state, identity = self._state, self._state.scorer.model.identity
        workers, sockets = state.metrics.count_workers()
        found = {
            "ready": not state.draining,
            "model": identity.name,
            "version": identity.version,
            "workers": workers,
            "sockets": sockets,
        }
        return JSONResponse(found, 503 if state.draining else 200)

    async def metrics(self, _: Request) -> Response:
        """Answer Prometheus."""
        return Response(
            self._state.metrics.text(self._state.scorer.model), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def server(self, _: Request) -> Response:
        """Say what server this is."""
        return JSONResponse({"name": "slipway", "version": MLFLOW, "extensions": EXTENSIONS})

    async def model(self, request: Request) -> Response:
        """Say what the model takes and gives."""
        self._check(request)
        model = self._state.scorer.model
        return JSONResponse(metadata.build(model))

    async def model_ready(self, request: Request) -> Response:
        """Answer whether the model can be called."""
        self._check(request)
        identity = self._state.scorer.model.identity
        return JSONResponse(
            {"name": identity.name, "ready": not self._state.draining}, 503 if self._state.draining else 200
        )

    async def no_such_model(self, request: Request) -> Response:
        """Stand for the direct way of a model that is not served here."""
        self._check(request)
        raise Refusal(404, "there is no such model")

    def describe(self) -> dict[str, Any]:
        """Return what a page or a client needs to know of the model."""
        model = self._state.scorer.model
        identity, columns = model.identity, model.signature.columns
        given = model.gives.get("predict")
        kind = given.dtype.kind if given is not None and given.ndim == 1 else ""
        output = (
            "class" if model.classes else "number" if kind and kind in "iuf" else "text" if kind == "U" else "object"
        )
        metrics = {
            name: value for name, value in identity.metrics.items() if math.isfinite(value)
        }  # JSON knows no other
        return {
            "name": identity.name, "version": identity.version, "run": identity.run, "metrics": metrics,
            "methods": list(model.methods), "classes": model.classes, "params": list(model.signature.params),
            "columns": None if columns is None else [
                {"name": each.name, "type": each.type, "required": each.required} for each in columns
            ],
            "way": {method: {"name": way.name, "why": way.why} for method, way in model.ways.items()},
            "example": model.example_json(), "output": output, "mlflow_version": MLFLOW,
            "api_keys": self._state.keys.needed,
            "task": model.task, "streams": model.streams, "files": model.takes_files,
        }  # fmt: skip

    def _check(self, request: Request) -> None:
        identity, asked = self._state.scorer.model.identity, request.path_params
        if asked["name"] != identity.name or asked.get("version", identity.version) != identity.version:
            raise Refusal(404, "there is no such model")


class _Admission:
    """Lets nobody past who calls us by another's name, nor without a key where keys are needed."""

    def __init__(self, inner: ASGIApp, state: ServerState) -> None:
        self._inner = inner
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http":
            try:
                self._state.hosts.check(scope["headers"])
                if path not in {"/", "/docs"} and not path.startswith(OPEN):
                    self._state.keys.check(scope["headers"])
            except Refusal as refusal:
                await _response(path, refusal)(scope, receive, send)
                return
        await self._inner(scope, receive, send)


def _response(path: str, refusal: Refusal) -> Response:
    body = JSONResponse({"error": refusal.message}).body if path.startswith("/v2") else refusal.body()
    return Response(body, refusal.status, dict(refusal.headers), "application/json")


async def _refuse(request: Request, error: Refusal) -> Response:
    return _response(request.url.path, error)


async def _refuse_http(request: Request, error: HTTPException) -> Response:
    status = error.status_code if error.status_code in CODES else 400
    words = {404: "there is no such path", 405: "this method is not allowed"}.get(
        status, "the request cannot be answered"
    )
    return _response(request.url.path, Refusal(status, words, tuple((error.headers or {}).items())))


async def _refuse_any(request: Request, _: Exception) -> Response:
    return _response(request.url.path, Refusal(500, "the server could not handle this request"))
