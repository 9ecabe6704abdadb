"""The figures over HTTP: for the page as JSON, for Prometheus as text.

Both are read without a token, as all that the deployer shows.
"""

from __future__ import annotations

import ipaddress
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware

from slipway.deployer.figures import exposition
from slipway.deployer.figures.exposition import Family

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from slipway.deployer.figures.records import Found, Records
    from slipway.deployer.figures.sampler import Sampler

METRICS = "/metrics"
KINDS = ("drift.", "prediction_drift.")
router = APIRouter()


class Hosts(TrustedHostMiddleware):
    """Refuses other names than ours, but a number at /metrics.

    Prometheus calls a pod by its number; a page of somebody else comes by a name.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"] == METRICS and is_number(Headers(scope=scope).get("host", "")):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def is_number(host: str) -> bool:
    """Whether a Host header holds an IP address, with or without a port (pure)."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _sampler(request: Request) -> Sampler:
    sampler: Sampler = request.app.state.deployer.sampler
    return sampler


def _records(request: Request) -> Records:
    records: Records = request.app.state.deployer.records
    return records


@router.get("/figures")
def show_figures(request: Request) -> dict[str, Any]:
    """Show eight figures of what each target serves, of the last hour and day, and each version's last monitoring."""
    monitored = [_clean(asdict(each)) for each in _records(request).found.monitored]
    return {"targets": _sampler(request).show(), "monitored": monitored}


@router.get(METRICS, response_class=Response)
def show_metrics(request: Request) -> Response:
    """Show the deployer's metrics in Prometheus's text format."""
    deployer = request.app.state.deployer
    families = describe(deployer.model.name, deployer.store.count(), _records(request).found, time.time())
    limit = Family("slipway_model_latency_limit_seconds", "gauge", "latency_ms of the gate in model.toml", ("model",))
    if deployer.model.rules.latency_ms is not None:
        limit.add(deployer.model.rules.latency_ms / 1000, deployer.model.name)
    families.append(limit)
    return Response(exposition.write(families), media_type=exposition.TYPE)


def describe(model: str, deployments: dict[tuple[str, str], int], found: Found, now: float) -> list[Family]:
    """Return the deployer's metrics (pure): `deployments` are counts by model and outcome."""
    outcomes = Family(
        "slipway_deployer_deployments_total", "counter", "Deployments by their outcome", ("model", "outcome")
    )
    for key, count in sorted(deployments.items()):
        outcomes.add(count, *key)
    return [outcomes, *_of_monitorings(model, found), *_of_trainings(found), *_of_the_disk(found, now)]


def _of_monitorings(model: str, found: Found) -> list[Family]:
    labels = ("model", "version")
    drifted = Family(
        "slipway_monitor_drifted_columns", "gauge", "Columns that drifted, in the last monitoring of a version", labels
    )
    drift = Family("slipway_monitor_drift", "gauge", "PSI of a column or of the prediction", (*labels, "column"))
    realised = Family("slipway_monitor_realised", "gauge", "A metric by the truth so far", (*labels, "metric"))
    rows = Family("slipway_monitor_rows", "gauge", "Rows of the last monitored window", labels)
    ended = Family("slipway_monitor_timestamp_seconds", "gauge", "When a version was last monitored", labels)
    for each in found.monitored:
        key = (model, each.version)
        ended.add(each.at / 1000, *key)
        for family, name in ((drifted, "drifted_columns"), (rows, "rows")):
            if name in each.metrics:
                family.add(each.metrics[name], *key)
        columns = {**each.pick(KINDS[1]), **each.pick(KINDS[0])}  # an input of the prediction's name comes first
        for column, value in columns.items():
            drift.add(value, *key, column)
        for metric, value in each.pick("realised.").items():
            realised.add(value, *key, metric)
    return [drifted, drift, realised, rows, ended]


def _of_trainings(found: Found) -> list[Family]:
    runs = Family(
        "slipway_training_runs", "gauge", "Of an experiment's newest runs, by their status", ("experiment", "status")
    )
    last = Family("slipway_training_last_duration_seconds", "gauge", "What the last finished run took", ("experiment",))
    for key, count in sorted(found.trainings.items()):
        runs.add(count, *key)
    for experiment, seconds in sorted(found.durations.items()):
        last.add(seconds, experiment)
    return [runs, last]


def _of_the_disk(found: Found, now: float) -> list[Family]:
    age = Family("slipway_backup_age_seconds", "gauge", "Since the newest archive in BACKUP_DIR was written")
    free = Family("slipway_disk_free_bytes", "gauge", "Free on the disk of the artifacts")
    size = Family("slipway_disk_size_bytes", "gauge", "Size of the disk of the artifacts")
    if found.backup_at is not None:
        age.add(max(0.0, now - found.backup_at))
    if found.disk:
        free.add(found.disk[0])
        size.add(found.disk[1])
    return [age, free, size]


def _clean(found: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: value if math.isfinite(value) else None for name, value in found["metrics"].items()}
    return found | {"metrics": metrics}
