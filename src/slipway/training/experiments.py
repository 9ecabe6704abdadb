"""The experiment that a script logs to: made where the embedded store keeps artifacts, and there at all."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import requests

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.registry import connection
from slipway.registry.client import Registry

if TYPE_CHECKING:
    from slipway.settings import Settings

DELETED = "deleted"  # the stage of a deleted experiment, as MLflow calls it


def ensure(settings: Settings, name: str) -> None:
    """Make sure that a script can log to an experiment.

    That of the embedded store gets its place for artifacts, which would else be the folder of the script that makes it.
    Whether it is there is asked of sqlite, or by HTTP: MLflow takes a second to import, before a training can begin.

    Raises SlipwayError for one that was deleted, where MLflow's client would end with a traceback.
    """
    file = connection.find_embedded_file(settings)
    number, stage = _look_up(settings, name)
    if stage == DELETED:
        restore = f".venv/bin/mlflow experiments restore --experiment-id {number}"
        raise SlipwayError(
            f"the experiment {name!r} was deleted; MLflow accepts no runs for it",
            f"MLFLOW_TRACKING_URI={shlex.quote(settings.tracking_uri)} {restore}",
        )
    if file and not number:
        registry = Registry.connect(settings)
        if registry.find_experiment(name) is None:
            registry.create_experiment(name, (file.parent / "artifacts").as_uri())


def print_variables(settings: Settings) -> None:
    """Print, for a shell's eval, what has a notebook or any script log to the folder's experiment.

    The experiment is made, so that its artifacts lie where backups see them. Raises SlipwayError when nothing answers.
    """
    model = model_folder.load(settings.model_dir)
    connection.check_reachable(settings)
    ensure(settings, model.name)
    variables = {"MLFLOW_TRACKING_URI": settings.tracking_uri, "MLFLOW_EXPERIMENT_NAME": model.name}
    variables |= {"MLFLOW_DISABLE_TELEMETRY": "true"}
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))


def _look_up(settings: Settings, name: str) -> tuple[str, str]:
    """Return number and stage of an experiment, or nothing where there is none or it is not known."""
    file = connection.find_embedded_file(settings)
    if file:
        if not file.exists():
            return "", ""
        with closing(sqlite3.connect(file)) as database:
            found = database.execute(
                "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?", [name]
            ).fetchone()
        return (str(found[0]), str(found[1])) if found else ("", "")
    if not settings.tracking_uri.startswith("http"):
        return "", ""
    try:
        asked = f"{settings.tracking_uri}/api/2.0/mlflow/experiments/get-by-name"
        answer = requests.get(asked, params={"experiment_name": name}, timeout=settings.serving.request_timeout)
        experiment = answer.json()["experiment"] if answer.ok else {}
    except (requests.RequestException, ValueError, KeyError):  # a server that does not answer is met by the script
        return "", ""
    return str(experiment.get("experiment_id", "")), str(experiment.get("lifecycle_stage", ""))
