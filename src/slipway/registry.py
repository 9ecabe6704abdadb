"""The one module that talks to MLflow's registry: which versions there are, what MODEL= means, where the files lie."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import requests
import yaml

from slipway import folder
from slipway.errors import USAGE, SlipwayError
from slipway.settings import BUILD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings

CHAMPION = "champion"
FORMS = "MODEL=models:/name/3, models:/name@alias, models:/m-<id>, runs:/<run>/model, or a path"
PAGE = 100  # run ids in one search; a longer filter meets the server's limits


@dataclass(frozen=True)
class Model:
    """One model that a URI names: its files' place, and what the registry knows of it."""

    uri: str  # what to type to get just this one again
    location: str  # an artifact URI, or a folder of this machine
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    model_id: str | None = None


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
    import mlflow  # noqa: PLC0415 -- costs a second, which a wrong call need not wait for

    _make_embedded_store(settings)
    mlflow.set_tracking_uri(settings.tracking_uri)
    return mlflow.MlflowClient()


def check_reachable(settings: Settings) -> None:
    """Raise SlipwayError when the tracking server's API does not answer; the embedded store always does."""
    uri = settings.tracking_uri
    if not uri.startswith("http"):
        return
    cure = "make start_mlflow_services" if settings.owns_tracking else "check MLFLOW_TRACKING_URI, or unset it"
    try:
        answer = requests.get(f"{uri}/api/2.0/mlflow/experiments/search?max_results=1", timeout=10)
    except requests.RequestException:
        raise SlipwayError(f"no tracking server answers at {uri}", cure) from None
    if not answer.ok:
        raise SlipwayError(f"the tracking server at {uri} answers {answer.status_code} to its API", cure)


def list_versions(client: MlflowClient, metric: str) -> list[Row]:
    """Return all versions of all models, newest first, with the value of `metric` in each one's run."""
    aliases: dict[tuple[str, str], list[str]] = {}
    for model in _pages(client.search_registered_models):
        for alias, version in model.aliases.items():  # a search for versions leaves the aliases out
            aliases.setdefault((model.name, str(version)), []).append(alias)
    versions = list(_pages(client.search_model_versions))
    values = _metric_of_runs(client, sorted({version.run_id for version in versions if version.run_id}), metric)
    rows = [
        Row(
            version.name, int(version.version), sorted(aliases.get((version.name, str(version.version)), [])),
            values.get(version.run_id), version.creation_timestamp, version.run_id or "", f"models:/{version.name}/{version.version}",
        )
        for version in versions
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row.created, row.version), reverse=True)


def resolve(client: MlflowClient | None, uri: str) -> Model:
    """Find the model that a URI or path names; `client` may be None for a path.

    Raises SlipwayError, with what there is instead, when there is none.
    """
    uri = uri.strip()
    if not uri:
        raise SlipwayError("which model? MODEL is empty", f"make list_models, then {FORMS}", USAGE)
    scheme = urlsplit(uri).scheme
    if scheme in {"", "file"}:
        return _resolve_path(Path(unquote(urlsplit(uri).path) if scheme else uri).expanduser())
    if client is None:
        raise SlipwayError(f"a tracking server is needed to find {uri}", "make start_mlflow_services")
    with translated_errors():
        if match := re.fullmatch(r"models:/+(m-[0-9a-f]+)", uri):
            return _resolve_logged(client, match[1])
        if match := re.fullmatch(r"models:/+([^/@]+)(?:/(\d+|latest)|@([^/@]+))", uri):
            return _resolve_version(client, match[1], match[2], match[3])
        if match := re.fullmatch(r"runs:/+([^/]+)/(.+)", uri):
            return _resolve_run(client, match[1], match[2])
    raise SlipwayError(f"not the address of a model: {uri}", FORMS, USAGE)


def fetch(model: Model) -> Path:
    """Return a local folder with the model's files, downloaded once: a logged model never changes.

    Raises SlipwayError when its files are gone.
    """
    if not re.match(r"[a-z-]+:/", model.location):
        return Path(model.location)
    target = BUILD / "models" / (model.model_id or folder.digest([], model.location)[:32])
    if target.exists():
        return target
    import mlflow.artifacts  # noqa: PLC0415 -- see connect

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, translated_errors():
        try:
            mlflow.artifacts.download_artifacts(artifact_uri=model.location, dst_path=f"{scratch}/files")
        except OSError as error:
            raise SlipwayError(f"the files of {model.uri} cannot be read: {error}", "make list_models, for another version") from None
        found = next(Path(scratch).rglob("MLmodel"), None)
        if found is None:
            raise SlipwayError(
                f"the files of {model.uri} are gone: there is no MLmodel at {model.location}", "make list_models, for another version"
            )
        shutil.move(found.parent, target)
    return target


def find_versions_of_run(client: MlflowClient, run_id: str) -> list[ModelVersion]:
    """Return the registered versions that a run made, newest first."""
    return sorted(_pages(client.search_model_versions, f"run_id = '{run_id}'"), key=lambda version: -int(version.version))


def find_by_tag(client: MlflowClient, name: str, tag: str, value: str) -> ModelVersion | None:
    """Return the newest version of a model that has a tag with a value, or None."""
    found = _pages(client.search_model_versions, f"name = '{name}' and tag.`{tag}` = '{value}'")
    return max(found, key=lambda version: int(version.version), default=None)


