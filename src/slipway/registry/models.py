"""The model that MODEL= names: every form of address, what it stands for, and its files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import yaml

from slipway import model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.registry import client as registry
from slipway.settings import BUILD

if TYPE_CHECKING:
    from mlflow import MlflowClient

FORMS = "MODEL=models:/name/3, models:/name@alias, models:/m-<id>, runs:/<run>/model, or a path"
OTHERS = "make list_models, for another version"
META = "registered_model_meta"  # MLflow adds it, in a local store to the very files, when it loads a registered version
CHECKSUM_TAG = "slipway.checksum"  # of a version's files, as they were when it was registered
IMAGE_TAG = "slipway.served_image"  # of a version: how a cluster calls its image


@dataclass(frozen=True)
class Model:
    """One model that a URI names: its files' place, and what the registry knows of it."""

    uri: str  # what to type to get just this one again
    location: str  # an artifact URI, or a folder of this machine
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    model_id: str | None = None
    checksum: str | None = None  # that its files had when it was registered


def resolve(client: MlflowClient | None, uri: str) -> Model:
    """Find the model that a URI or path names; `client` may be None for a path.

    Raises SlipwayError, with what there is instead, when there is none.
    """
    uri = uri.strip()
    if not uri:
        raise SlipwayError("MODEL is empty: which model?", f"make list_models, then {FORMS}", USAGE)
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:  # a bracket in it
        raise SlipwayError(f"not the address of a model: {uri}", FORMS, USAGE) from None
    if scheme not in {"", "file", "models", "runs"}:
        raise SlipwayError(f"not the address of a model: {uri}", FORMS, USAGE)
    if scheme in {"", "file"}:
        return _resolve_path(Path(unquote(urlsplit(uri).path) if scheme else uri).expanduser())
    if client is None:
        raise SlipwayError(f"a tracking server is needed to find {uri}", "make list_models, for what it has")
    with registry.translated_errors():
        if match := re.fullmatch(r"models:/+(m-[0-9a-f]+)", uri):
            return _resolve_logged(client, match[1])
        if match := re.fullmatch(r"models:/+(?:([^/]+)/(\d+|latest)|([^/]+)@([^/@]+))", uri):
            return _resolve_version(client, match[1] or match[3], match[2], match[4])
        if match := re.fullmatch(r"runs:/+([^/]+)/(.+)", uri):
            return _resolve_run(client, match[1], match[2])
    raise SlipwayError(f"not the address of a model: {uri}", FORMS, USAGE)


def fetch(model: Model, *, fresh: bool = False) -> Path:
    """Return a local folder with the model's files; downloaded once, unless `fresh`: a logged model never changes.

    Raises SlipwayError when its files are gone, or are not those that were registered.
    """
    if not re.match(r"[a-z-]+:/", model.location):
        return Path(model.location)
    target = BUILD / "models" / (model.model_id or model_folder.digest([], model.location)[:32])
    if target.exists():
        whole = compute_checksum(target) == (model.checksum or checksum(target))
        if whole and not fresh:
            return target
        if not whole:
            shutil.rmtree(target)  # it was changed here
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, registry.translated_errors():
        try:
            registry.download(model.location, Path(scratch, "files"))
        except OSError as error:
            raise SlipwayError(f"the files of {model.uri} cannot be read: {error}", OTHERS) from None
        found = next(Path(scratch).rglob("MLmodel"), None)
        if found is None:
            raise SlipwayError(f"the files of {model.uri} are gone: there is no MLmodel at {model.location}", OTHERS)
        (found.parent / META).unlink(missing_ok=True)
        present = compute_checksum(found.parent)
        if model.checksum not in {None, present}:
            raise SlipwayError(
                f"the files of {model.uri} are not those that were registered: their checksum differs", OTHERS
            )
        _checksum_file(target).write_text(present, encoding="utf-8")
        with contextlib.suppress(OSError):  # another command was quicker; the files are the same
            found.parent.rename(target)
    return target


def checksum(files: Path) -> str:
    """Return the checksum that a model's files had when they were downloaded.

    For a folder of the user's own, the present one.
    """
    noted = _checksum_file(files)
    return (
        noted.read_text(encoding="utf-8")
        if files.parent == BUILD / "models" and noted.exists()
        else compute_checksum(files)
    )


def record_checksum(client: MlflowClient, name: str, version: str, files: Path) -> None:
    """Note in the registry which files a version has: those, and no others, are served from now on."""
    client.set_model_version_tag(name, version, CHECKSUM_TAG, checksum(files))


def record_image(client: MlflowClient, model: Model, image: str) -> None:
    """Note in the registry how a cluster calls the image of a version."""
    with registry.translated_errors():
        client.set_model_version_tag(str(model.name), str(model.version), IMAGE_TAG, image)


def find_image(client: MlflowClient, model: Model) -> str:
    """Return how the cluster calls the image of a version. Raises SlipwayError when none was pushed."""
    with registry.translated_errors():
        found = client.get_model_version(str(model.name), str(model.version)).tags.get(IMAGE_TAG)
    if not found:
        cure = f"make push_model MODEL={model.uri} REGISTRY=… or IMAGE_LOAD=…"
        raise SlipwayError(f"no image of version {model.version} has been pushed", cure)
    return str(found)


