"""The prediction log of what is served: its place, and the columns that model.toml's table `log` leaves out of it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway import model_folder, secret_file
from slipway.errors import USAGE, SlipwayError
from slipway.runtimes import containers
from slipway.settings import LOG, ROOT, STATE

if TYPE_CHECKING:
    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

INSIDE = "/predictions"  # the log's folder, as a container or a pod sees it
NAMES = {"only", "drop", "hash"}
RULES = f"{LOG}_RULES"
SECRETS = STATE / "live" / "log"  # which a deployer's container sees, too


def is_on(settings: Settings) -> bool:
    """Whether what is served has a prediction log."""
    return bool(settings.serving.scoring.get(LOG))


def without(settings: Settings) -> Settings:
    """Return settings for a server whose requests are nobody's, such as a smoke test's."""
    kept = {name: value for name, value in settings.serving.scoring.items() if not name.startswith(LOG)}
    return replace(settings, serving=replace(settings.serving, scoring=kept))


def of_model(settings: Settings, model: str | None) -> Settings:
    """Return settings in which the server's log has the model's rules, and a folder that is there.

    Raises SlipwayError for rules that cannot be read.
    """
    if not is_on(settings):
        return settings
    given = dict(settings.serving.scoring)
    if "://" not in (folder := given[f"{LOG}_DIR"]):
        Path(folder).mkdir(parents=True, exist_ok=True)
    if RULES not in given and model and (rules := read_rules(settings, model)):
        given[RULES] = str(_write(rules, model))
    return replace(settings, serving=replace(settings.serving, scoring=given))


def read_rules(settings: Settings, model: str) -> dict[str, list[str]]:
    """Return the table `log` of the model's folder: of MODEL_DIR, or of the checkout's folder with that name.

    Raises SlipwayError if the table is none of `only`, `drop` and `hash` with lists of columns.
    """
    for path in [settings.model_dir, ROOT / "model", *sorted(ROOT.glob("examples/*"))]:
        if (path / "model.toml").is_file() and model_folder.read_name(path) == model:
            return _check(path / "model.toml", model_folder.read_table(path, "log"))
    print(f"note: no model folder here is named {model}, so the prediction log has all columns", file=sys.stderr)
    return {}


def in_cluster(settings: Settings, model: str | None) -> dict[str, str]:
    """Return the server's settings for pods, with the model's rules; pure where the log is off.

    Raises SlipwayError (exit code 2) for a folder of this machine, and for rules that need a key.
    """
    given = dict(settings.serving.scoring)
    if not is_on(settings):
        return given
    if "://" not in given[f"{LOG}_DIR"]:
        words = "in a cluster, the prediction log needs a place that all pods reach"
        raise SlipwayError(words, "PREDICTION_LOG_DIR=s3://bucket/predictions with the same command", USAGE)
    rules = read_rules(settings, model) if model else {}
    if rules.get("hash"):
        words = "log.hash of model.toml needs a key, which no Deployment should show"
        raise SlipwayError(words, "drop these columns in [log] instead", USAGE)
    return given | ({RULES: json.dumps(rules)} if rules else {})


def serving_options(settings: Settings, prepared: Prepared, name: str, published: str | None) -> list[str]:
    """Return docker's options as `containers.serving_options` does, for a container that also writes the log."""
    settings = of_model(settings, prepared.model.name)
    folder, options = settings.serving.scoring.get(f"{LOG}_DIR", ""), list[str]()
    if is_on(settings) and "://" in folder:
        options = [part for cloud in containers.CLOUD for part in ("--env", cloud)]
    elif is_on(settings):
        options = [*containers.bind(Path(folder), INSIDE), "--user", containers.writing_user(Path(folder))]
        inside = settings.serving.scoring | {f"{LOG}_DIR": INSIDE}
        settings = replace(settings, serving=replace(settings.serving, scoring=inside))
    return [*containers.serving_options(settings, name, published), *options]


def _write(rules: dict[str, Any], model: str) -> Path:
    """Write rules with the key of hashes to a file that only its owner reads."""
    file = SECRETS / f"{model_folder.plain(model)}.json"
    key = secret_file.read_or_make(SECRETS / "key")
    begun = file.with_suffix(".begun")
    begun.unlink(missing_ok=True)
    begun.touch(mode=0o600)
    begun.write_text(json.dumps(rules | {"key": key}), encoding="utf-8")
    if os.getuid() == 0:
        os.chown(
            begun, containers.USER_ID, containers.USER_ID
        )  # root reads it all the same, a container's user only so
    begun.replace(file)
    return file


def _check(file: Path, given: object) -> dict[str, list[str]]:
    cure = '[log] in model.toml, with drop = ["name"], hash = ["email"] or only = ["age"]'
    if not isinstance(given, dict) or given.keys() - NAMES:
        raise SlipwayError(f"{file}: log takes only, drop and hash", cure)
    for name, columns in given.items():
        if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
            raise SlipwayError(f"{file}: log.{name} is {columns!r}; must be a list of columns", cure)
    return given
