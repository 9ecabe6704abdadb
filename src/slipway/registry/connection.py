"""Whether the tracking server, or the embedded store, exists and answers, and what its client's errors mean."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import requests

from slipway.bootstrap import docker_cli, ownership
from slipway.errors import SlipwayError, time_out
from slipway.settings import sqlite_uri

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from slipway.settings import Settings

OUTAGE = re.compile(r"API request to .* failed with (exception|error code 5)")  # as MLflow's client says it
VARIABLE = "MLFLOW_TRACKING_URI"
_DEFAULT = threading.Lock()


class UnreachableError(SlipwayError):
    """The tracking server does not answer."""


def limit_retries() -> None:
    """Make MLflow's client give up within seconds, not minutes: for programs that retry themselves."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


def check_reachable(settings: Settings) -> None:
    """Raise SlipwayError when the tracking server's API does not answer; the embedded store always does."""
    uri = settings.tracking_uri
    if not uri.startswith("http"):
        return
    if settings.in_docker and not settings.tracking.external_uri:  # who exports another checkout's address means it
        ownership.refuse_other(settings.tracking.port)
    ours = settings.in_docker and settings.tracking.is_ours
    start = (
        "make start_mlflow_services"
        if docker_cli.is_installed()
        else "RUNTIME=host with the same command, which needs no Docker"
    )
    cure = start if ours else "check MLFLOW_TRACKING_URI, or unset it"
    try:
        answer = requests.get(
            f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", timeout=settings.serving.request_timeout
        )
    except requests.Timeout:
        late = time_out(
            f"the tracking server at {uri} did not answer", settings.serving.request_timeout, "REQUEST_TIMEOUT"
        )
        raise UnreachableError(late.message, late.cure) from None
    except requests.RequestException:
        raise UnreachableError(f"no tracking server answers at {uri}", cure) from None
    if not answer.ok and answer.status_code != requests.codes.unauthorized:  # MLflow's client has the credentials
        raise UnreachableError(f"the tracking server at {uri} answers {answer.status_code} to its API", cure)


@contextmanager
def translated(ignored: Collection[str] = ()) -> Iterator[None]:
    """Turn the exceptions of MLflow and its HTTP client into SlipwayErrors; an ignored code only ends the block."""
    import mlflow  # see Registry

    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        if error.error_code not in ignored:
            kind = UnreachableError if OUTAGE.match(error.message) else SlipwayError
            raise kind(f"MLflow: {error.message.splitlines()[0]}") from None
    except requests.RequestException as error:  # of an artifact: it passes MLflow as it is
        refused = error.response is not None and error.response.status_code < requests.codes.server_error
        kind = SlipwayError if refused else UnreachableError
        raise kind(f"MLflow: {type(error).__name__}: {error}".splitlines()[0]) from None


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Make a URI MLflow's default for the whole process during one call; one thread at a time.

    Only an embedded store needs it: it looks up the logged model of a new version where MLflow does by default.
    """
    import mlflow  # see Registry

    with _DEFAULT:
        before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None  # type: ignore[no-untyped-call]
        variable = os.environ.get(VARIABLE)
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)  # type: ignore[arg-type] # None: as if it was never set
            os.environ.pop(VARIABLE, None)  # which MLflow sets, too
            os.environ |= {VARIABLE: variable} if variable is not None else {}


def find_embedded_file(settings: Settings) -> Path | None:
    """Return the file of the embedded store, or of another sqlite database; None for a server."""
    found = re.match(r"sqlite:///([^?]+)", settings.tracking_uri)
    return Path(unquote(found[1])) if found else None


def make_embedded_store(settings: Settings) -> None:
    """Create the sqlite database elsewhere, and move it into place when complete: half a schema cannot be repaired."""
    file = find_embedded_file(settings)
    if file is None or file.exists():
        return
    import mlflow  # see Registry

    file.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        mlflow.MlflowClient(sqlite_uri(Path(scratch, "mlflow.db"))).search_experiments()
        with suppress(FileExistsError):  # another command was quicker
            file.hardlink_to(Path(scratch, "mlflow.db"))
