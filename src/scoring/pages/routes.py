"""The pages for people: the try-it page at /, Swagger UI at /docs, and the two documents that both read.

Everything comes from this server, and a strict Content-Security-Policy holds the pages to that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from scoring.pages import openapi

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Scope

PAGE = Path(__file__).parent / "static"
KIT = ("page_kit", "static")  # the package and its folder with what the deployer's page has, too
SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")  # of the bundle, what /docs needs
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'{style}; img-src 'self'{images}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OURS = POLICY.format(style="", images="")
SWAGGERS = POLICY.format(style=" 'unsafe-inline'", images=" data:")  # it styles its elements one by one
SAFE = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
ASK_AGAIN = {
    "Cache-Control": "no-cache"
}  # a copy may be kept, if the server is asked each time whether it is the newest
KEEP = {"Cache-Control": "public, max-age=86400"}  # changes only with a library's version
KEEP_NONE = {"Cache-Control": "no-store"}


def routes(describe: Callable[[], dict[str, Any]], *, api_keys: bool) -> list[BaseRoute]:
    """Return the routes of the pages; `describe` says what the present model is, as GET /model.json answers."""
    fresh = {**SAFE, **(KEEP_NONE if api_keys else ASK_AGAIN)}  # what needs a key stays in no cache

    async def model(_: Request) -> Response:
        return JSONResponse(describe(), headers=fresh)

    async def document(_: Request) -> Response:
        return JSONResponse(openapi.build(describe()), headers=fresh)

    return [
        _file("/", PAGE / "index.html", OURS, ASK_AGAIN),
        _file("/docs", PAGE / "docs.html", SWAGGERS, ASK_AGAIN),
        *(_file(f"/docs/{name}", Path(str(swagger_ui_path)) / name, SWAGGERS, KEEP) for name in SWAGGER),
        Mount("/page", _Files(directory=PAGE, packages=[KIT])),
        Route("/model.json", model, methods=["GET"]),
        Route("/openapi.json", document, methods=["GET"]),
    ]


def _file(path: str, file: Path, policy: str, caching: dict[str, str]) -> Route:
    async def answer(_: Request) -> Response:
        return FileResponse(file, headers={**SAFE, **caching, "Content-Security-Policy": policy})

    return Route(path, answer, methods=["GET"])


class _Files(StaticFiles):
    """The page's own files, and those of page_kit."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Add the headers of all pages."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update({**SAFE, **ASK_AGAIN, "Content-Security-Policy": OURS})
        return response
