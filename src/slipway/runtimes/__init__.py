"""Where scripts run and models are served: containers of our images, or processes of a lock's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.runtimes.docker import Docker
from slipway.runtimes.host import Host, Pod

if TYPE_CHECKING:
    from slipway.runtimes.base import Runtime
    from slipway.settings import Settings


def of(settings: Settings) -> Runtime:
    """Return the runtime that the settings name; in a pod, that of a cluster's deployer."""
    if settings.cluster.is_inside:
        return Pod(settings)
    return Docker(settings) if settings.in_docker else Host(settings)
