"""What the deployer answers when it does not do what it is asked.

One shape for every error, and limits on what it reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from slipway.deployer.auth import Denied
from slipway.errors import USAGE, SlipwayError
from slipway.registry import connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST = 64 * 1024  # bytes of a request
CODES = {
    400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED", 409: "CONFLICT", 413: "REQUEST_TOO_LARGE", 422: "INVALID_PARAMETER_VALUE",
    429: "TOO_MANY_REQUESTS", 503: "TEMPORARILY_UNAVAILABLE",
}  # fmt: skip


class Problem(BaseModel):
    """The one shape of an error, as MLflow has it."""

    error_code: str
    message: str


class Refusal(Exception):  # an answer, no error
    """An answer that gives the reason for a refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def answer(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer of an error."""
    return JSONResponse({"error_code": CODES.get(status, "INTERNAL_ERROR"), "message": message}, status, headers)


async def limit(request: Request, then: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse a request that is too large, or does not say how large it is."""
    length = request.headers.get("content-length", "")
    if request.headers.get("transfer-encoding") or (
        length and (not re.fullmatch(r"\d{1,12}", length) or int(length) > LARGEST)
    ):
        return answer(413, f"a request must have a Content-Length of at most {LARGEST} bytes")
    return await then(request)


def handle(app: FastAPI) -> None:
    """Make the application answer every exception in the same format."""

    def refuse(_: Request, error: Refusal) -> JSONResponse:
        return answer(error.status, error.message)

    def deny(_: Request, error: Denied) -> JSONResponse:
        extra = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": str(error.wait)}}
        return answer(error.status, error.message, extra.get(error.status))

    def fail(_: Request, error: SlipwayError) -> JSONResponse:
        status = 503 if isinstance(error, connection.UnreachableError) else 422 if error.code == USAGE else 404
        return answer(status, error.message)

    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors()]
        return answer(422, "; ".join(found[:3]))

    def other(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, str(error.detail), dict(error.headers or {}))

    def crash(_: Request, error: Exception) -> JSONResponse:
        print(f"error: {type(error).__name__}: {error}", flush=True)
        return answer(500, "the deployer failed; see its log")

    kinds = {
        Refusal: refuse,
        Denied: deny,
        SlipwayError: fail,
        RequestValidationError: invalid,
        HTTPException: other,
        Exception: crash,
    }
    for kind, handler in kinds.items():
        app.add_exception_handler(kind, handler)  # type: ignore[arg-type] # each handles its own kind
