"""The one module that talks to MLflow's registry: which versions there are, and their files."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import requests

from slipway import ownership
from slipway.errors import SlipwayError, time_out
from slipway.settings import sqlite_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings

Found = TypeVar("Found")

CHAMPION = "champion"
OUTAGE = re.compile(r"API request to .* failed with (exception|error code 5)")  # as MLflow's client says it
LOCK = ".release-lock"  # ends the name of a registered model that is none: see mutex
PAGE = 100  # run ids in one search; a longer filter meets the server's limits


class UnreachableError(SlipwayError):
    """The tracking server does not answer."""


@dataclass(frozen=True)
class Row:
    """One line of the registry's list. `metric` is None when the run did not log it."""

    name: str
    version: int
    aliases: list[str] = field(default_factory=list)
    metric: float | None = None
    created: int = 0  # ms since 1970
    run_id: str = ""
    model: str = ""


def connect(settings: Settings) -> MlflowClient:
    """Return a client of the tracking server, once that answers.

    Raises SlipwayError when it does not: MLflow's own client would try for four minutes.
    """
    check_reachable(settings)
    import mlflow  # noqa: PLC0415 -- costs a second, which a wrong call need not wait for; never a part of it first: see the test

    _make_embedded_store(settings)
    mlflow.set_tracking_uri(settings.tracking_uri)
    return mlflow.MlflowClient()


def hurry() -> None:
    """Have MLflow's client give a call up within seconds, and not minutes: for programs that look again themselves."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


def check_reachable(settings: Settings) -> None:
    """Raise SlipwayError when the tracking server's API does not answer; the embedded store always does."""
    uri = settings.tracking_uri
    if not uri.startswith("http"):
        return
    if settings.in_docker and not settings.external_tracking_uri:  # who exports another checkout's address means it
        ownership.refuse_other(settings.mlflow_port)
    ours = settings.in_docker and settings.owns_tracking
    start = "make start_mlflow_services" if shutil.which("docker") else "RUNTIME=host with the same command, which needs no Docker"
    cure = start if ours else "check MLFLOW_TRACKING_URI, or unset it"
    try:
        answer = requests.get(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", timeout=settings.request_timeout)
    except requests.Timeout:
        late = time_out(f"the tracking server at {uri} did not answer", settings.request_timeout, "REQUEST_TIMEOUT")
        raise UnreachableError(late.message, late.cure) from None
    except requests.RequestException:
        raise UnreachableError(f"no tracking server answers at {uri}", cure) from None
    if not answer.ok and answer.status_code != requests.codes.unauthorized:  # MLflow's client has the credentials
        raise UnreachableError(f"the tracking server at {uri} answers {answer.status_code} to its API", cure)


def list_versions(client: MlflowClient, metric: str) -> list[Row]:
    """Return all versions of all models, newest first, with the value of `metric` in each one's run."""
    aliases = find_aliases(client)
    versions = list(_pages(client.search_model_versions))
    values = _metric_of_runs(client, sorted({version.run_id for version in versions if version.run_id}), metric)
    rows = []
    for version in versions:
        number, run_id = int(version.version), version.run_id or ""
        named = sorted(alias for alias, at in aliases.get(version.name, {}).items() if at == number)
        uri = f"models:/{version.name}/{number}"
        rows.append(Row(version.name, number, named, values.get(run_id), version.creation_timestamp, run_id, uri))
    return sorted(rows, key=lambda row: (row.created, row.version), reverse=True)


def find_aliases(client: MlflowClient) -> dict[str, dict[str, int]]:
    """Return, for every registered model, its aliases and the version each stands for; a search for versions leaves them out."""
    return {
        model.name: {alias: int(version) for alias, version in model.aliases.items()}
        for model in _pages(client.search_registered_models)
        if not model.name.endswith(LOCK)
    }


def find_champion(client: MlflowClient, name: str, alias: str = CHAMPION) -> int | None:
    """Return the version that @champion (or another alias) stands for, or None; one cheap call."""
    model = find(client.get_registered_model, name)
    number = model.aliases.get(alias) if model else None
    return int(number) if number else None


def find_versions(client: MlflowClient, name: str) -> dict[int, ModelVersion]:
    """Return all versions of a model by their numbers."""
    return {int(version.version): version for version in _pages(client.search_model_versions, f"name = {quote(name)}")}


def find_versions_of_run(client: MlflowClient, run_id: str) -> list[ModelVersion]:
    """Return the registered versions that a run made, newest first."""
    return sorted(_pages(client.search_model_versions, f"run_id = '{run_id}'"), key=lambda version: -int(version.version))


def find_by_tag(client: MlflowClient, name: str, tag: str, value: str) -> ModelVersion | None:
    """Return the newest version of a model that has a tag with a value, or None."""
    found = _pages(client.search_model_versions, f"name = {quote(name)} and tag.`{tag}` = '{value}'")
    return max(found, key=lambda version: int(version.version), default=None)


def quote(name: str) -> str:
    """Return a name as MLflow's filters read it, in the quotes that are not in it: with both kinds in a name there is no way to write it.

    Raises SlipwayError for such a name.
    """
    mark = "'" if "'" not in name else '"'
    if mark in name:
        raise SlipwayError(f"MLflow cannot search for {name}, which has both kinds of quotes", "MODEL=models:/m-<id>, or rename it")
    return f"{mark}{name}{mark}"


def find(get: Callable[[str], Found], key: str) -> Found | None:
    """Return what one of the client's `get_…` functions finds, or None when there is no such thing."""
    import mlflow  # noqa: PLC0415 -- see connect

    try:
        return get(key)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def download(location: str, target: Path) -> None:
    """Download the files at an artifact URI into a new folder."""
    import mlflow  # noqa: PLC0415 -- see connect

    mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=str(target))


