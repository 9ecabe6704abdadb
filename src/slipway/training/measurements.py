"""What is recorded about a version: its scores, its origin, and the gate's verdict."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.registry import model_files, model_uri
from slipway.training import gate

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef

COMMIT_TAG = "mlflow.source.git.commit"
UNKNOWN = "unknown"  # the digest of data that the run does not name


@dataclass(frozen=True)
class Measured:
    """What is on record of a model.

    Scores without those of single folds, parameters, required libraries, commit.

    `data` is the digest of the rows that it was scored on, or "" when that is not known.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    data: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    commit: str = ""


@dataclass(frozen=True)
class Weighed:
    """A verdict, and what it rests on: what was measured of the version, then of the champion."""

    verdict: gate.Verdict
    measured: dict[int, Measured]


def measure(registry: Registry, model: ModelRef) -> Measured:
    """Read what is on record of a model; of a run that was deleted, only what the model itself keeps."""
    logged = registry.find_logged_model(model.model_id) if model.model_id else None
    run = registry.find_run(model.run_id) if model.run_id else None
    version = registry.find_version(model.name, model.version) if model.name and model.version else None
    tags = version.tags if version else {}
    if run and run.info.lifecycle_stage != "active":
        run = None
    in_order = attrgetter("step", "timestamp")
    kept = sorted(logged.metrics or [], key=in_order) if logged else []
    of_run = run.data.metrics if run else {}
    own = {metric.key: metric.value for metric in kept if not _stands_for_nan(metric, of_run)}
    several = run is not None and run.outputs is not None and len(run.outputs.model_outputs) > 1
    # Of a metric logged for each round MLflow keeps the first with the model, and the last with the run
    metrics = of_run | own if several else own | of_run
    libraries = {}
    with suppress(SlipwayError, OSError):  # its files, or the list of what it needs, are gone
        text = (model_files.fetch(registry, model) / "requirements.txt").read_text(encoding="utf-8")
        libraries = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return Measured(
        metrics={name: value for name, value in metrics.items() if not name.startswith("fold_")},
        params=((logged.params or {}) if logged else {}) | (run.data.params if run else {}),
        data=_find_data(kept, run) or tags.get("data.digest", "").replace(UNKNOWN, ""),
        libraries=libraries,
        commit=tags.get(COMMIT_TAG) or (run.data.tags.get(COMMIT_TAG, "") if run else ""),
    )


def recall(registry: Registry, model: ModelFolder, version: int, champion: int | None) -> Weighed:
    """Ask the gate with what is on record, and measure nothing."""
    refs = {each: model_uri.resolve(registry, f"models:/{model.name}/{each}") for each in (version, champion) if each}
    measured = {each: measure(registry, ref) for each, ref in refs.items()}
    return Weighed(judge(model, measured, version, champion), measured)


def judge(model: ModelFolder, measured: dict[int, Measured], version: int, champion: int | None) -> gate.Verdict:
    """Return the gate's verdict on measurements.

    A metric of the training's own does not depend on the data of a validation that only one version had.
    """
    validated = model.rules.metric.startswith("validation_") or all(found.data for found in measured.values())
    evidence = {
        each: gate.Evidence(each, found.metrics, found.data if validated else "") for each, found in measured.items()
    }
    return gate.judge(model.rules, evidence[version], None if champion is None else evidence[champion])


def _stands_for_nan(metric: Metric, of_run: dict[str, float]) -> bool:
    """Whether a model's metric is the 0 that MLflow keeps there for NaN, which it keeps with the run."""
    return metric.value == 0 and math.isnan(of_run.get(metric.key, 0.0))


def _find_data(metrics: list[Metric], run: Run | None) -> str:
    """Return the digest of the data that the model was validated on last, or ""."""
    noted = [
        metric.dataset_digest for metric in metrics if metric.key.startswith("validation_") and metric.dataset_digest
    ]
    inputs = run.inputs.dataset_inputs if run and run.inputs else []
    context = ("mlflow.data.context", "validation")
    logged = [given.dataset.digest for given in inputs if context in {(tag.key, tag.value) for tag in given.tags}]
    return next(reversed(noted or logged), "")
