"""Wrapping: an existing artefact becomes a version in the registry, through the model folder's script."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints, model_folder, runtimes, shell
from slipway.errors import USAGE, SlipwayError
from slipway.registry import connection, mlmodel
from slipway.registry.client import Registry
from slipway.runtimes import locks
from slipway.runtimes.base import Script
from slipway.settings import BUILD, ROOT
from slipway.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings

SCRIPT = "wrap.py"
GIVEN = Path("/given")  # where a container finds the files


def wrap(settings: Settings, file: str, options: dict[str, str]) -> ModelVersion:
    """Run `wrap.py` on a file, register what it logged, and return the version.

    `options`: example (a file of rows), class, trust. Raises SlipwayError for a file that is not there, or that the
    script refuses.
    """
    model = model_folder.load(settings.model_dir)
    if not (model.path / SCRIPT).exists():
        raise SlipwayError(
            f"{model.path.name}/ has no {SCRIPT}, which would wrap the file", f"copy model/{SCRIPT} there"
        )
    given = {"": _find(file, "FILE", "make wrap_model FILE=model.joblib")}
    if "example" in options:
        given["example"] = _find(options["example"], "EXAMPLE", "a CSV file with a header, or a JSON request")
    elif (model.path / "request.json").exists():  # which no image has
        given["example"] = model.path / "request.json"
    connection.check_reachable(settings)
    print(f"wrapping {given[''].name} with {model.path.name}/{SCRIPT}", flush=True)
    lock = locks.of_folder(settings, model)
    with _placed(settings, given) as (places, mounts):
        words = {name: value for name, value in options.items() if name != "example"} | places
        flags = [part for name, value in words.items() if name for part in (f"--{name}", value)]
        code, _, session = train.run_logging(settings, model, Script([SCRIPT, words[""], *flags], lock, mounts=mounts))
    if code != 0:
        raise SlipwayError(f"{SCRIPT} ended with exit code {code}; see its output above")
    registry = Registry.connect(settings)
    run, version, files = train.register(settings, registry, model, SCRIPT, session, lock)
    uri = f"models:/{version.name}/{version.version}"
    for gap in mlmodel.find_gaps(files):
        print(f"warning: {gap}", file=sys.stderr, flush=True)
    print(f"registered {uri}, from {version.description}")
    if settings.tracking_uri.startswith("http"):
        print(f"see   {settings.tracking_uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
    hints.say_next(f"make serve_model MODEL={shlex.quote(uri)}")
    return version


def _find(file: str, variable: str, cure: str) -> Path:
    if not file.strip():
        raise SlipwayError(f"{variable} is empty: which file?", cure, USAGE)
    path = (ROOT / shell.expand(file)).resolve()
    if not path.is_file():
        raise SlipwayError(f"{variable} does not name a file: {file}", cure)
    return path


@contextmanager
def _placed(settings: Settings, given: dict[str, Path]) -> Iterator[tuple[dict[str, str], dict[Path, str]]]:
    """Return where the script finds the files, and what to mount for that.

    Copies, which the container's user can surely read.
    """
    if runtimes.of(settings).shares_files:
        yield {name: str(path) for name, path in given.items()}, {}
        return
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        places, mounts = {}, {}
        for name, path in given.items():
            copy = Path(scratch, name or "file", path.name)
            copy.parent.mkdir()
            try:
                shutil.copyfile(path, copy)
            except OSError as error:
                raise SlipwayError(f"{path} cannot be read: {error.strerror}") from None
            copy.chmod(0o644)
            places[name] = str(GIVEN / (name or "file") / path.name)
            mounts[copy] = places[name]
        yield places, mounts
