"""The deployer's HTTP interface.

Deployments by request and by registry event, their outcomes, and the status page.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from swagger_ui_bundle import swagger_ui_path

from slipway import ports
from slipway.deployer import api_errors, feedback, store, webhooks
from slipway.deployer.api_errors import Problem, Refusal
from slipway.deployer.figures import routes as figures
from slipway.deployer.service import Deployer, find_token
from slipway.deployer.worker import name_owner
from slipway.errors import SlipwayError
from slipway.registry import connection
from slipway.services import monitoring
from slipway.services.deployer_client import find_home
from slipway.serving import smoke_test
from slipway.settings import ROOT, VERSION, Settings

if TYPE_CHECKING:
    from types import FrameType

PAGE = Path(__file__).parent / "page"
KIT = ("page_kit", "static")  # the package and its folder with what the try-it page has, too
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
TARGET = "default: the first that GET /status lists"
NAMES = ["localhost", "127.0.0.1", "deployer"]  # what callers call us; a page under any other name is not ours

router = APIRouter()


class Wanted(BaseModel, extra="forbid"):
    """What to deploy, and where."""

    model: str = Field(
        examples=["models:/diabetes/4"], max_length=300, description="a version, in any form that MODEL= takes"
    )
    target: str = Field("", max_length=50, description=TARGET)


class Back(BaseModel, extra="forbid"):
    """Where to roll back, and to which version (default: the previous champion)."""

    target: str = Field("", max_length=50, description=TARGET)
    to: int | None = Field(None, ge=1, le=10**9)


def _deployer(request: Request) -> Deployer:
    deployer: Deployer = request.app.state.deployer
    return deployer


Ours = Annotated[Deployer, Depends(_deployer)]


def _authorize(request: Request, deployer: Ours) -> None:
    deployer.guard.check(request.client.host if request.client else "", request.headers.get("authorization"))


ALLOWED = [Depends(_authorize), Depends(HTTPBearer(auto_error=False))]


@router.post("/deployments", status_code=202, dependencies=ALLOWED)
def deploy(wanted: Wanted, deployer: Ours, response: Response) -> dict[str, Any]:
    """Deploy a version, through gate and smoke tests. 202: it is under way; 200: it answers already."""
    target = _choose_target(deployer, wanted.target)
    version = deployer.find_version(wanted.model)
    if found := deployer.find_deployed(version, target):
        response.status_code = 200
        return found.show()
    return deployer.add(version, target, store.DEPLOY, "deployment API").show()


@router.post("/rollbacks", status_code=202, dependencies=ALLOWED)
def roll_back(back: Back, deployer: Ours, response: Response) -> dict[str, Any]:
    """Return to the previous champion, after the smoke tests.

    It takes priority over candidates. 200: the version answers already.
    """
    target = _choose_target(deployer, back.target)
    try:
        version = deployer.choose_previous(back.to)
    except connection.UnreachableError:
        raise
    except SlipwayError as error:
        raise Refusal(409, error.message) from None
    if back.to and (found := deployer.find_deployed(version, target)):
        response.status_code = 200
        return found.show()
    return deployer.add(version, target, store.ROLL_BACK, "deployment API").show()


@router.post("/look", status_code=202, dependencies=ALLOWED)
def look(deployer: Ours) -> dict[str, Any]:
    """Check the alias now: its version is deployed where another one answers."""
    return {"deployments": [each.show() for each in deployer.look()]}


@router.get("/deployments")
def list_deployments(deployer: Ours, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
    """List the newest deployments, newest first; times in s since 1970."""
    return {"deployments": [each.show() for each in deployer.store.list(limit)]}


@router.get("/deployments/{deployment}")
def show_deployment(deployment: str, deployer: Ours) -> dict[str, Any]:
    """Show a deployment: each step with its time and outcome."""
    return _find(deployer, deployment).show()


@router.delete("/deployments/{deployment}", status_code=202, dependencies=ALLOWED)
def cancel(deployment: str, deployer: Ours) -> dict[str, Any]:
    """Cancel a deployment, and end its running step. 409: it has ended, or the alias has moved."""
    found = _find(deployer, deployment)
    if found.state in store.ENDED:
        raise Refusal(409, f"it has already ended: {found.state}")
    if not deployer.cancel(found):
        raise Refusal(409, "it is already rolling out; roll back when it is done")
    return _find(deployer, deployment).show()


@router.get("/deployments/{deployment}/verdict.png", response_class=FileResponse)
def show_verdict(deployment: str, deployer: Ours) -> FileResponse:
    """Show the candidate beside the champion, as a picture."""
    file = deployer.pictures / f"{_find(deployer, deployment).id}.png"
    if not file.exists():
        raise Refusal(404, "there is no picture: the gate did not judge this deployment")
    return FileResponse(file, media_type="image/png", headers=SAFE)


@router.get("/status")
def show_status(deployer: Ours) -> dict[str, Any]:
    """Show the champion, what answers on each target, and the releases in the registry."""
    return deployer.describe()


@router.post("/webhooks/mlflow", status_code=202)
async def receive(request: Request, deployer: Ours) -> dict[str, Any]:
    """Receive one of MLflow's signed registry events."""
    try:
        event = webhooks.read(deployer.webhook_secret, request.headers, await request.body())
    except webhooks.InvalidEventError as error:
        raise Refusal(401, str(error)) from None
    if event is None:
        return {"ignored": "an event of another kind"}
    if deployer.store.knows(event.delivery):
        raise Refusal(409, "this delivery was already received")
    answer = await run_in_threadpool(deployer.follow, event)
    deployer.store.remember(
        event.delivery, webhooks.MEMORY
    )  # when it is dealt with: MLflow sends it again after a failure
    return answer


