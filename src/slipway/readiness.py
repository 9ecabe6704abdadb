"""Waiting for what was applied to a cluster: until it is ready, or it is seen that it will never be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from slipway import attempts, rollout
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from slipway.kubectl import Cluster

RESTARTS = 3  # of a container that will not do better


def wait(cluster: Cluster, what: str, patience: int) -> None:
    """Wait until a Deployment or StatefulSet, such as deployment/mlflow, is rolled out; its pods are those named as it is.

    Raises SlipwayError, with the reason, after `patience` s or when there is no hope.
    """
    deadline = time.monotonic() + patience
    name = what.split("/")[1]
    answer = cluster.ask("rollout", "status", what, "--watch=false")
    if answer.code == 0 and "successfully rolled out" not in answer.out and "complete" not in answer.out:
        print(f"waiting for {what}", flush=True)
    while True:
        answer = cluster.ask("rollout", "status", what, "--timeout", f"{rollout.GLANCE}s")
        if answer.code == 0:
            return
        trouble = _find_trouble(cluster, name)
        if trouble or time.monotonic() > deadline:
            labels = f"app.kubernetes.io/name={name}"
            waits = [attempts.describe_wait(pod) for pod in cluster.list("pods", labels)]
            why = trouble or "; ".join(filter(None, waits)) or answer.last
            raise SlipwayError(f"{what} does not come up: {why}", " ".join(cluster.command("describe", "pods", "--selector", labels)))


def _find_trouble(cluster: Cluster, name: str) -> str:
    """Return why a pod will never be ready, or "" while there is hope."""
    for pod in cluster.list("pods", f"app.kubernetes.io/name={name}"):
        for status in pod.get("status", {}).get("containerStatuses", []):
            waiting = status.get("state", {}).get("waiting", {})
            if waiting.get("reason") in rollout.HOPELESS - {"CrashLoopBackOff"}:
                return f"{waiting['reason']}: {waiting.get('message', '')}"
            if status["restartCount"] >= RESTARTS:
                answer = cluster.ask("logs", pod["metadata"]["name"], "--previous", "--tail", "10")
                last = "\n    ".join(answer.out.splitlines()) if answer.code == 0 else "its log is gone"
                return f"it was restarted {status['restartCount']} times; its last words:\n    {last}"
    return ""
