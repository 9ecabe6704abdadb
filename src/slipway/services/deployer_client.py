"""The deployer as a command sees it.

Whether one follows the alias that was just moved, and when the new champion answers.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import requests

from slipway.errors import SlipwayError, TimedOutError, time_out
from slipway.polling import poll
from slipway.settings import STATE

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.settings import Services, Settings

SECONDS_TO_ANSWER = 15.0  # a request, beside what the deployer itself may have to ask
LOOK_S = 0.2  # between two looks at a deployment
UNDER_WAY = {"pending", "running"}
DENIED = {401, 403, 429}  # it is not ours


def find_home(services: Services) -> Path:
    """Return the folder of the deployer on DEPLOYER_PORT: its token, its records, its pictures."""
    return STATE / "deployer" / str(services.deployer_port)


def follows(settings: Settings, name: str) -> bool:
    """Whether a deployer on DEPLOYER_PORT serves a model."""
    return (_call(settings, "GET", "/status") or {}).get("model") == name


def follow_up(settings: Settings, name: str, version: int, created: int | None) -> bool:
    """Make the deployer check the alias now, and print when the new champion answers.

    Return False when none follows it.

    `created` is when the version was registered (ms since 1970): a deployer of another registry may know the same name
    and number. Raises SlipwayError when what was promoted does not answer in the end.
    """
    started = time.monotonic()
    status = _call(settings, "GET", "/status")
    if status is None or (status.get("model"), status.get("champion"), status.get("created")) != (
        name,
        version,
        created,
    ):
        return False
    deadline = started + settings.cluster.rollout_timeout
    asked = _look(settings, deadline)
    if asked is None:  # another checkout's, whose token we do not have
        print(f"the deployer at {_url(settings.services)} notices the move within half a minute")
        return True
    for deployment in asked.get("deployments", []):
        print(
            f"the deployer is rolling out version {version} on {deployment['target']}: {_url(settings.services)}",
            flush=True,
        )
        ended = _wait(settings, deployment["id"], deadline)
        if ended["state"] in UNDER_WAY:
            late = time_out(
                f"version {version} is {ended['state']}, and was not rolled out",
                settings.cluster.rollout_timeout,
                "ROLLOUT_TIMEOUT",
            )
            raise TimedOutError(
                late.message, f"see {_url(settings.services)}: the deployer continues, and @champion has moved"
            )
        if ended["state"] != "done":
            words = f"version {version} does not answer on {deployment['target']}: {ended['state']}, {ended['reason']}"
            raise SlipwayError(words, "make releases")
    where = ", ".join(
        f"{name} at {each['url']}" if each.get("url") else name for name, each in status["targets"].items()
    )
    print(f"version {version} answers on {where}, {time.monotonic() - started:.1f} s later", flush=True)
    return True


def _look(settings: Settings, deadline: float) -> dict[str, Any] | None:
    """Make the deployer check the alias; None if it rejects our token. A failed request is repeated.

    Raises TimedOutError if it does not in time.
    """
    while True:
        answer = _send(settings, "POST", "/look")
        if answer is not None and answer.ok:
            return dict(answer.json())
        if not (find_home(settings.services) / "token").exists() or (
            answer is not None and answer.status_code in DENIED
        ):
            return None
        if time.monotonic() > deadline:
            late = time_out(
                f"the deployer at {_url(settings.services)} did not check the alias",
                settings.cluster.rollout_timeout,
                "ROLLOUT_TIMEOUT",
            )
            raise TimedOutError(
                late.message, "make logs; @champion has moved, and it checks the alias every half a minute"
            )
        time.sleep(LOOK_S)


def _wait(settings: Settings, deployment: str, deadline: float) -> dict[str, Any]:
    found: dict[str, Any] = {"state": "pending", "reason": ""}

    def has_ended() -> bool:
        found.update(_call(settings, "GET", f"/deployments/{deployment}") or {})
        return found["state"] not in UNDER_WAY

    poll(has_ended, deadline - time.monotonic(), LOOK_S)
    return found


def _url(services: Services) -> str:
    return f"http://127.0.0.1:{services.deployer_port}"


def _call(settings: Settings, method: str, path: str) -> dict[str, Any] | None:
    """Return what the deployer answers, or None when none does, or does not as one."""
    answer = _send(settings, method, path)
    with suppress(ValueError):
        found = answer.json() if answer is not None and answer.ok else None
        return found if isinstance(found, dict) else None
    return None


def _send(settings: Settings, method: str, path: str) -> requests.Response | None:
    """Send a request to the deployer, with its token unless it only reads; None when nothing answers."""
    token = find_home(settings.services) / "token"
    seconds = (
        SECONDS_TO_ANSWER + settings.serving.request_timeout
    )  # it may ask the server on PORT first, which is as long
    with suppress(requests.RequestException, OSError):
        headers = {"Authorization": f"Bearer {token.read_text(encoding='utf-8').strip()}"} if method != "GET" else {}
        return requests.request(method, f"{_url(settings.services)}{path}", headers=headers, timeout=seconds)
    return None
