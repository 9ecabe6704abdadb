"""Where pods answer, for another pod of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

PORT = 8080  # of the model server's container: deploy/kubernetes/base/deployment.yaml


def find(pods: Iterable[dict[str, Any]]) -> list[str]:
    """Return the addresses of the pods that are ready (pure)."""
    found = []
    for pod in pods:
        status = pod.get("status", {})
        conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
        if (address := status.get("podIP")) and conditions.get("Ready") == "True":
            found.append(f"http://[{address}]:{PORT}" if ":" in address else f"http://{address}:{PORT}")
    return found
