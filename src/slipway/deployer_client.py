"""The deployer as a command sees it: whether one follows the alias that was just moved, and when the new champion answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import requests

from slipway.errors import SlipwayError
from slipway.settings import STATE

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.settings import Settings

SECONDS_TO_ANSWER = 15.0  # a request
LOOK_S = 0.2  # between two looks at a deployment
UNDER_WAY = {"pending", "running"}


def find_home(settings: Settings) -> Path:
    """Return the folder of the deployer on DEPLOYER_PORT: its token, its records, its pictures."""
    return STATE / "deployer" / str(settings.deployer_port)


def follows(settings: Settings, name: str) -> bool:
    """Whether a deployer on DEPLOYER_PORT serves a model."""
    return (_call(settings, "GET", "/status") or {}).get("model") == name


def follow_up(settings: Settings, name: str, version: int, created: int | None) -> bool:
    """Have the deployer look at the alias now, and say when the new champion answers; return False when none follows it.

    `created` is when the version was registered (ms since 1970): a deployer of another registry may know the same name and number.
    Raises SlipwayError when what was promoted does not answer in the end.
    """
    started = time.monotonic()
    status = _call(settings, "GET", "/status")
    if status is None or (status.get("model"), status.get("champion"), status.get("created")) != (name, version, created):
        return False
    asked = _call(settings, "POST", "/look")
    if asked is None:  # another checkout's, whose token we do not have
        print(f"the deployer at {_url(settings)} follows by itself, within half a minute")
        return True
    for deployment in asked.get("deployments", []):
        print(f"the deployer rolls version {version} out on {deployment['target']}: {_url(settings)}", flush=True)
        ended = _wait(settings, deployment["id"], started + settings.rollout_timeout)
        if ended["state"] in UNDER_WAY:
            words = f"after {settings.rollout_timeout} s the deployer is still at it: version {version} is {ended['state']}"
            raise SlipwayError(words, f"see {_url(settings)}; ROLLOUT_TIMEOUT={2 * settings.rollout_timeout} waits longer")
        if ended["state"] != "done":
            words = f"version {version} does not answer on {deployment['target']}: {ended['state']}, {ended['reason']}"
            raise SlipwayError(words, "make releases")
    where = ", ".join(f"{name} at {each['url']}" if each.get("url") else name for name, each in status["targets"].items())
    print(f"version {version} answers on {where}, {time.monotonic() - started:.1f} s later", flush=True)
    return True


def _wait(settings: Settings, deployment: str, deadline: float) -> dict[str, Any]:
    found: dict[str, Any] = {"state": "pending", "reason": ""}
    while time.monotonic() < deadline:
        found = _call(settings, "GET", f"/deployments/{deployment}") or found
        if found["state"] not in UNDER_WAY:
            break
        time.sleep(LOOK_S)
    return found


def _url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.deployer_port}"


def _call(settings: Settings, method: str, path: str) -> dict[str, Any] | None:
    """Return what the deployer answers, or None when none does, or does not as one."""
    token = find_home(settings) / "token"
    try:
        headers = {"Authorization": f"Bearer {token.read_text(encoding='utf-8').strip()}"} if method != "GET" else {}
        answer = requests.request(method, f"{_url(settings)}{path}", headers=headers, timeout=SECONDS_TO_ANSWER)
        found = answer.json() if answer.ok else None
    except (requests.RequestException, ValueError, OSError):
        return None
    return found if isinstance(found, dict) else None
