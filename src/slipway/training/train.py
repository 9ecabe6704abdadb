"""Training: run the model folder's script against the tracking server, then register and tag its version."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from slipway import hints, model_folder, runtimes
from slipway.errors import SlipwayError
from slipway.monitoring import references
from slipway.registry import connection, mlmodel, model_files, model_uri
from slipway.registry.client import Registry
from slipway.runtimes import locks
from slipway.runtimes.base import Script
from slipway.settings import ROOT, STATE
from slipway.training import causes, experiments, gate, provenance, sessions, summary, versions
from slipway.training.measurements import COMMIT_TAG, UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

KEPT = STATE / "kept"  # models that MLflow did not take


def train(settings: Settings, kept: str = "", session: str = "", note: Path | None = None) -> ModelVersion:
    """Run the folder's script, register what it logged, print a table of it, and return the version.

    With `kept`, the script logs that file, left by a training that lost its server. With `session` its run is found
    again, and with `note` its process, by whoever begins this again after a crash. Raises SlipwayError when the script
    fails.
    """
    model = model_folder.load(settings.model_dir)
    connection.check_reachable(settings)
    # A second, while the script runs
    threading.Thread(target=importlib.import_module, args=("mlflow",), daemon=True).start()
    arguments = provenance.find_arguments(settings.training, model)
    words = shlex.join(arguments)
    if kept:
        arguments += ["--kept", str(_kept_file(kept))]
    files_before = set(KEPT.glob("*"))
    KEPT.mkdir(parents=True, exist_ok=True)
    print(f"training {model.name} with {model.path.name}/{model.script} {words}".rstrip(), flush=True)
    for remark in causes.foresee(model):
        print(remark, file=sys.stderr, flush=True)
    started = time.monotonic()
    script = Script([model.script, *arguments], locks.of_folder(settings, model), kept=KEPT, note=note)
    code, said, session = run_logging(settings, model, script, session)
    seconds = time.monotonic() - started
    if code != 0:
        _explain(settings, model, code, said, sorted(set(KEPT.glob("*")) - files_before))
    run, version, verdict = conclude(settings, model, session, script.lock, seconds, kept)
    if settings.tracking_uri.startswith("http"):
        print(f"see   {settings.tracking_uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
    uri = shlex.quote(f"models:/{version.name}/{version.version}")
    hints.say_next(f"make {summary.choose_next(settings, model, verdict)} MODEL={uri}")
    if kept:
        _kept_file(kept).unlink()
    return version


def conclude(  # noqa: PLR0913, PLR0917 -- what a script left behind
    settings: Settings, model: model_folder.ModelFolder, session: str, lock: Lock, seconds: float, kept: str = ""
) -> tuple[Run, ModelVersion, gate.Verdict]:
    """Register what the folder's script logged and print a table of it.

    Return run, version and the gate's verdict, wherever it was trained.
    """
    registry = Registry.connect(settings)
    run, version, files = register(settings, registry, model, model.script, session, lock, kept)
    uri = f"models:/{version.name}/{version.version}"
    references.make(settings, model, uri, run.info.run_id, lock, lambda script: run_script(settings, model, script))
    verdict = summary.show(model, registry, run, version)
    for remark in versions.list_remarks(registry, model, run, version, files):
        print(remark, file=sys.stderr, flush=True)
    print(f"trained and logged in {seconds:.1f} s, from {version.description}")
    return run, version, verdict


def run_logging(
    settings: Settings, model: model_folder.ModelFolder, script: Script, session: str = ""
) -> tuple[int, str, str]:
    """Run a script that logs one run.

    Return its exit code, what it printed last, and the session that `register` finds the run by.

    Ctrl-C marks the run, so that it does not look as if it still ran, and is raised on.
    """
    session = session or uuid.uuid4().hex
    try:
        variables = write_context(settings, model, script.command[0], script.lock, session)
        code, said = run_script(settings, model, replace(script, variables=variables))
    except KeyboardInterrupt:
        with suppress(SlipwayError):  # without a server there is no run to mark
            sessions.end_runs(settings, session)
        raise
    return code, said, session


def write_context(
    settings: Settings, model: model_folder.ModelFolder, script: str, lock: Lock, session: str
) -> dict[str, str]:
    """Return the variable that has MLflow tag a script's run: the session, and where its version comes from."""
    tags = {sessions.TAG: session, **provenance.describe(settings, model, script, lock)}
    return {"MLFLOW_RUN_CONTEXT": json.dumps(tags)}


