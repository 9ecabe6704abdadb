"""The image registry on this machine, for clusters that pull: by compose, on 127.0.0.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from slipway import hints, shell
from slipway.bootstrap import ownership
from slipway.runtimes import containers, images
from slipway.services import mlflow, starting
from slipway.settings import STATE

if TYPE_CHECKING:
    from slipway.settings import Services, Settings


def start(settings: Settings) -> None:
    """Start it, and wait until it answers; what was pushed before is still there.

    Raises SlipwayError when its port is taken, or it does not come up.
    """
    images.check_engine()
    mlflow.check_ours(settings.services)
    runs_at = shell.ask(mlflow.compose(settings.services, "port", "registry", "5000")).out
    if runs_at != f"127.0.0.1:{settings.services.registry_port}":
        ownership.check_port(settings.services.registry_port, "REGISTRY_PORT")
    mlflow.pull(settings.images.registry, "REGISTRY_IMAGE")
    folder = STATE / "registry" / str(settings.services.registry_port)
    folder.mkdir(parents=True, exist_ok=True)
    ownership.make("network", settings.services.project, settings.services.project, "default")
    variables = {
        "REGISTRY_IMAGE": settings.images.registry,
        "REGISTRY_PORT": str(settings.services.registry_port),
        "REGISTRY_USER": containers.writing_user(folder),
        "REGISTRY_FOLDER": str(folder),
    }
    command, given = mlflow.compose_up(settings.services, "registry", variables)
    shell.run(command, env=given)
    starting.wait(settings, "registry", lambda: _answers(settings.services), lambda: mlflow.explain(settings))
    print(
        f"the registry answers at http://127.0.0.1:{settings.services.registry_port}/v2/_catalog; "
        f"its images: {folder.relative_to(STATE.parent)}"
    )
    hints.say_next(f"make deploy MODEL=… CONTEXT=… REGISTRY=127.0.0.1:{settings.services.registry_port}")


def stop(settings: Settings) -> None:
    """Stop it; its images stay."""
    images.check_engine()
    mlflow.check_ours(settings.services)
    shell.run(mlflow.compose(settings.services, "rm", "--stop", "--force", "registry"))
    print(hints.complete("stopped; the images stay, make start_registry brings them back"))


def _answers(services: Services) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{services.registry_port}/v2/", timeout=10).ok
    except requests.RequestException:
        return False
