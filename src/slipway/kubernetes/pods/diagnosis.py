"""Why a Deployment does not come up: what the Deployment, its pods and their logs say (pure but for log and events)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.kubernetes import manifests
from slipway.kubernetes.cluster import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.kubernetes.cluster.kubectl import Cluster

Object = dict[str, Any]  # of a cluster, as its JSON has it
HOPELESS = {
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError",
}  # fmt: skip


def find_refusal(deployment: Object | None) -> str:
    """Return why the cluster makes no pods (quota, limit range, policy, admission webhook), or "" if it makes them."""
    for condition in (deployment or {}).get("status", {}).get("conditions", []):
        if (condition["type"], condition["status"]) == ("ReplicaFailure", "True"):
            return f"the cluster rejects its pods: {condition.get('message') or condition.get('reason', '')}"
    return ""


def read_refusal(cluster: Cluster, name: str) -> str:
    """Return why the cluster makes no pods for a Job or StatefulSet, of which only its events tell; or ""."""
    fields = f"involvedObject.name={name},reason=FailedCreate"
    answer = cluster.ask(
        "get", "events", "--field-selector", fields, "--sort-by", "{.lastTimestamp}", "--output", "json"
    )
    events = kubectl.parse(answer) if answer.code == 0 else []
    return f"the cluster rejects its pods: {events[-1].get('message', '')}" if events else ""


def find_unplaced(pods: Iterable[Object]) -> str:
    """Return why a pod has no node, or "" when all have one.

    A node may still come, so that is no reason to give up early.
    """
    for pod in pods:
        for condition in pod.get("status", {}).get("conditions", []):
            if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
                return f"no node can take {pod['metadata']['name']}: {condition.get('message', '')}"
    return ""


def find_newest(pods: Iterable[Object], version: str, old: set[str]) -> str:
    """Return the name of a pod of a version that was not there before, or one that was.

    "" where there is none that does not end.

    kubectl, told a Deployment alone, prefers one that has been ready for longer, though it ends.
    """
    found = [pod["metadata"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    names = [each["name"] for each in found if each.get("annotations", {}).get(f"{manifests.PREFIX}version") == version]
    return next((name for name in names if name not in old), next(iter(names), ""))


def find_trouble(pods: Iterable[Object], version: str) -> tuple[str, str] | None:
    """Return a pod of a version that will never be ready, and why; None while there is hope."""
    for pod in pods:
        of_version = pod["metadata"].get("annotations", {}).get(f"{manifests.PREFIX}version", "") == version
        if not of_version or "deletionTimestamp" in pod["metadata"]:
            continue
        for status in pod.get("status", {}).get("containerStatuses", []):
            waiting = status.get("state", {}).get("waiting", {})
            ended = status.get("lastState", {}).get("terminated") or status.get("state", {}).get("terminated") or {}
            if waiting.get("reason") in HOPELESS or ended.get("exitCode"):
                return pod["metadata"]["name"], explain_end(pod, status["name"], ended) or describe_wait(waiting)
    return None


def explain_end(pod: Object, container: str, ended: Object) -> str:
    """Return how a container ended, from `terminated` of its status; "" for one that did not."""
    if not ended:
        return ""
    if ended.get("reason") != "OOMKilled":
        return f"it ended with exit code {ended['exitCode']}"
    limits = [
        each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"] if each["name"] == container
    ]
    limit = next((found["memory"] for found in limits if "memory" in found), "")
    return f"OOMKilled: it needs more memory than {f'its limit, {limit}' if limit else 'the node has'}"


def describe_wait(waiting: Object) -> str:
    """Return what a container waits for, from `waiting` of its status."""
    return ": ".join(filter(None, [waiting.get("reason", ""), waiting.get("message", "")]))


def describe_progress(deployment: Object | None) -> str:
    """Return how far a rollout is, for people who wait."""
    status, wanted = (deployment or {}).get("status", {}), (deployment or {}).get("spec", {}).get("replicas", 0)
    updated, ready = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    return f"{updated} of {wanted} pods are new, {ready} ready, {status.get('replicas', 0)} in all"


def read_last_words(cluster: Cluster, pod: str) -> str:
    """Return the last line of a pod's log, of the container before where it was begun again; "" when there is none."""
    for which in ("--previous=true", "--previous=false"):
        answer = cluster.ask("logs", pod, which, "--tail", "3")
        if answer.code == 0 and answer.out:
            return answer.out.splitlines()[-1]
    return ""
