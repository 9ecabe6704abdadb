"""MLflow's events: true ones are told from all others."""

import json
import time
from collections.abc import Callable

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from slipway.deployer import webhooks
from slipway.deployer.webhooks import AliasMoved, InvalidEventError
from tests.aliases import Json

SECRET = "a secret of the test's own"  # noqa: S105
MOVED = {
    "entity": "model_version_alias",
    "action": "created",
    "data": {"name": "m", "alias": "champion", "version": "4"},
}


def send(
    event: Json, *, secret: str = SECRET, age: float = 0, changed: dict[str, str] | None = None
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an event as MLflow's own code signs it."""
    body, timestamp = json.dumps(event), str(int(time.time() - age))
    signature = _generate_hmac_signature(secret, "delivery", timestamp, body)
    headers = {"x-mlflow-delivery-id": "delivery", "x-mlflow-timestamp": timestamp, "x-mlflow-signature": signature}
    return {name: value for name, value in (headers | (changed or {})).items() if value}, body.encode()


def test_mlflows_own_signature_is_true() -> None:
    """An event that MLflow's own code signed is read."""
    assert webhooks.read(SECRET, *send(MOVED)) == AliasMoved("delivery", "m", "champion", 4)


def test_another_event_is_none() -> None:
    """A true event of another kind is let pass by."""
    assert webhooks.read(SECRET, *send(MOVED | {"action": "deleted"})) is None


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (lambda: send(MOVED, secret="another"), "signature"),  # noqa: S106
        (lambda: (send(MOVED)[0], send(MOVED)[1].replace(b"4", b"5")), "signature"),
        (lambda: send(MOVED, changed={"x-mlflow-delivery-id": "another"}), "signature"),
        (lambda: send(MOVED, changed={"x-mlflow-timestamp": str(int(time.time()) + 1)}), "signature"),
        (lambda: send(MOVED, changed={"x-mlflow-signature": ""}), "not signed"),
        (lambda: send(MOVED, changed={"x-mlflow-timestamp": ""}), "not signed"),
        (lambda: send(MOVED, changed={"x-mlflow-delivery-id": ""}), "not signed"),
        (lambda: send(MOVED, changed={"x-mlflow-signature": "v1,ü"}), "signature"),
        (lambda: send(MOVED, age=webhooks.WINDOW + 3600), "differs by more than"),
        (lambda: send(MOVED, age=-webhooks.WINDOW - 3600), "differs by more than"),
        (lambda: send([1, 2]), "form"),
        (lambda: send(MOVED | {"data": {"name": "m"}}), "form"),
        (lambda: send(MOVED | {"data": {"name": "m", "alias": "a", "version": "x"}}), "form"),
    ],
    ids=[
        "another secret", "another body", "another delivery", "another time", "no signature", "no time", "no delivery",
        "not ASCII", "too old", "too new", "no event", "half an event", "no version",
    ],
)  # fmt: skip
def test_anything_else_is_refused(sent: Callable[[], tuple[dict[str, str], bytes]], why: str) -> None:
    """What MLflow did not sign, did not send just now, or what is no event is refused with its reason."""
    with pytest.raises(InvalidEventError, match=why):
        webhooks.read(SECRET, *sent())
