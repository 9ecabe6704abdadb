"""Where a version comes from: the commit, the code and the image that a script ran with, and who ran it."""

from __future__ import annotations

import getpass
import shlex
from typing import TYPE_CHECKING

from slipway import model_folder, runtimes, shell
from slipway.errors import USAGE, SlipwayError
from slipway.settings import ROOT
from slipway.training.measurements import COMMIT_TAG

if TYPE_CHECKING:
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings, Training

CODE_TAG = "slipway.code"  # what the version was trained from
ARGUMENTS_TAG = "slipway.arguments"  # that the script was run with
TAGS = ("mlflow.source.name", COMMIT_TAG, "mlflow.source.git.dirty", CODE_TAG, ARGUMENTS_TAG, "slipway.image")


def code_digest(training: Training, model: model_folder.ModelFolder) -> str:
    """Return what identifies a training: the folder's code, the locked libraries, the arguments."""
    return model_folder.digest([model.path, model.requirements / "training.txt"], training.args)[:12]


def find_arguments(training: Training, model: model_folder.ModelFolder) -> list[str]:
    """Return the arguments of the folder's script: those of its params.env, then TRAIN_ARGS, which win.

    Raises SlipwayError for what cannot be split as a shell does.
    """
    try:
        return model_folder.read_params(model.path)[0] + shlex.split(training.args)
    except ValueError as error:
        cure = "TRAIN_ARGS='--name \"two words\"'"
        raise SlipwayError(f"TRAIN_ARGS is {training.args!r}: {error}", cure, USAGE) from None


def describe(settings: Settings, model: model_folder.ModelFolder, script: str, lock: Lock) -> dict[str, str]:
    """Say where the version comes from, as MLflow's own tags where it has them."""
    folder, told, commit = model.path, [".", ":!request.json"], shell.ask_git("rev-parse", "HEAD", folder=model.path)
    if folder.is_relative_to(ROOT):  # another's repository says nothing of ours, nor ours of it
        folder, told = folder.relative_to(ROOT), [*told, f"{ROOT}/requirements", f"{ROOT}/src/scoring"]
    source = {"mlflow.source.name": f"{folder}/{script}"}
    if commit[0] == 0:
        dirty = shell.ask_git("status", "--porcelain", "--", *told, folder=model.path)
        source |= {COMMIT_TAG: commit[1], "mlflow.source.git.dirty": str(bool(dirty[1])).lower()}
    if script == model.script:  # what `make demo` finds an earlier training by
        source |= {CODE_TAG: code_digest(settings.training, model)}
        if arguments := find_arguments(settings.training, model):
            source |= {ARGUMENTS_TAG: shlex.join(arguments)}
    return source | {"slipway.image": runtimes.of(settings).name_training(model, lock)}


def write_variables(model: model_folder.ModelFolder) -> dict[str, str]:
    """Return the variables that a script of the folder gets in every runtime.

    Those of its params.env, the experiment, the user, and MLflow's output settings.
    """
    told = model_folder.read_params(model.path)[1]
    told |= {"MLFLOW_EXPERIMENT_NAME": model.name, "LOGNAME": name_user(), "PYTHONUNBUFFERED": "1"}
    told |= {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}
    return told | {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


def name_user() -> str:
    """Return the name of who runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in many a container
        return "unknown"