def compute_checksum(files: Path) -> str:
    """Return sha256 over `find . -type f ! -name registered_model_meta | LC_ALL=C sort | xargs sha256sum`.

    The server computes it again before it loads them.
    """
    total = hashlib.sha256()
    for name in sorted(
        f"./{path.relative_to(files)}" for path in files.rglob("*") if path.is_file() and path.name != META
    ):
        total.update(f"{hashlib.sha256((files / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _checksum_file(files: Path) -> Path:
    return files.with_name(f"{files.name}.sha256")


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the MLmodel file of a model folder.

    Raises SlipwayError when it is none.
    """
    try:
        metadata = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise SlipwayError(
            f"no MLflow model at {path}: it has no readable MLmodel file", f"make list_models, then {FORMS}"
        ) from None
    if not isinstance(metadata, dict) or "flavors" not in metadata:
        raise SlipwayError(f"no MLflow model at {path}: its MLmodel file lists no flavors")
    return metadata


def read_example(path: Path) -> dict[str, Any] | None:
    """Return the request that the model's input example makes, or None when it was logged without one."""
    file = path / "serving_input_example.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def find_gaps(path: Path) -> list[str]:
    """Return in words what the files of a model lack that its server and its test would have use for."""
    gaps = []
    if not read_metadata(path).get("signature"):
        gaps.append("no signature, so only the model itself can reject wrong requests: log it with signature=…")
    if read_example(path) is None:
        gaps.append(
            "no input example, so the server cannot try the model before serving it: log it with input_example=…"
        )
    return gaps


def _resolve_path(path: Path) -> Model:
    if not path.exists():
        meant = (
            f"MODEL=models:/{path}/1, or make list_models"
            if re.fullmatch(r"[\w.-]+", str(path))
            else f"make list_models, then {FORMS}"
        )
        raise SlipwayError(f"no such folder: {path}", meant)
    metadata = read_metadata(path)
    return Model(
        str(path.resolve()), str(path.resolve()), run_id=metadata.get("run_id"), model_id=metadata.get("model_id")
    )


def _resolve_logged(client: MlflowClient, model_id: str) -> Model:
    logged = registry.find(client.get_logged_model, model_id)
    if logged is None:
        raise SlipwayError(f"no model models:/{model_id}", "make list_models")
    versions = registry.find_versions_of_run(client, logged.source_run_id) if logged.source_run_id else []
    version = next((version for version in versions if version.source == f"models:/{model_id}"), None)
    name, number = (version.name, str(version.version)) if version else (None, None)
    known = version.tags.get(CHECKSUM_TAG) if version else None
    return Model(f"models:/{model_id}", logged.artifact_location, name, number, logged.source_run_id, model_id, known)


def _resolve_version(client: MlflowClient, name: str, number: str | None, alias: str | None) -> Model:
    aliases = registry.find_aliases(client)
    if name not in aliases:
        there = ", ".join(sorted(aliases)) or "none yet; make train_model makes one"
        raise SlipwayError(f"no registered model {name!r}; there is: {there}", "make list_models")
    if alias and alias not in aliases[name]:
        there = (
            ", ".join(f"@{known} (version {version})" for known, version in sorted(aliases[name].items()))
            or "no alias yet"
        )
        raise SlipwayError(f"{name} has no alias @{alias}; there is: {there}", "make list_models")
    versions = registry.find_versions(client, name)
    wanted = aliases[name][alias] if alias else max(versions, default=0) if number == "latest" else int(str(number))
    if wanted not in versions:
        there = ", ".join(map(str, sorted(versions)[-10:])) or "none"
        raise SlipwayError(f"{name} has no version {wanted}; there is: {there}", "make list_models")
    version = versions[wanted]
    model_id = version.model_id or (
        found[1] if (found := re.fullmatch(r"models:/(m-\w+)", version.source or "")) else None
    )
    location = (
        client.get_logged_model(model_id).artifact_location
        if model_id
        else client.get_model_version_download_uri(name, str(wanted))
    )
    known = version.tags.get(CHECKSUM_TAG)
    return Model(f"models:/{name}/{wanted}", location, name, str(wanted), version.run_id, model_id, known)


def _resolve_run(client: MlflowClient, run_id: str, path: str) -> Model:
    run = registry.find(client.get_run, run_id)
    if run is None:
        raise SlipwayError(f"no run {run_id!r}", "make list_models shows the runs of all versions")
    outputs = run.outputs.model_outputs if run.outputs else []
    logged = {client.get_logged_model(output.model_id).name: output.model_id for output in outputs}
    if path in logged:
        return _resolve_logged(client, logged[path])
    if any(file.path == f"{path}/MLmodel" for file in client.list_artifacts(run_id, path)):  # a run of MLflow 2
        return Model(f"runs:/{run_id}/{path}", f"{run.info.artifact_uri}/{path}", run_id=run_id)
    raise SlipwayError(
        f"run {run_id} logged no model {path!r}; there is: {', '.join(sorted(logged)) or 'none'}", "make list_models"
    )
