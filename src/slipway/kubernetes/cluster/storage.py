"""Whether a cluster can provide the requested volumes: by a default StorageClass, or existing volumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from slipway.kubernetes.cluster.kubectl import Cluster

DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)  # annotate a StorageClass
KIND = "storageclasses.storage.k8s.io"


def check_claims(cluster: Cluster, claims: list[str]) -> None:
    """Raise SlipwayError when nothing in the cluster will give a volume to claims that name no StorageClass.

    Where this user may not look, nothing is said.
    """
    new = [name for name in claims if waits(cluster.get("persistentvolumeclaim", name))]
    classes = _list(cluster, KIND) if new else None
    if classes is None or any(map(is_default, classes)):
        return
    volumes = _list(cluster, "persistentvolumes")
    waiting = [name for name in new if not any(fits(each, cluster.namespace, name) for each in volumes or [])]
    if volumes is None or not waiting:
        return
    there = ", ".join(each["metadata"]["name"] for each in classes)
    words = (
        f"the cluster {cluster.context} has no default StorageClass, so nothing gives a volume to {', '.join(waiting)}"
    )
    patch = json.dumps({"metadata": {"annotations": {DEFAULT[0]: "true"}}})
    name = classes[0]["metadata"]["name"] if classes else ""
    mark = f"kubectl patch storageclass {name} --patch '{patch}'; available: {there}"
    raise SlipwayError(
        words,
        mark if classes else "ask a cluster administrator for a StorageClass that is the default, or a volume for each",
    )


def waits(claim: dict[str, Any] | None) -> bool:
    """Whether a claim, which may not be there yet, has no volume and names no StorageClass (pure)."""
    return not claim or (
        claim.get("status", {}).get("phase") == "Pending" and not claim["spec"].get("storageClassName")
    )


def is_default(storage: dict[str, Any]) -> bool:
    """Whether a StorageClass is the default (pure)."""
    annotations = storage["metadata"].get("annotations", {})
    return any(annotations.get(name) == "true" for name in DEFAULT)


def fits(volume: dict[str, Any], namespace: str, claim: str) -> bool:
    """Whether a volume that somebody made is free for a claim without a class: kept for it, or for nobody (pure)."""
    spec = volume["spec"]
    kept = spec.get("claimRef", {})
    ours = not kept or (kept.get("namespace"), kept.get("name")) == (namespace, claim)
    return (
        ours
        and not spec.get("storageClassName")
        and volume.get("status", {}).get("phase", "Available") in {"Available", "Pending"}
    )


def _list(cluster: Cluster, kind: str) -> list[dict[str, Any]] | None:
    """Return the objects of a kind that belongs to no namespace, or None when the cluster does not say."""
    answer = cluster.ask("get", kind, "--output", "json")
    return list(json.loads(answer.out)["items"]) if answer.code == 0 else None
