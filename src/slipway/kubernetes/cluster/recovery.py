"""Reverting a deployment.

The objects of a rendered file as they were before it was applied, and as they are made again when it fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster

Object = dict[str, Any]  # of a cluster, as its JSON has it
Key = tuple[str, str]  # kind and name: a cluster may know an object by another API group than its manifest does
UNPROVED = "io.slipway/unproved"  # on a Deployment from apply to test: the revision before it, "0" for none
REVISION = "deployment.kubernetes.io/revision"  # annotates a Deployment, and its ReplicaSets
HASH = "pod-template-hash"  # a label that Kubernetes gives a ReplicaSet's pods


def name(each: Object) -> Key:
    """Return what tells an object from others in its namespace (pure)."""
    return each["kind"], each["metadata"]["name"]


def refer(each: Object) -> str:
    """Return an object's name for kubectl: kind.group/name (pure)."""
    group, slash, _ = each["apiVersion"].rpartition("/")
    kind = each["kind"].lower()
    return f"{kind}.{group}/{each['metadata']['name']}" if slash else f"{kind}/{each['metadata']['name']}"


def read(manifest: Path) -> list[Object]:
    """Return the objects of a rendered file."""
    return [each for each in yaml.safe_load_all(manifest.read_text(encoding="utf-8")) if each]


def find_old(there: list[Object], wanted: list[Object]) -> list[Object]:
    """Return what is there and no longer wanted (pure); nothing when it is not known what is wanted."""
    names = {name(each) for each in wanted}
    return [each for each in there if name(each) not in names] if names else []


def find_changes(before: Object, now: Object | None) -> list[Object]:
    """Return the JSON patch that makes an object again what it was; [] when it is that (pure)."""
    now = now or {}
    places = [key for key in before if key not in {"apiVersion", "kind", "metadata", "status"}]
    patch = [{"op": "add", "path": f"/{key}", "value": before[key]} for key in places if before[key] != now.get(key)]
    patch += [
        {"op": "remove", "path": f"/{key}"} for key in now if key not in before and key not in {"metadata", "status"}
    ]
    for key in ("labels", "annotations"):
        was, has = before["metadata"].get(key, {}), now.get("metadata", {}).get(key, {})
        if was != has:
            patch.append({"op": "add", "path": f"/metadata/{key}", "value": was})
    return patch


@dataclass(frozen=True)
class Before:
    """What the objects of a rendered file were before it was applied."""

    manifest: Path
    there: list[Object]

    def restore(self, cluster: Cluster) -> None:
        """Make the objects what they were; delete those that were not there. Raises SlipwayError when that fails."""
        now = {name(each): each for each in cluster.find(self.manifest)}
        scaled = {name(each) for each in read(self.manifest) if "replicas" not in each.get("spec", {})}
        for each in sorted(self.there, key=lambda each: each["kind"] != "Deployment"):  # what answers comes first
            has = now.get(name(each), each)
            was = keep_replicas(each, has) if name(each) in scaled else each
            if patch := find_changes(was, has):
                cluster.run("patch", refer(each), "--type", "json", "--patch", json.dumps(patch), again=True)
        known = {name(each) for each in self.there}
        if new := [refer(each) for key, each in now.items() if key not in known]:
            cluster.run("delete", *new, "--ignore-not-found", "--wait=false", again=True)


def keep_replicas(before: Object, now: Object) -> Object:
    """Return an object as it was, with as many replicas as an autoscaler has given it meanwhile (pure)."""
    if "replicas" not in before.get("spec", {}) or "replicas" not in now.get("spec", {}):
        return before
    return before | {"spec": before["spec"] | {"replicas": now["spec"]["replicas"]}}


def find_proved(deployment: Object, replica_sets: list[Object]) -> Object | None:
    """Return a Deployment as it was tested last (pure): what a run that was killed began is no way back.

    That is the Deployment itself, or with the pods' template of the revision before; None when it never answered.
    """
    revision = deployment["metadata"].get("annotations", {}).get(UNPROVED)
    if revision is None:
        return deployment
    for each in replica_sets:
        known = each["metadata"].get("annotations", {})
        if known.get(REVISION) == revision:
            template = json.loads(json.dumps(each["spec"]["template"]))
            template["metadata"].get("labels", {}).pop(HASH, None)
            facts = {key: value for key, value in known.items() if not key.startswith("deployment.kubernetes.io/")}
            metadata = deployment["metadata"] | {"annotations": deployment["metadata"]["annotations"] | facts}
            metadata["annotations"].pop(UNPROVED)
            return deployment | {"metadata": metadata, "spec": deployment["spec"] | {"template": template}}
    return deployment if deployment.get("status", {}).get("availableReplicas") else None


def record(cluster: Cluster, manifest: Path, deployment: str, labels: str) -> Before:
    """Return what is there of what is about to be applied; mark its Deployment (its pods' labels) as untested."""
    there = {name(each): each for each in cluster.find(manifest)}
    ours = ("Deployment", deployment)
    mark(manifest, there.get(ours))
    if found := there.pop(ours, None):
        is_unproved = UNPROVED in found["metadata"].get("annotations", {})  # then its ReplicaSets are the only way back
        if proved := find_proved(found, cluster.list("replicasets.apps", labels, strict=is_unproved)):
            there[ours] = proved
    return Before(manifest, [*there.values()])


def mark(manifest: Path, deployment: Object | None) -> None:
    """Have a rendered Deployment say that it is untested, and which revision was, in case this run is killed."""
    known = deployment["metadata"].get("annotations", {}) if deployment else {}
    objects = read(manifest)
    for each in objects:
        if each["kind"] == "Deployment":
            each["metadata"].setdefault("annotations", {})[UNPROVED] = known.get(UNPROVED) or known.get(REVISION, "0")
    manifest.write_text(yaml.safe_dump_all(objects, sort_keys=False, allow_unicode=True), encoding="utf-8")
