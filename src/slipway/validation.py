"""Validation: a model is scored on the rows that its folder's train.py holds out, and what was measured is read back."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import folder, hints, models, registry, training
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings

SCRIPT = "validate.py"
VALIDATED_TAG = "slipway.validated"  # which code scored the version
GIVEN = "/given/model"  # where a container finds a model that is a folder of this machine


@dataclass(frozen=True)
class Measured:
    """What is on record of a model: scores less those of single folds, parameters, the libraries it asks for, the commit it came from.

    `data` is the digest of the rows that it was scored on, or "" when that is not known.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    data: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    commit: str = ""


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
    model = folder.load(settings.model_dir)
    if not (model.path / SCRIPT).exists():
        print(f"note: {model.path.name}/ has no {SCRIPT}; what train.py logged is all that is known", file=sys.stderr)
        return
    with registry.translated_errors():
        tags = client.get_model_version(version.name, str(version.version)).tags
    if tags.get(VALIDATED_TAG) != _code(model):
        _score(settings, f"models:/{version.name}/{version.version}")


def measure(client: MlflowClient, model: models.Model | ModelVersion) -> Measured:
    """Read what is on record of a model; of a run that was deleted, only what the model itself keeps."""
    if not isinstance(model, models.Model):
        model = models.resolve(client, f"models:/{model.name}/{model.version}")
    with registry.translated_errors():
        logged = registry.find(client.get_logged_model, model.model_id) if model.model_id else None
        run = registry.find(client.get_run, model.run_id) if model.run_id else None
        tags = client.get_model_version(model.name, model.version).tags if model.name and model.version else {}
    if run and run.info.lifecycle_stage != "active":
        run = None
    kept = sorted(logged.metrics or [], key=lambda metric: metric.timestamp) if logged else []
    metrics = (run.data.metrics if run else {}) | {metric.key: metric.value for metric in kept}  # a run may have logged several models
    libraries = {}
    with suppress(SlipwayError, OSError):  # its files, or the list of what it needs, are gone
        text = (models.fetch(model) / "requirements.txt").read_text(encoding="utf-8")
        libraries = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return Measured(
        metrics={name: value for name, value in metrics.items() if not name.startswith("fold_")},
        params=((logged.params or {}) if logged else {}) | (run.data.params if run else {}),
        data=_find_data(kept, run) or tags.get("data.digest", "").replace(training.UNKNOWN, ""),
        libraries=libraries,
        commit=tags.get(training.COMMIT_TAG) or (run.data.tags.get(training.COMMIT_TAG, "") if run else ""),
    )


def _score(settings: Settings, uri: str) -> models.Model:
    model = folder.load(settings.model_dir)
    if not (model.path / SCRIPT).exists():
        raise SlipwayError(f"{model.path.name}/ has no {SCRIPT}, which would score the model", f"copy model/{SCRIPT} there")
    client = registry.connect(settings)
    validated = models.resolve(client, uri or f"models:/{model.name}/latest")
    is_folder = not re.match(r"[a-z]+:/", validated.uri)
    mounted = is_folder and settings.in_docker
    print(f"validating {validated.uri} with {model.path.name}/{SCRIPT}", flush=True)
    code = training.run_script(
        settings, model, [SCRIPT, GIVEN if mounted else validated.uri], mounts={Path(validated.location): GIVEN} if mounted else None
    )
    if code != 0:
        raise SlipwayError(f"{SCRIPT} ended with exit code {code}; its own words are above")
    if validated.name and validated.version:
        with registry.translated_errors():
            client.set_model_version_tag(validated.name, validated.version, VALIDATED_TAG, _code(model))
    return validated


def _find_data(metrics: list[Metric], run: Run | None) -> str:
    """Return the digest of the data that the model was validated on last, or ""."""
    noted = [metric.dataset_digest for metric in metrics if metric.key.startswith("validation_") and metric.dataset_digest]
    inputs = run.inputs.dataset_inputs if run and run.inputs else []
    context = ("mlflow.data.context", "validation")
    logged = [given.dataset.digest for given in inputs if context in {(tag.key, tag.value) for tag in given.tags}]
    return next(reversed(noted or logged), "")


def _code(model: folder.ModelFolder) -> str:
    return folder.digest([model.path])[:12]
