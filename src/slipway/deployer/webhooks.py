"""MLflow's registry events, verified.

The signature is MLflow's: "v1," and the base64 of HMAC-SHA256 of "<delivery id>.<timestamp>.<body>"
(mlflow/webhooks/delivery.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.registry.client import AliasEvent

EVENT: AliasEvent = "model_version_alias.created"
WINDOW = 300  # s that an event may be old, or ahead of our clock
MEMORY = 2 * WINDOW + 60  # s that a delivery is remembered: longer than it can be sent again


class InvalidEventError(Exception):
    """Not an event of our MLflow."""


@dataclass(frozen=True)
class AliasMoved:
    """An alias stands for a version now."""

    delivery: str
    name: str
    alias: str
    version: int


def sign(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """Return the signature of an event."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def read(secret: str, headers: Mapping[str, str], body: bytes) -> AliasMoved | None:
    """Verify an event and return it; None for one of another kind.

    Raises InvalidEventError for one without a true signature, or out of its time. Whether it came before is for the
    caller to know.
    """
    delivery, timestamp, given = (
        headers.get(f"x-mlflow-{name}", "") for name in ("delivery-id", "timestamp", "signature")
    )
    if not (delivery and timestamp and given):
        raise InvalidEventError("the event is not signed")
    if not hmac.compare_digest(sign(secret, delivery, timestamp, body).encode(), given.encode()):
        raise InvalidEventError("the signature is not from this MLflow")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > WINDOW:
        raise InvalidEventError(f"the event's time differs by more than {WINDOW} s")
    try:
        event = json.loads(body)
        if f"{event['entity']}.{event['action']}" != EVENT:
            return None
        data = event["data"]
        return AliasMoved(delivery, str(data["name"]), str(data["alias"]), int(data["version"]))
    except (ValueError, KeyError, TypeError):
        raise InvalidEventError("the event is not in MLflow's format") from None