def run_script(settings: Settings, model: model_folder.ModelFolder, script: Script) -> tuple[int, str]:
    """Run a script of the model folder in a container of the training image, or as a process.

    The folder's variables are added to the script's own. Return its exit code, and what it printed last.
    """
    experiments.ensure(settings, model.name)
    given = replace(script, variables={**provenance.write_variables(model), **script.variables})
    return runtimes.of(settings).run_script(model, given)


def register(  # noqa: PLR0913, PLR0917 -- what a script left behind
    settings: Settings,
    registry: Registry,
    model: model_folder.ModelFolder,
    script: str,
    session: str,
    lock: Lock,
    kept: str = "",
) -> tuple[Run, ModelVersion, Path]:
    """Register and tag the version of a run that a script logged, by any command; give it the lock.

    Return run, version and the version's files on this machine.

    Raises SlipwayError when the script logged no run or no model.
    """
    run = sessions.find_run(registry, script, session, kept)
    version = _register(registry, run, model.name, script)
    registered = model_uri.resolve(registry, f"models:/{version.name}/{version.version}")
    files = model_files.fetch(registry, registered)
    locks.give(settings, registry, registered, files, lock)
    example = mlmodel.read_example(files)
    if example is not None:  # the request to try first
        (model.path / "request.json").write_text(json.dumps(example) + "\n", encoding="utf-8")
    return run, version, files


def _explain(settings: Settings, model: model_folder.ModelFolder, code: int, said: str, kept: list[Path]) -> NoReturn:
    """Raise SlipwayError for a script that failed, by its exit code and what it said last."""
    script = model.script
    if not kept:
        raise causes.explain(settings, model, code, said)
    again = f"make train_model KEPT={shlex.quote(str(kept[0].relative_to(ROOT)))}"
    try:
        connection.check_reachable(settings)
    except SlipwayError as error:
        words = "the tracking server went away and did not come back; the trained model is kept, nothing is lost"
        raise SlipwayError(words, f"{error.cure}, then {again}") from None
    raise SlipwayError(
        "MLflow did not accept the trained model (see the error above); the model is kept",
        f"fix {script}, then {again}",
    )


def _kept_file(kept: str) -> Path:
    file = (ROOT / kept).resolve()
    if not file.is_file() or file.parent != KEPT:
        there = ", ".join(str(path.relative_to(ROOT)) for path in KEPT.glob("*")) or "none"
        raise SlipwayError(f"no kept model {kept}; available: {there}")
    return file


def _register(registry: Registry, run: Run, name: str, script: str) -> ModelVersion:
    """Find the version that the script registered, or register the model it logged; say where it came from."""
    version = versions.ensure(registry, run, name, script)
    # Of the training, when a kept model is logged
    source = {key: value for key, value in run.data.tags.items() if key in provenance.TAGS}
    data = [dataset.dataset for dataset in run.inputs.dataset_inputs] if run.inputs else []
    for key, value in {**source, "data.digest": data[0].digest if data else UNKNOWN}.items():
        registry.tag_version(version.name, version.version, key, value)
    commit = source.get(COMMIT_TAG, "no commit")[:10]
    changes = " and changes" if source.get("mlflow.source.git.dirty") == "true" else ""
    origin = f"{source.get('mlflow.source.name', script)} at {commit}{changes}"
    text = f"{origin}, by {provenance.name_user()}; run {run.info.run_name}"
    return registry.describe_version(version.name, version.version, text)
