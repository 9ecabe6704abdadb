"""Validation: a model is scored on the rows that its train.py holds out, and the measurements are read back."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints, interruption, model_folder, runtimes, shell
from slipway.errors import SlipwayError
from slipway.registry import connection, model_files, model_uri
from slipway.registry.client import Registry
from slipway.runtimes import locks
from slipway.runtimes.base import Script
from slipway.training import train

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from slipway.model_folder import ModelFolder
    from slipway.registry.model_uri import ModelRef
    from slipway.settings import Settings

SCRIPT = "validate.py"
VALIDATED_TAG = "slipway.validated"  # which code scored the version
GIVEN = "/given/model"  # where a container finds a model that is a folder of this machine


def validate(settings: Settings, uri: str = "") -> ModelRef:
    """Run the folder's `validate.py` on a model (default: the newest version of the folder's), and return the model.

    Raises SlipwayError when there is no such script or model, or when the script fails.
    """
    model = _load(settings)
    registry = Registry.connect(settings)
    validated = model_uri.resolve(registry, uri or f"models:/{model.name}/latest")
    validated = _score(settings, registry, model, validated)
    if validated.name and validated.version:
        hints.say_next(f"make compare MODEL={shlex.quote(f'models:/{validated.name}/{validated.version}')}")
    return validated


def ensure(settings: Settings, registry: Registry, model: ModelFolder, version: ModelRef) -> ModelRef:
    """Validate a version unless the same code has, or the gate can do without; return it with the checksum it has now.

    The gate needs a validation for a metric that begins with `validation_`, or that the version's run does not have.
    """
    found = registry.find_version(str(version.name), str(version.version))
    if found is not None and found.tags.get(VALIDATED_TAG) == _code(model):
        return version
    if not _is_needed(registry, model, version, found):
        return version
    if not (model.path / SCRIPT).exists():
        print(f"note: {model.path.name}/ has no {SCRIPT}; only what {model.script} logged is known", file=sys.stderr)
        return version
    return _score(settings, registry, model, version)


def _is_needed(registry: Registry, model: ModelFolder, version: ModelRef, found: ModelVersion | None) -> bool:
    names = {model.rules.metric, *model.rules.at_least, *model.rules.at_most}
    if found is not None and VALIDATED_TAG in found.tags:  # by other code, which may have logged any of them
        return True
    recorded = registry.read_metrics(version.run_id) if version.run_id else {}
    return any(name.startswith("validation_") or name not in recorded for name in names)


def _load(settings: Settings) -> ModelFolder:
    model = model_folder.load(settings.model_dir)
    if not (model.path / SCRIPT).exists():
        raise SlipwayError(
            f"{model.path.name}/ has no {SCRIPT}, which would score the model",
            f"copy model/{SCRIPT} and model/scores.py there",
        )
    return model


def _score(settings: Settings, registry: Registry, model: ModelFolder, validated: ModelRef) -> ModelRef:
    is_folder = not re.match(r"[a-z]+:/", validated.uri)
    mounted = is_folder and not runtimes.of(settings).shares_files
    print(f"validating {validated.uri} with {model.path.name}/{SCRIPT}", flush=True)
    files = model_files.fetch(registry, validated)
    lock = locks.of_version(settings, registry, validated, files)
    places = {Path(validated.location): GIVEN} if mounted else {}
    script = Script([SCRIPT, GIVEN if mounted else validated.uri], lock, mounts=places)
    code, said = train.run_script(settings, model, script)
    if code != 0:
        interruption.check()
        words = f"{SCRIPT} ended with exit code {code}: {shell.quote(said)}"
        connection.check_reachable(settings)  # an outage is no word against the model
        raise connection.UnreachableError(words) if connection.OUTAGE.search(words) else SlipwayError(words)
    if validated.name and validated.version:
        registry.tag_version(validated.name, validated.version, VALIDATED_TAG, _code(model))
    return replace(validated, checksum=validated.checksum and model_files.checksum(files))  # a lock may have been added


def _code(model: ModelFolder) -> str:
    return model_folder.digest([model.path])[:12]
