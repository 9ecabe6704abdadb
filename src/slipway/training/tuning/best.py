"""The best trial's version: trained once with its values by the ordinary way, and registered once."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway import hints
from slipway.errors import SlipwayError
from slipway.registry.client import Registry
from slipway.runtimes import locks
from slipway.training import sessions, train
from slipway.training.tuning import space
from slipway.training.tuning.record import STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.model_folder import ModelFolder
    from slipway.settings import Settings
    from slipway.training.tuning.site import Site
    from slipway.training.tuning.study import Search


def ensure(site: Site, model: ModelFolder, search: Search) -> None:
    """Train and register the best trial, unless that is done; go on where an earlier call was cut off.

    Its run bears a session that is made of study and trial, by which a later call finds it. Raises SlipwayError when
    no trial has the metric.
    """
    key, best = search.key, search.best
    if best is None:
        raise SlipwayError(f"none of the {len(search.finished)} trials has a {model.metric}")
    print(f"best     {model.metric} {best.value:.5g}: {space.say(best.params)}, of trial {best.number}", flush=True)
    session = f"{key}-{best.number}"
    with site.reached() as here:
        registry = Registry.connect(here)
        found = registry.find_versions(model.name, f"tags.`{STUDY_TAG}` = '{key}'")
        before = registry.find_runs(f"tags.`{sessions.TAG}` = '{session}'")
    if there := [number for number, each in found.items() if each.tags.get(TRIAL_TAG) == str(best.number)]:
        uri = f"models:/{model.name}/{there[0]}"
        print(f"trial {best.number} is registered already: {uri}")
        hints.say_next(site.suggest(uri))
        return
    hints.remember(WORKERS="")  # it was how many trials at a time, not what serves the version
    training = site.settings.training
    words = shlex.join([*shlex.split(training.args), *space.write(best.params)])
    given = replace(training, args=words)
    finished = [run for run in before if run.info.status == "FINISHED" and run.outputs and run.outputs.model_outputs]
    if finished and not site.is_training(model, session):
        with site.reached() as here:
            version = _conclude(replace(here, training=given), model, session, finished[0])
    else:
        version = site.train(given, model, session, began_again=bool(before))
    with site.reached() as here:
        registry = Registry.connect(here)
        for tag, text in ((TRIAL_TAG, str(best.number)), (STUDY_TAG, key)):
            registry.tag_version(version.name, version.version, tag, text)


def _conclude(settings: Settings, model: ModelFolder, session: str, run: Run) -> ModelVersion:
    seconds = ((run.info.end_time or 0) - run.info.start_time) / 1000
    return train.conclude(settings, model, session, locks.of_folder(settings, model), seconds)[1]