def read_sample(client: MlflowClient, model: Model) -> str | None:
    """Return the run's `sample.csv` (rows of the data with the target as last column), or None without one."""
    import mlflow  # noqa: PLC0415 -- see connect

    if not model.run_id or not any(file.path == "sample.csv" for file in client.list_artifacts(model.run_id)):
        return None
    return str(mlflow.artifacts.load_text(f"runs:/{model.run_id}/sample.csv"))


def predict(path: Path, rows: dict[str, Any]) -> list[Any]:
    """Load a model folder here and predict; `rows` is a dataframe_split (columns, data) of n rows, the result n predictions."""
    import mlflow.pyfunc  # noqa: PLC0415 -- see connect
    import pandas as pd  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictions = mlflow.pyfunc.load_model(str(path)).predict(pd.DataFrame(**rows))
    return list(predictions.tolist() if hasattr(predictions, "tolist") else predictions.to_numpy().tolist())


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn MLflow's exceptions into errors in words."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 -- see connect

    try:
        yield
    except MlflowException as error:
        raise SlipwayError(f"MLflow: {error.message.splitlines()[0]}") from None


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the MLmodel file of a model folder.

    Raises SlipwayError when it is none.
    """
    try:
        metadata = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise SlipwayError(f"no MLflow model at {path}: it has no readable MLmodel file", f"make list_models, then {FORMS}") from None
    if not isinstance(metadata, dict) or "flavors" not in metadata:
        raise SlipwayError(f"no MLflow model at {path}: its MLmodel file names no flavors")
    return metadata


def read_example(path: Path) -> dict[str, Any] | None:
    """Return the request that the model's input example makes, or None when it was logged without one."""
    file = path / "serving_input_example.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _make_embedded_store(settings: Settings) -> None:
    """Make the sqlite database aside and put it in its place when it is whole: half a schema could not be mended."""
    file = Path(settings.tracking_uri.removeprefix("sqlite:///"))
    if not settings.tracking_uri.startswith("sqlite:///") or file.exists():
        return
    import mlflow  # noqa: PLC0415 -- see connect

    file.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        mlflow.MlflowClient(f"sqlite:///{scratch}/mlflow.db").search_experiments()
        Path(scratch, "mlflow.db").replace(file)


def _resolve_path(path: Path) -> Model:
    if not path.exists():
        raise SlipwayError(f"no such folder: {path}", f"make list_models, then {FORMS}")
    metadata = read_metadata(path)
    return Model(str(path.resolve()), str(path.resolve()), run_id=metadata.get("run_id"), model_id=metadata.get("model_id"))


def _resolve_logged(client: MlflowClient, model_id: str) -> Model:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 -- see connect

    try:
        logged = client.get_logged_model(model_id)
    except MlflowException:
        raise SlipwayError(f"no model models:/{model_id}", "make list_models") from None
    version = next((v for v in find_versions_of_run(client, logged.source_run_id) if v.source == f"models:/{model_id}"), None)
    return Model(
        f"models:/{model_id}", logged.artifact_location, version and version.name, version and str(version.version),
        logged.source_run_id, model_id,
    )  # fmt: skip


def _resolve_version(client: MlflowClient, name: str, number: str | None, alias: str | None) -> Model:
    models = {model.name: model for model in _pages(client.search_registered_models)}
    if name not in models:
        there = ", ".join(sorted(models)) or "none yet; make train_model makes one"
        raise SlipwayError(f"no registered model {name!r}; there is: {there}", "make list_models")
    aliases = models[name].aliases
    if alias and alias not in aliases:
        there = ", ".join(f"@{known} (version {version})" for known, version in sorted(aliases.items())) or "no alias yet"
        raise SlipwayError(f"{name} has no alias @{alias}; there is: {there}", "make list_models")
    versions = {str(version.version): version for version in _pages(client.search_model_versions, f"name = '{name}'")}
    wanted = str(aliases[alias]) if alias else str(max(map(int, versions), default=0)) if number == "latest" else str(number)
    if wanted not in versions:
        there = ", ".join(sorted(versions, key=int)[-10:]) or "none"
        raise SlipwayError(f"{name} has no version {wanted}; there is: {there}", "make list_models")
    version = versions[wanted]
    model_id = version.model_id or (match[1] if (match := re.fullmatch(r"models:/(m-\w+)", version.source)) else None)
    location = client.get_logged_model(model_id).artifact_location if model_id else client.get_model_version_download_uri(name, wanted)
    return Model(f"models:/{name}/{wanted}", location, name, wanted, version.run_id, model_id)


def _resolve_run(client: MlflowClient, run_id: str, path: str) -> Model:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 -- see connect

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise SlipwayError(f"no run {run_id!r}", "make list_models shows the runs of all versions") from None
    logged = {
        client.get_logged_model(output.model_id).name: output.model_id for output in (run.outputs.model_outputs if run.outputs else [])
    }
    if path in logged:
        return _resolve_logged(client, logged[path])
    if any(file.path == f"{path}/MLmodel" for file in client.list_artifacts(run_id, path)):  # a run of MLflow 2
        return Model(f"runs:/{run_id}/{path}", f"{run.info.artifact_uri}/{path}", run_id=run_id)
    raise SlipwayError(f"run {run_id} logged no model {path!r}; there is: {', '.join(sorted(logged)) or 'none'}", "make list_models")


def _metric_of_runs(client: MlflowClient, run_ids: list[str], metric: str) -> dict[str, float]:
    experiments = [experiment.experiment_id for experiment in _pages(client.search_experiments)]
    values: dict[str, float] = {}
    for start in range(0, len(run_ids), PAGE):
        quoted = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + PAGE])
        for run in client.search_runs(experiments, f"attributes.run_id IN ({quoted})", max_results=PAGE):
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
