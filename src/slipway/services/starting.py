"""Waiting for a service that starts: as long as its container runs, until it answers or SERVICES_TIMEOUT is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from slipway import shell
from slipway.bootstrap import docker_cli
from slipway.errors import SlipwayError
from slipway.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.settings import Settings

SAY = 15  # s between two lines that say that it is still starting


def wait(settings: Settings, service: str, answers: Callable[[], bool], explain: Callable[[], SlipwayError]) -> None:
    """Wait until a service answers, regardless of the engine's health status.

    On a slow machine a service that answers may count as unhealthy.

    Raises SlipwayError when it does not: what `explain` returns when its container ends, else that this is a time-out.
    """
    started = said = time.monotonic()
    before = _read(settings, service)[1]

    def is_up() -> bool:
        nonlocal said
        if answers():
            return True
        status, restarts = _read(settings, service)
        if status != "running" or restarts > before:
            raise explain()
        if (now := time.monotonic()) - said > SAY:
            print(f"{service} is still starting after {now - started:.0f} s", flush=True)
            said = now
        return False

    if not poll(is_up, settings.services.timeout, 0.3):
        raise SlipwayError(
            f"{service} is still starting after {settings.services.timeout} s: a time-out, not a failure; it continues",
            "the same command again, which continues to wait; "
            f"or SERVICES_TIMEOUT={2 * settings.services.timeout} with it; make logs",
        )


def _read(settings: Settings, service: str) -> tuple[str, int]:
    """Return the state of a service's container, and how often it was begun again."""
    answer = shell.ask(docker_cli.name_state(f"{settings.services.project}-{service}-1"))
    status, _, restarts = answer.out.partition(" ")
    return (status, int(restarts)) if answer.code == 0 and restarts.isdigit() else ("gone", 0)
