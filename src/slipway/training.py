"""Training: run the model folder's script against the tracking server, then see to its version in the registry."""

from __future__ import annotations

import getpass
import importlib
import json
import shlex
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from slipway import folder, image, models, registry, report, shell
from slipway.errors import SlipwayError
from slipway.settings import ROOT, STATE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings

SESSION_TAG = "slipway.training"  # finds the run of one training, whatever experiment its script chose
CODE_TAG = "slipway.code"  # what the version was trained from
KEPT = STATE / "kept"  # models that MLflow did not take


def train(settings: Settings, kept: str = "") -> ModelVersion:
    """Run `train.py`, register what it logged, print a table of it, and return the version.

    With `kept`, the script logs that file, left by a training that lost its server. Raises SlipwayError when the script fails.
    """
    model = folder.load(settings.model_dir)
    registry.check_reachable(settings)
    threading.Thread(target=importlib.import_module, args=("mlflow",), daemon=True).start()  # a second, while the script runs
    session = uuid.uuid4().hex
    arguments = shlex.split(settings.train_args)
    if kept:
        arguments += ["--kept", str(_kept_file(kept))]
    context = {SESSION_TAG: session, **_source(settings, model)}
    variables = {"MLFLOW_EXPERIMENT_NAME": model.name, "MLFLOW_RUN_CONTEXT": json.dumps(context), "LOGNAME": _user()}
    variables["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it is the container's address; ours follows
    files_before = set(KEPT.glob("*"))
    KEPT.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        code = _run_script(settings, model, arguments, variables)
    except KeyboardInterrupt:
        _end_run(settings, session)
        raise
    seconds = time.monotonic() - started
    if code != 0:
        _explain(settings, code, sorted(set(KEPT.glob("*")) - files_before))
    client = registry.connect(settings)
    with registry.translated_errors():
        run = _find_run(client, session, kept)
        version = _register(client, run, model.name, context)
        _write_request(settings, client, version)
        report.show(model, client, run, version)
    print(f"trained and logged in {seconds:.1f} s, from {version.description}")
    if settings.tracking_uri.startswith("http"):
        print(f"see   {settings.tracking_uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}")
    print(f"next  {settings.make} serve_model MODEL=models:/{version.name}/{version.version}")
    if kept:
        _kept_file(kept).unlink()
    return version


def code_digest(settings: Settings, model: folder.ModelFolder) -> str:
    """Return what identifies a training: the folder's code, the locked libraries, the arguments."""
    code = [path for path in sorted(model.path.iterdir()) if path.suffix in {".py", ".toml"}]
    return folder.digest([*code, ROOT / "requirements" / "training.txt"], settings.train_args)[:12]


def _run_script(settings: Settings, model: folder.ModelFolder, arguments: list[str], variables: dict[str, str]) -> int:
    if settings.in_docker:
        command = image.training_command(settings, model, ["python", "train.py", *arguments], variables, KEPT)
        return shell.wait(shell.start(command))
    registry.make_experiment(settings, model.name)
    variables |= {"MLFLOW_TRACKING_URI": settings.tracking_uri, "KEPT_DIR": str(KEPT)}
    return shell.wait(shell.start([sys.executable, "train.py", *arguments], env=variables, cwd=model.path))


def _source(settings: Settings, model: folder.ModelFolder) -> dict[str, str]:
    """Say where the version comes from, as MLflow's own tags where it has them."""
    commit = shell.ask(["git", "-C", str(ROOT), "rev-parse", "HEAD"])
    changed = [str(model.path), "requirements", "src/scoring", ":!*/request.json"]
    dirty = shell.ask(["git", "-C", str(ROOT), "status", "--porcelain", "--", *changed])
    source = {"mlflow.source.name": f"{model.path.relative_to(ROOT) if model.path.is_relative_to(ROOT) else model.path}/train.py"}
    if commit[0] == 0:
        source |= {"mlflow.source.git.commit": commit[1], "mlflow.source.git.dirty": str(bool(dirty[1])).lower()}
    return source | {
        CODE_TAG: code_digest(settings, model),
        "slipway.image": image.training_tag(model) if settings.in_docker else "none (host)",
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as in many a container
        return "unknown"


def _end_run(settings: Settings, session: str) -> None:
    """Mark the run of an interrupted training, so that it does not look as if it still ran."""
    client = registry.connect(settings)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(experiments, f"tags.`{SESSION_TAG}` = '{session}' and attributes.status = 'RUNNING'"):
        client.set_terminated(run.info.run_id, "KILLED")


def _explain(settings: Settings, code: int, kept: list[Path]) -> NoReturn:
    if not kept:
        raise SlipwayError(f"train.py ended with exit code {code}; its own words are above")
    again = f"make train_model KEPT={kept[0].relative_to(ROOT)}"
    try:
        registry.check_reachable(settings)
    except SlipwayError as error:
        words = "the tracking server went away and did not come back; the trained model is kept, nothing is lost"
        raise SlipwayError(words, f"{error.cure}, then {again}") from None
    raise SlipwayError("MLflow did not take the trained model, for the reason above; the model is kept", f"mend train.py, then {again}")


def _kept_file(kept: str) -> Path:
    file = (ROOT / kept).resolve()
    if not file.is_file() or file.parent != KEPT:
        there = ", ".join(str(path.relative_to(ROOT)) for path in KEPT.glob("*")) or "none"
        raise SlipwayError(f"no kept model {kept}; there is: {there}")
    return file


def _find_run(client: MlflowClient, session: str, kept: str) -> Run:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`{SESSION_TAG}` = '{session}'", max_results=1)
    if kept and not runs:
        return client.get_run(Path(kept).stem.rsplit("-", 1)[-1])
    if not runs:
        raise SlipwayError("train.py ended well but logged no run", "call mlflow.start_run() in it; see model/README.md")
    return runs[0]


def _register(client: MlflowClient, run: Run, name: str, context: dict[str, str]) -> ModelVersion:
    """Find the version that the script registered, or register the model it logged; say where it came from."""
    versions = registry.find_versions_of_run(client, run.info.run_id)
    if versions:
        version = versions[0]
    elif run.outputs and run.outputs.model_outputs:
        import mlflow  # noqa: PLC0415 -- see registry.connect

        version = mlflow.register_model(f"models:/{run.outputs.model_outputs[-1].model_id}", name)
    else:
        raise SlipwayError("train.py ended well but logged no model", "call mlflow.<flavour>.log_model(…) in it; see model/README.md")
    data = [dataset.dataset for dataset in run.inputs.dataset_inputs] if run.inputs else []
    tags = {key: value for key, value in context.items() if key != SESSION_TAG} | {"data.digest": data[0].digest if data else "unknown"}
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, value)
    commit = context.get("mlflow.source.git.commit", "no commit")[:10] + (
        " and changes" if context.get("mlflow.source.git.dirty") == "true" else ""
    )
    text = f"{context['mlflow.source.name']} at {commit}, by {_user()}; run {run.info.run_name}"
    return client.update_model_version(version.name, version.version, text)


def _write_request(settings: Settings, client: MlflowClient, version: ModelVersion) -> None:
    """Keep the model's input example as `request.json`, the request to try first."""
    example = models.read_example(models.fetch(models.resolve(client, f"models:/{version.name}/{version.version}")))
    if example is not None:
        (settings.model_dir / "request.json").write_text(json.dumps(example) + "\n", encoding="utf-8")
