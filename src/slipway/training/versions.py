"""Which model of a run becomes a version of the folder's model, under which name, and what the user hears of it."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.registry import mlmodel

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry

READY = "READY"  # the status of a logged model that has its files
BEST = "best_estimator"  # what autolog calls the result of a search, beside the search itself


def ensure(registry: Registry, run: Run, name: str, script: str) -> ModelVersion:
    """Return the version under `name` that a script registered; if it registered none, register the run's model.

    That is the model that the script registered under another name, or the one that counts of those that it logged.
    Raises SlipwayError when it logged no model.
    """
    registered = registry.find_versions_of_run(run.info.run_id)
    if own := [version for version in registered if version.name == name]:
        return own[0]
    others = [found for version in registered if (found := _find_model_id(version))]
    model_id = others[0] if others else choose(find_logged(registry, run))
    if not model_id:
        if registered:  # by an MLflow without logged models
            return registered[0]
        if run.outputs and run.outputs.model_outputs:
            words = f"{script} succeeded, but MLflow could not log its model"
            raise SlipwayError(words, "MLflow's warnings above say why; often a library is missing: make add LIBRARY=…")
        raise SlipwayError(
            f"{script} succeeded but logged no model",
            "call mlflow.<flavour>.log_model(…) in it; see docs/add-a-model.md",
        )
    return _register(registry, model_id, name)


def find_logged(registry: Registry, run: Run) -> list[LoggedModel]:
    """Return the models that a run logged, with all their files, oldest first."""
    outputs = run.outputs.model_outputs if run.outputs else []
    found = [registry.find_logged_model(output.model_id) for output in outputs]
    whole = [model for model in found if model and str(model.status) == READY]
    return sorted(whole, key=lambda model: int(model.creation_timestamp))


def choose(logged: list[LoggedModel]) -> str:
    """Return the id of the model that counts of those that a run logged, oldest first (pure).

    That is a search's best estimator, or the newest. Nothing if there is none.
    """
    best = [model for model in logged if model.name == BEST]
    return str((best or logged)[-1].model_id) if logged else ""


def list_remarks(registry: Registry, model: ModelFolder, run: Run, version: ModelVersion, files: Path) -> list[str]:
    """Return what the version will lack later, or may surprise, each in a line with its cure."""
    remarks = [f"warning: {gap}" for gap in mlmodel.find_gaps(files)]
    others = {each.name for each in registry.find_versions_of_run(run.info.run_id)} - {model.name}
    if others:
        there = ", ".join(sorted(others))
        what = f"{model.script} registered {there}; by model.toml it is {model.name} {version.version}, too"
        remarks.append(f'note: {what}: registered_model_name="{model.name}" in {model.script} registers it once')
    if len(logged := find_logged(registry, run)) > 1:
        counts = next((each.name for each in logged if each.model_id == _find_model_id(version)), "the registered one")
        names = ", ".join(each.name for each in logged)
        remarks.append(f"note: the run logged {len(logged)} models ({names}); {counts} counts; log one to choose it")
    return remarks + _judge_metric(model, run.data.metrics)


def _judge_metric(model: ModelFolder, metrics: dict[str, float]) -> list[str]:
    if model.metric not in metrics:
        there = ", ".join(sorted(name for name in metrics if not name.startswith("fold_"))) or "none"
        words = f"model.toml names the metric {model.metric!r}, which {model.script} did not log; it logged: {there}"
        return [f"warning: {words}"]
    if not math.isfinite(metrics[model.metric]):
        words = f"{model.metric} is {metrics[model.metric]}, which the gate refuses"
        return [f"warning: {words}: look for NaN in what {model.script} measures"]
    return []


def _find_model_id(version: ModelVersion) -> str:
    found = re.fullmatch(r"models:/(m-\w+)", version.source or "")
    return str(version.model_id or (found[1] if found else ""))


def _register(registry: Registry, model_id: str, name: str) -> ModelVersion:
    """Register a logged model, in the words of mlflow.register_model."""
    if registry.create_model(name):
        print(f"Successfully registered model {name!r}.", file=sys.stderr)
    else:
        print(f"Registered model {name!r} already exists. Creating a new version of this model...", file=sys.stderr)
    version = registry.create_version(name, model_id)
    print(f"Created version '{version.version}' of model {version.name!r}.", file=sys.stderr, flush=True)
    return version
