"""The rights that a user needs in a namespace, checked before anything is built.

`kubectl auth can-i` asks the same, one by one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError
from slipway.kubernetes.cluster import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.kubernetes.cluster.kubectl import Cluster

APPLIED = ("get", "create", "patch", "delete")  # apply, and the way back
LOCK = ("get", "create", "patch", "delete")
DOCS = "see docs/kubernetes.md, Rights"


@dataclass(frozen=True, order=True)
class Right:
    """To use a verb on a resource, such as `deployments.apps` or `pods/log`."""

    resource: str
    verb: str

    def review(self, namespace: str) -> dict[str, Any]:
        """Return the question to the cluster, as Kubernetes' authorization API has it."""
        full, _, subresource = self.resource.partition("/")
        plural, _, group = full.partition(".")
        attributes = {
            "namespace": namespace,
            "verb": self.verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
        }
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        return kind | {"spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}}}


def name_resource(described: dict[str, Any]) -> str:
    """Return the resource of an object, from its apiVersion and kind: plural.group (pure)."""
    group, slash, _ = described["apiVersion"].rpartition("/")
    kind = described["kind"].lower()
    if kind == "endpoints":
        plural = kind
    else:
        plural = (
            f"{kind[:-1]}ies"
            if re.search("[^aeiou]y$", kind)
            else f"{kind}es"
            if kind.endswith(("s", "x", "ch"))
            else f"{kind}s"
        )
    return f"{plural}.{group}" if slash else plural


def list_needed(objects: Iterable[dict[str, Any]]) -> set[Right]:
    """Return what a deployment of these objects needs.

    To apply them, to follow the rollout, to test it, to go back (pure).
    """
    needed = {Right(name_resource(each), verb) for each in objects for verb in APPLIED}
    follow = {Right("deployments.apps", verb) for verb in ("list", "watch")}
    trial = {Right("pods", verb) for verb in ("get", "list", "watch", "create", "delete")}
    trial |= {
        Right(right.resource, verb)
        for right in needed
        for verb in ("list", "watch")
        if right.resource.startswith("networkpolicies")
    }
    return needed | follow | trial | {Right("pods/portforward", "create")}


def ask(cluster: Cluster, wanted: set[Right]) -> dict[Right, bool]:
    """Return which of these rights the user has in the namespace; {} where the cluster does not let that be asked."""
    order = sorted(wanted)
    reviews = {"apiVersion": "v1", "kind": "List", "items": [each.review(cluster.namespace) for each in order]}
    answer = cluster.read(
        "create", "--validate=false", "--filename", "-", "--output", "json", words=json.dumps(reviews)
    )
    found = kubectl.parse(answer) if answer.code == 0 else []
    return {right: bool(each.get("status", {}).get("allowed")) for right, each in zip(order, found, strict=False)}


def check(cluster: Cluster, objects: Iterable[dict[str, Any]]) -> None:
    """Raise SlipwayError when the user may not deploy these objects to the namespace, with what is missing."""
    demand(cluster, list_needed(objects), "deploy to")


def demand(cluster: Cluster, wanted: set[Right], what: str) -> None:
    """Raise SlipwayError when the user lacks rights in the namespace for `what`, such as to "deploy to" it."""
    if missing := sorted(right for right, allowed in ask(cluster, wanted).items() if not allowed):
        where = f"{cluster.context}, namespace {cluster.namespace}"
        cure = f"{cluster.show('auth', 'can-i', '--list')}; a cluster administrator grants rights: {DOCS}"
        raise SlipwayError(f"you may not {what} {where}: missing rights: {describe(missing)}", cure)


def describe(rights: Iterable[Right]) -> str:
    """Return rights in words: the verbs, for each resource (pure)."""
    verbs: dict[str, list[str]] = {}
    for each in rights:
        verbs.setdefault(each.resource, []).append(each.verb)
    return "; ".join(f"{', '.join(found)} {resource}" for resource, found in verbs.items())
