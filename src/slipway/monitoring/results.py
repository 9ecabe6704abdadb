"""What earlier monitorings found, as their runs have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.registry.client import quote

if TYPE_CHECKING:
    from slipway.registry.client import Registry

TAG = "slipway.monitor."  # begins the tags of a monitoring's run
REALISED = "realised."  # begins the names of its metrics


def find_realised(registry: Registry, model: str, version: int) -> dict[str, float]:
    """Return the realised metrics of a version's newest monitoring that has some; {} without one, or in an outage."""
    try:
        runs = registry.find_runs(f"tags.`{TAG}model` = {quote(model)} and tags.`{TAG}version` = '{version}'")
    except SlipwayError:
        return {}
    for run in runs:
        metrics = run.data.metrics
        found = {name[len(REALISED) :]: metrics[name] for name in metrics if name.startswith(REALISED)}
        if found:
            return found
    return {}


def describe(registry: Registry, model: str, version: int | None) -> str:
    """Return a version's realised metrics in words, "" without any."""
    found = find_realised(registry, model, version) if version else {}
    values = ", ".join(f"{name} {value:.5g}" for name, value in sorted(found.items()))
    return f"realised by version {version}: {values}" if found else ""
