"""Validation: a model is scored on the rows that its train.py holds out, and the measurements are read back."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints, interruption, model_folder, runtimes, shell
from slipway.errors import SlipwayError
from slipway.registry import client as registry
from slipway.registry import models
from slipway.training import train

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings

SCRIPT = "validate.py"
VALIDATED_TAG = "slipway.validated"  # which code scored the version
GIVEN = "/given/model"  # where a container finds a model that is a folder of this machine


def validate(settings: Settings, uri: str = "") -> models.Model:
    """Run the folder's `validate.py` on a model (default: the newest version of the folder's), and return the model.

    Raises SlipwayError when there is no such script or model, or when the script fails.
    """
    validated = _score(settings, uri)
    if validated.name and validated.version:
        hints.say_next(f"make compare MODEL=models:/{validated.name}/{validated.version}")
    return validated


def ensure(settings: Settings, client: MlflowClient, version: ModelVersion) -> None:
    """Validate a version unless the same code has; a folder without `validate.py` has nothing to do it with."""
    model = model_folder.load(settings.model_dir)
    if not (model.path / SCRIPT).exists():
        print(f"note: {model.path.name}/ has no {SCRIPT}; only what train.py logged is known", file=sys.stderr)
        return
    with registry.translated_errors():
        tags = client.get_model_version(version.name, str(version.version)).tags
    if tags.get(VALIDATED_TAG) != _code(model):
        _score(settings, f"models:/{version.name}/{version.version}")


def _score(settings: Settings, uri: str) -> models.Model:
    model = model_folder.load(settings.model_dir)
    if not (model.path / SCRIPT).exists():
        raise SlipwayError(
            f"{model.path.name}/ has no {SCRIPT}, which would score the model", f"copy model/{SCRIPT} there"
        )
    client = registry.connect(settings)
    validated = models.resolve(client, uri or f"models:/{model.name}/latest")
    is_folder = not re.match(r"[a-z]+:/", validated.uri)
    mounted = is_folder and not runtimes.of(settings).shares_files
    print(f"validating {validated.uri} with {model.path.name}/{SCRIPT}", flush=True)
    heard: list[str] = []
    places = {Path(validated.location): GIVEN} if mounted else None
    code = train.run_script(settings, model, [SCRIPT, GIVEN if mounted else validated.uri], mounts=places, heard=heard)
    if code != 0:
        interruption.check()
        words = f"{SCRIPT} ended with exit code {code}: {shell.quote(heard[0])}"
        registry.check_reachable(settings)  # an outage is no word against the model
        raise registry.UnreachableError(words) if registry.OUTAGE.search(words) else SlipwayError(words)
    if validated.name and validated.version:
        with registry.translated_errors():
            client.set_model_version_tag(validated.name, validated.version, VALIDATED_TAG, _code(model))
    return validated


def _code(model: model_folder.ModelFolder) -> str:
    return model_folder.digest([model.path])[:12]