@router.get("/livez")
def live() -> dict[str, bool]:
    """Answer whenever the process does."""
    return {"live": True}


@router.get("/", include_in_schema=False)
def show_page() -> FileResponse:
    """Show the status page."""
    return FileResponse(PAGE / "index.html", headers={**SAFE, "Content-Security-Policy": POLICY})


@router.get("/docs", include_in_schema=False)
def show_docs() -> Response:
    """Show Swagger UI, from files of our own."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json", title="Slipway deployer", swagger_js_url="/swagger/swagger-ui-bundle.js",
        swagger_css_url="/swagger/swagger-ui.css", swagger_favicon_url="/page/icon.svg",
    )  # fmt: skip


def build(deployer: Deployer) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="Slipway deployer", version=VERSION, docs_url=None, redoc_url=None, responses={"4XX": {"model": Problem}}
    )
    app.state.deployer = deployer
    app.state.feedback = deployer.feedback
    app.include_router(router)
    app.include_router(feedback.router)
    app.include_router(figures.router)
    app.mount("/page", StaticFiles(directory=PAGE, packages=[KIT]))
    app.mount("/swagger", StaticFiles(directory=Path(str(swagger_ui_path))))
    app.middleware("http")(api_errors.limit)
    app.add_middleware(figures.Hosts, allowed_hosts=[*NAMES, f"deployer.{deployer.settings.cluster.namespace}"])
    api_errors.handle(app)
    return app


class _Server(uvicorn.Server):
    """uvicorn, which tells the deployer first.

    Ctrl-C ends the programs of its steps too, and that is no failure of theirs.
    """

    def __init__(self, deployer: Deployer, host: str) -> None:
        port = deployer.settings.services.deployer_port
        super().__init__(
            uvicorn.Config(build(deployer), host=host, port=port, log_level="warning", proxy_headers=False)
        )
        self._deployer = deployer

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._deployer.end()
        super().handle_exit(sig, frame)


def serve(settings: Settings, host: str, url: str) -> None:
    """Serve in the foreground until Ctrl-C; `url` is where MLflow reaches us.

    The server on PORT goes on when this ends.
    """
    if host == ports.LOCAL:
        ports.check(settings.services.deployer_port, "DEPLOYER_PORT")
    connection.limit_retries()
    home = find_home(settings.services)
    home.mkdir(parents=True, exist_ok=True)
    lock = (home / "lock").open("w")  # held as long as we live, however we end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SlipwayError(
            f"a deployer is already running on port {settings.services.deployer_port}", "make stop_deployer"
        ) from None
    deployer = Deployer(settings)
    deployer.begin(url)
    print(
        f"the deployer answers at http://127.0.0.1:{settings.services.deployer_port}; "
        f"its token: {find_token(settings.services).relative_to(ROOT)}",
        flush=True,
    )
    name, services = deployer.model.name, settings.services
    try:
        with (
            monitoring.announced(services, "deployer", services.deployer_port, name),
            monitoring.announced(services, "model", settings.serving.port, name),
        ):
            _Server(deployer, host).run()
    finally:
        deployer.end()  # a closed terminal is no signal that uvicorn knows
        for target in deployer.targets:
            smoke_test.clear(settings, deployer.model.name, name_owner(settings.services, target))


def _find(deployer: Deployer, deployment: str) -> store.Deployment:
    found = deployer.store.get(deployment)
    if found is None:
        raise Refusal(404, f"no deployment {deployment[:40]}")
    return found


def _choose_target(deployer: Deployer, wanted: str) -> str:
    target = wanted or next(iter(deployer.targets))
    if target not in deployer.targets:
        raise Refusal(422, f"target is {target!r}; available: {', '.join(deployer.targets)}")
    return target
