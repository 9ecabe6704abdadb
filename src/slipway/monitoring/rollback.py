"""When a champion that turned bad is rolled back by itself: the table `rollback` of model.toml. `judge` is pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.monitoring import realised, truth
from slipway.monitoring.prediction_log import PredictionLog

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.monitoring.realised import Realised

KNOWN = ("rmse", "mae", "mse", "r2", "accuracy", "f1_macro", "balanced_accuracy")
CURE = '[rollback] in model.toml, such as metric = "rmse", margin = 5.0, rows = 200, window_hours = 24'
COLUMNS = ["_time", "_id", "_row", "_error", "_sampled", realised.PREDICTION]


@dataclass(frozen=True)
class Rule:
    """Roll back when the realised `metric` of the champion is worse than its predecessor's by more than `margin`.

    Both on at least `rows` rows with truth: the champion's since it is one, the predecessor's in the window before
    that. Never more than once in `window_hours`.
    """

    metric: str
    margin: float
    rows: int = 200
    window_hours: float = 24.0

    @property
    def window(self) -> dt.timedelta:
        """The window as a duration."""
        return dt.timedelta(hours=self.window_hours)


def read_rule(folder: ModelFolder) -> Rule | None:
    """Return the folder's rule, None without the table; raise SlipwayError for one that cannot be used."""
    given, file = model_folder.read_table(folder.path, "rollback"), folder.path / "model.toml"
    if given == {}:
        return None
    return _read(file, given)


def _read(file: Path, given: object) -> Rule:
    names = {"metric", "margin", "rows", "window_hours"}
    if not isinstance(given, dict) or given.keys() - names:
        raise SlipwayError(f"{file}: rollback takes {', '.join(sorted(names))}", CURE)
    if given.get("metric") not in KNOWN:
        words = f"{file}: rollback.metric is {given.get('metric')!r}; must be one of {', '.join(KNOWN)}"
        raise SlipwayError(words, CURE)
    for name in ("margin", "rows", "window_hours"):
        value = given.get(name, 1)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if (name == "margin" and name not in given) or not is_number or value < 0 or (name != "margin" and value <= 0):
            raise SlipwayError(f"{file}: rollback.{name} is {given.get(name)!r}; must be a number, not negative", CURE)
    return Rule(**given)


def judge(rule: Rule, champion: tuple[int, Realised], before: tuple[int, Realised]) -> str:
    """Return why the champion is to be rolled back to the version before it, or "" (pure)."""
    (number, own), (other, its) = champion, before
    if min(own.known, its.known) < rule.rows or rule.metric not in own.metrics or rule.metric not in its.metrics:
        return ""
    value, was = own.metrics[rule.metric], its.metrics[rule.metric]
    if realised.is_better(rule.metric)(value, was) or abs(value - was) <= rule.margin:
        return ""
    return (
        f"realised {rule.metric} of version {number} is {value:.5g} on {own.known} rows, "
        f"of version {other} it was {was:.5g} on {its.known}; the margin is {rule.margin:g}"
    )


def measure(root: str, model: str, version: int, since: dt.datetime, until: dt.datetime) -> Realised:
    """Return the realised metrics of a version in [since, until), by the log and the truth below `root`."""
    rows = PredictionLog(root).read(model, str(version), since, until, COLUMNS)
    if rows.empty:
        return realised.Realised(0, 0)
    rows = rows[rows["_error"].isna()]
    return realised.measure(realised.join(rows, truth.Store(root, model).read(set(rows["_id"]))))
