"""What is said of a Deployment that does not come up, from what the cluster says of it."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.kubernetes.pods import diagnosis

VERSION = {"io.slipway/version": "4"}
QUOTA = (
    'pods "diabetes-model-5d-x" is forbidden: exceeded quota: small, '
    "requested: memory=1Gi, used: memory=1Gi, limited: memory=1Gi"
)


def make_pod(
    waiting: dict[str, Any] | None = None, ended: dict[str, Any] | None = None, **metadata: object
) -> dict[str, Any]:
    """Return a pod of version 4 whose one container waits, or has ended before."""
    status = {
        "name": "model",
        "state": {"waiting": waiting} if waiting else {},
        "lastState": {"terminated": ended} if ended else {},
    }
    container = {"name": "model", "resources": {"limits": {"memory": "1Gi"}}}
    described = {"name": "diabetes-model-1", "annotations": VERSION} | metadata
    return {"metadata": described, "spec": {"containers": [container]}, "status": {"containerStatuses": [status]}}


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}], QUOTA),
        ([{"type": "ReplicaFailure", "status": "False", "message": QUOTA}], ""),
        ([{"type": "Progressing", "status": "True", "message": "ReplicaSet is progressing"}], ""),
        ([], ""),
    ],
    ids=["a quota", "not any more", "it progresses", "nothing yet"],
)
def test_a_refusal_is_read(conditions: list[dict[str, str]], words: str) -> None:
    """Why the cluster makes no pod stands at the Deployment, whoever refuses it."""
    found = diagnosis.find_refusal({"status": {"conditions": conditions}})

    assert found.endswith(words)
    assert bool(found) == bool(words)


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (
            make_pod(ended={"exitCode": 137, "reason": "OOMKilled"}),
            "OOMKilled: it needs more memory than its limit, 1Gi",
        ),
        (make_pod(ended={"exitCode": 9, "reason": "Error"}), "it ended with exit code 9"),
        (
            make_pod(waiting={"reason": "ImagePullBackOff", "message": "no such image"}),
            "ImagePullBackOff: no such image",
        ),
        (make_pod(waiting={"reason": "ContainerCreating"}), ""),
        (make_pod(ended={"exitCode": 9}, annotations={"io.slipway/version": "3"}), ""),
        (make_pod(ended={"exitCode": 9}, deletionTimestamp="2026-01-01T00:00:00Z"), ""),
        (make_pod(), ""),
    ],
    ids=[
        "out of memory",
        "an exit code",
        "no image",
        "it is made",
        "of another version",
        "it is taken away",
        "it runs",
    ],
)
def test_trouble_is_named(pod: dict[str, Any], why: str) -> None:
    """A pod that will never be ready is known by how its container ended, or by what that waits for."""
    found = diagnosis.find_trouble([pod], "4")

    assert found == (("diabetes-model-1", why) if why else None)
