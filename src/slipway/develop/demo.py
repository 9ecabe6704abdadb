"""The whole way on one machine without Docker: train, register, promote, serve, test."""

from __future__ import annotations

import dataclasses
import shlex
import time
from typing import TYPE_CHECKING

from slipway import hints, model_folder, ports, shell
from slipway.errors import SlipwayError
from slipway.registry.client import CHAMPION, Registry
from slipway.release import promote
from slipway.serving import api_test, server
from slipway.settings import BUILD
from slipway.training import provenance, train

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from slipway.settings import Settings


def run(settings: Settings) -> None:
    """Take the model folder all the way to tested answers; what an earlier run made is used again.

    Raises SlipwayError where a step fails; whatever was started is stopped in any case.
    """
    started = time.monotonic()
    embedded = (
        settings.tracking.external_uri if settings.tracking.external_uri.startswith("sqlite:") else ""
    )  # never another's server
    to_here = "" if settings.tracking.external_uri == embedded else "MLFLOW_TRACKING_URI= "
    settings = dataclasses.replace(
        settings,
        runtime="host",
        serving=dataclasses.replace(settings.serving, url=""),
        tracking=dataclasses.replace(settings.tracking, external_uri=embedded),
    )
    hints.remember(RUNTIME="host", MLFLOW_TRACKING_URI=embedded)
    model = model_folder.load(settings.model_dir)
    registry = Registry.connect(settings)
    version = registry.find_by_tag(model.name, provenance.CODE_TAG, provenance.code_digest(settings.training, model))
    if version is None:
        _say("train and register")
        version = train.train(settings)
    else:
        _say(f"already trained from this code: {model.name} version {version.version}")
    _promote(settings, version)

    if not ports.is_free(settings.serving.port):
        settings = dataclasses.replace(settings, serving=dataclasses.replace(settings.serving, port=ports.find_free()))
        hints.remember(PORT=str(settings.serving.port))
    uri = f"models:/{model.name}@{CHAMPION}"
    _say(f"serve {uri} at {settings.serving.api_url}")
    prepared = server.prepare(settings, uri)
    log = BUILD / "demo-server.log"
    log.parent.mkdir(exist_ok=True)
    with shell.running(server.start(settings, prepared, log), log) as process:
        _say("test it: rows of the data, its predictions, the true values")
        api_test.examine(settings, prepared, lambda: process.poll() is None)
    print(f"\ndone in {time.monotonic() - started:.1f} s; the server is stopped, the model stays in .slipway/")
    hints.say_next(f"{to_here}make serve_model MODEL={shlex.quote(uri)}")
    print(
        f"      edit {model.path.name}/{model.script}, then {hints.complete('make demo')} again; "
        "with Docker: make init_local"
    )


def _promote(settings: Settings, version: ModelVersion) -> None:
    champion = Registry.connect(settings).find_champion(version.name)
    if champion == int(version.version):
        return
    _say("promote: gate, smoke test, alias")
    try:
        promote.promote(settings, f"models:/{version.name}/{version.version}", force=False, why="")
    except SlipwayError as error:
        if champion is None:
            raise
        print(f"{error.message}\nversion {champion} stays @{CHAMPION}")


def _say(words: str) -> None:
    print(f"\n== {words}", flush=True)
