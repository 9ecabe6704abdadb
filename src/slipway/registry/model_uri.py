"""Resolving MODEL=: every form of model address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from slipway import shell
from slipway.errors import USAGE, SlipwayError
from slipway.model_folder import LOCK
from slipway.registry.mlmodel import CARRY, FORMS, SCRIPT, read_metadata

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion

    from slipway.registry.client import Registry

OTHERS = "make list_models, for another version"
CHECKSUM_TAG = "slipway.checksum"  # of a version's files, as they were when it was registered
BARE_TAG = "slipway.checksum_without_environment"  # of these without the lock, which other versions may share


@dataclass(frozen=True)
class ModelRef:
    """A model that a URI names: where its files are, and what the registry knows about it."""

    uri: str  # what to type to get just this one again
    location: str  # an artifact URI, or a folder of this machine
    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    model_id: str | None = None
    checksum: str | None = None  # that its files had when it was registered
    bare: str | None = None  # that they had without their lock


def choose_cure(words: str) -> str:
    """Return what helps with a version that does not load, by what was said of it (pure)."""
    return CARRY if SCRIPT in words else OTHERS


def resolve(registry: Registry | None, uri: str) -> ModelRef:
    """Find the model that a URI or path names; `registry` may be None for a path.

    Raises SlipwayError, listing what exists, if there is none.
    """
    uri = uri.strip()
    if not uri:
        raise SlipwayError("MODEL is empty: which model?", f"make list_models, then {FORMS}", USAGE)
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:  # a bracket in it
        raise SlipwayError(f"not a model address: {uri}", FORMS, USAGE) from None
    if scheme not in {"", "file", "models", "runs"}:
        raise SlipwayError(f"not a model address: {uri}", FORMS, USAGE)
    if scheme in {"", "file"}:
        return _resolve_path(shell.expand(unquote(urlsplit(uri).path) if scheme else uri))
    if registry is None:
        raise SlipwayError(f"a tracking server is needed to find {uri}", "make list_models, for what it has")
    if match := re.fullmatch(r"models:/+(m-[0-9a-f]+)", uri):
        return _resolve_logged(registry, match[1])
    if match := re.fullmatch(r"models:/+(?:([^/]+)/(\d+|latest)|([^/]+)@([^/@]+))", uri):
        return _resolve_version(registry, match[1] or match[3], match[2], match[4])
    if match := re.fullmatch(r"runs:/+([^/]+)/(.+)", uri):
        return _resolve_run(registry, match[1], match[2])
    raise SlipwayError(f"not a model address: {uri}", FORMS, USAGE)


def needs_registry(uri: str) -> bool:
    """Whether resolving a URI needs the registry: it is not a path."""
    return uri.strip().startswith(("models:", "runs:"))


def _resolve_path(path: Path) -> ModelRef:
    if not path.exists():
        meant = (
            f"MODEL=models:/{path}/1, or make list_models"
            if re.fullmatch(r"[\w.-]+", str(path))
            else f"make list_models, then {FORMS}"
        )
        raise SlipwayError(f"no such folder: {path}", meant)
    metadata, place = read_metadata(path), str(path.resolve())
    return ModelRef(place, place, run_id=metadata.get("run_id"), model_id=metadata.get("model_id"))


def _resolve_logged(registry: Registry, model_id: str) -> ModelRef:
    logged = registry.find_logged_model(model_id)
    if logged is None:
        raise SlipwayError(f"no model models:/{model_id}", "make list_models")
    run_id = logged.source_run_id
    versions = registry.find_versions_of_run(run_id) if run_id else []
    version = next((version for version in versions if version.source == f"models:/{model_id}"), None)
    name, number = (version.name, str(version.version)) if version else (None, None)
    known = [version.tags.get(tag) if version else None for tag in (CHECKSUM_TAG, BARE_TAG)]
    return ModelRef(f"models:/{model_id}", logged.artifact_location, name, number, run_id, model_id, *known)


def _resolve_version(registry: Registry, name: str, number: str | None, alias: str | None) -> ModelRef:
    model = None if name.endswith(LOCK) else registry.find_model(name)
    if model is None:
        there = ", ".join(sorted(registry.find_aliases())) or "none yet; make train_model makes one"
        where = re.sub(r"//[^/@]*@", "//", registry.uri)  # not with a password
        raise SlipwayError(f"no registered model {name!r} at {where}; available: {there}", "make list_models")
    if alias and alias not in model.aliases:
        named = (f"@{each} (version {version})" for each, version in sorted(model.aliases.items()))
        there = ", ".join(named) or "no alias yet"
        raise SlipwayError(f"{name} has no alias @{alias}; available: {there}", "make list_models")
    known = model.aliases[alias] if alias else number
    wanted = registry.find_newest(name) if known == "latest" else int(str(known))
    version = registry.find_version(name, wanted)
    if version is None:
        there = ", ".join(map(str, sorted(registry.find_versions(name))[-10:])) or "none"
        raise SlipwayError(f"{name} has no version {wanted}; available: {there}", "make list_models")
    return _describe(registry, version)


def _describe(registry: Registry, version: ModelVersion) -> ModelRef:
    uri, number = f"models:/{version.name}/{version.version}", str(version.version)
    found = re.fullmatch(r"models:/(m-\w+)", version.source or "")
    model_id = version.model_id or (found[1] if found else None)
    logged = registry.find_logged_model(model_id) if model_id else None
    if model_id and logged is None:
        raise SlipwayError(f"the files of {uri} are gone: MLflow has no model {model_id}", OTHERS)
    location = logged.artifact_location if logged else registry.find_location(version)
    known = [version.tags.get(tag) for tag in (CHECKSUM_TAG, BARE_TAG)]
    return ModelRef(uri, location, version.name, number, version.run_id, model_id, *known)


def _resolve_run(registry: Registry, run_id: str, path: str) -> ModelRef:
    run = registry.find_run(run_id)
    if run is None:
        raise SlipwayError(f"no run {run_id!r}", "make list_models shows the runs of all versions")
    outputs = run.outputs.model_outputs if run.outputs else []
    found = [registry.find_logged_model(output.model_id) for output in outputs]
    logged = {each.name: each.model_id for each in found if each}
    if path in logged:
        return _resolve_logged(registry, logged[path])
    if registry.has_file(run_id, f"{path}/MLmodel"):  # a run of MLflow 2
        return ModelRef(f"runs:/{run_id}/{path}", f"{run.info.artifact_uri}/{path}", run_id=run_id)
    raise SlipwayError(
        f"run {run_id} logged no model {path!r}; available: {', '.join(sorted(logged)) or 'none'}", "make list_models"
    )
