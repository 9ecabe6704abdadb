"""A challenger's share of the requests.

How many pods it takes, what the manifests say of it, and what of it runs (pure).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from slipway.errors import USAGE, SlipwayError

CHAMPION, CHALLENGER = "champion", "challenger"  # the label `component`
COMPONENT = "app.kubernetes.io/component"
OURS = {
    "pairs": {"app.kubernetes.io/part-of": "slipway"}
}  # a label of each object, also of those that a model's own settings bring
BY_WEIGHT, BY_PODS = "canary", "shares"  # the components that give a share: in a route, or as one Service for all pods
PORT = 80  # of the Service


@dataclass(frozen=True)
class Share:
    """What gives a challenger requests: a weight of 100 in the route, or its pods behind the champion's Service."""

    component: str
    weight: int = 0


def parse(weight: str) -> int:
    """Return how many of 100 requests a challenger is to get. Raises SlipwayError (exit code 2) for no share."""
    if not re.fullmatch("[0-9]{1,2}", weight):
        raise SlipwayError(
            f"WEIGHT is {weight!r}: must be a whole number from 0 to 99 (percent of requests)",
            "make canary MODEL=… WEIGHT=10",
            USAGE,
        )
    return int(weight)


def count_pods(share: Share, champions: int) -> int:
    """Return how many pods a challenger needs beside so many of the champion's.

    By pods: as many as come nearest to the share. By weight: as many as its part of the load takes, and two where the
    champion has two.
    """
    if share.component == BY_PODS:
        return max(1, round(champions * share.weight / (100 - share.weight)))
    return max(min(champions, 2), math.ceil(champions * share.weight / 100))


def explain(share: Share, champions: int, challengers: int) -> str:
    """Return how a share comes about, and how near it is to the one that was asked for."""
    if share.component == BY_WEIGHT:
        return f"{share.weight} % of the requests, by the weights of the HTTPRoute"
    pods = champions + challengers
    reached = 100 * challengers / pods
    why = "by replicas: no Gateway is set, so the Service picks any pod"
    if math.isclose(reached, share.weight):
        return f"{share.weight} % of the connections, {why}: {challengers} of {pods} pods"
    return (
        f"not quite {share.weight} % of the connections, {why}: {challengers} of {pods} pods: about {reached:.0f} %, "
        "the closest that replicas allow; a Gateway has exact weights: COMPONENTS=gateway"
    )


def read(service: dict[str, Any] | None, route: dict[str, Any] | None, challenger: str) -> Share | None:
    """Return the share that the champion's Service and route, as they run, give to the Service of a challenger.

    None for none.
    """
    backends = route["spec"]["rules"][0].get("backendRefs", []) if route else []
    weights = {each["name"]: each.get("weight", 1) for each in backends}
    if weights.get(challenger):
        return Share(BY_WEIGHT, round(100 * weights[challenger] / sum(weights.values())))
    if service and COMPONENT not in service["spec"]["selector"]:
        return Share(BY_PODS)
    return None


def name(instance: str) -> str:
    """Return the name of a challenger's Deployment and Service."""
    return f"{instance}-{CHALLENGER}-model"


def read_gateway(route: dict[str, Any]) -> str:
    """Return what a route hangs on, as GATEWAY has it: a name, or a namespace and a name."""
    parent = next(iter(route["spec"].get("parentRefs", [])), {"name": ""})
    return f"{parent['namespace']}/{parent['name']}" if parent.get("namespace") else str(parent["name"])


def direct(instance: str, share: Share | None) -> list[dict[str, Any]]:
    """Return the backends of a route to the Services of a champion, and a challenger that has a share by weight."""
    champion = {"name": f"{instance}-model", "port": PORT}
    if not share or share.component != BY_WEIGHT:
        return [champion]
    return [champion | {"weight": 100 - share.weight}, {"name": name(instance), "port": PORT, "weight": share.weight}]


def patch_weights(share: Share | None) -> list[dict[str, Any]]:
    """Return kustomize's patches that give the component canary its weights."""
    if not share or share.component != BY_WEIGHT:
        return []
    weights = (100 - share.weight, share.weight)
    patch = [
        {"op": "replace", "path": f"/spec/rules/0/backendRefs/{at}/weight", "value": weight}
        for at, weight in enumerate(weights)
    ]
    return [{"target": {"kind": "HTTPRoute", "name": "model"}, "patch": json.dumps(patch)}]


def choose_components(chosen: list[str], share: Share) -> list[str]:
    """Return which of the champion's components a challenger has, too.

    Behind one Service, the champion's monitor sees its pods already.
    """
    return [each for each in chosen if each == "network" or (each == "monitoring" and share.component == BY_WEIGHT)]


def challenge(kustomization: dict[str, Any], instance: str, pods: int) -> dict[str, Any]:
    """Return the kustomization of a challenger, from the one that its version would have as champion."""
    labels = {"app.kubernetes.io/instance": instance, COMPONENT: CHALLENGER}
    return kustomization | {
        "namePrefix": f"{instance}-{CHALLENGER}-",
        "labels": [{"pairs": labels, "includeSelectors": True}, OURS],
        "replicas": [{"name": "model", "count": pods}],
    }
