"""What runs in a cluster, as people and as programs read it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from slipway.kubernetes import status
from tests.unit.running import deployment

IMAGE = "registry.example/team/diabetes@sha256:" + "0123456789abcdef" * 4


def test_the_server_is_told_from_its_neighbours() -> None:
    """Of a pod with a second container the server's image is shown, with the version, and how many pods are ready."""
    found = deployment(3)
    found["metadata"] = {"name": "diabetes-model", "labels": {"app.kubernetes.io/component": "champion"}}
    found["spec"]["template"]["spec"]["containers"] = [
        {"name": "log", "image": "log:1"},
        {"name": "model", "image": IMAGE},
    ]
    found["status"] = {
        "readyReplicas": 1,
        "conditions": [{"type": "Progressing", "lastUpdateTime": "2026-01-31T00:00:00Z"}],
    }

    row = status.read(found)

    assert (row.deployment, row.component, row.version, row.image) == ("diabetes-model", "champion", "3", IMAGE)
    assert (row.ready, row.replicas, row.last_rollout) == (1, 2, "2026-01-31T00:00:00Z")


@pytest.mark.parametrize("width", [80, status.WIDTH_OFF_TERMINAL], ids=["a terminal", "a pipe"])
def test_a_digest_is_whole(width: int) -> None:
    """No character of an image's digest is lost, however narrow the terminal is."""
    written = io.StringIO()
    status.draw(Console(file=written, width=width), [status.Row("d", "champion", "wine", "3", "0", 2, 2, IMAGE, "")])
    words = [word for line in written.getvalue().splitlines()[1:] for word in line.split()]

    assert "".join(word for word in words if len(word) > 2 and word in IMAGE) == IMAGE