def read_sample(client: MlflowClient, run_id: str) -> str | None:
    """Return the run's `sample.csv` (rows of the data with the target as last column), or None without one."""
    import mlflow  # noqa: PLC0415 -- see connect

    if not any(file.path == "sample.csv" for file in client.list_artifacts(run_id)):
        return None
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/sample.csv"))


def read_metrics(client: MlflowClient, run_id: str) -> dict[str, float]:
    """Return the metrics of a run, less those of single folds."""
    run = find(client.get_run, run_id)
    return {name: value for name, value in run.data.metrics.items() if not name.startswith("fold_")} if run else {}


def write_metrics(metrics: dict[str, float]) -> dict[str, float | None]:
    """Return metrics for JSON, which has neither NaN nor infinity: those are null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn MLflow's exceptions into errors in words; UnreachableError when the server did not answer."""
    import mlflow  # noqa: PLC0415 -- see connect

    try:
        yield
    except mlflow.exceptions.MlflowException as error:
        kind = UnreachableError if OUTAGE.match(error.message) else SlipwayError
        raise kind(f"MLflow: {error.message.splitlines()[0]}") from None


def find_embedded_file(settings: Settings) -> Path | None:
    """Return the file of the embedded store, or of another sqlite database; None for a server."""
    found = re.match(r"sqlite:///([^?]+)", settings.tracking_uri)
    return Path(unquote(found[1])) if found else None


def _make_embedded_store(settings: Settings) -> None:
    """Make the sqlite database aside and put it in its place when it is whole: half a schema could not be mended."""
    file = find_embedded_file(settings)
    if file is None or file.exists():
        return
    import mlflow  # noqa: PLC0415 -- see connect

    file.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        mlflow.MlflowClient(sqlite_uri(Path(scratch, "mlflow.db"))).search_experiments()
        with suppress(FileExistsError):  # another command was quicker
            file.hardlink_to(Path(scratch, "mlflow.db"))


def find_runs(client: MlflowClient, condition: str) -> list[Run]:
    """Return the runs, of any experiment, that meet a condition; newest first."""
    experiments = [experiment.experiment_id for experiment in _pages(client.search_experiments)]
    return list(_pages(partial(client.search_runs, experiments), condition))


def _metric_of_runs(client: MlflowClient, run_ids: list[str], metric: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for start in range(0, len(run_ids), PAGE):
        quoted = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + PAGE])
        for run in find_runs(client, f"attributes.run_id IN ({quoted})"):
            if metric in run.data.metrics:
                values[run.info.run_id] = run.data.metrics[metric]
    return values


def _pages(search: Any, filter_string: str = "") -> Iterator[Any]:  # noqa: ANN401 -- MLflow's searches share no type
    token = None
    while True:
        page = search(filter_string=filter_string, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
