"""The kinds of objects that a deployment may have in a cluster, and which of them cluster and user know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.kubernetes.cluster import kubectl, rights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from slipway.kubernetes.cluster.kubectl import Cluster

KINDS = (
    "deployments.apps", "services", "poddisruptionbudgets.policy", "horizontalpodautoscalers.autoscaling",
    "ingresses.networking.k8s.io", "networkpolicies.networking.k8s.io", "configmaps",
)  # fmt: skip
ROUTES, MONITORS = "httproutes.gateway.networking.k8s.io", "servicemonitors.monitoring.coreos.com"
OPTIONAL = (ROUTES, MONITORS, "inferenceservices.serving.kserve.io")  # where the cluster knows them
NEEDED = {  # by a component: a kind that is no cluster's own, and what brings it
    "gateway": (ROUTES, "HTTPRoute", "the Gateway API"),
    "monitoring": (MONITORS, "ServiceMonitor", "the Prometheus operator"),
}
TO_DELETE = ("list", "delete")  # what deleting by labels needs


def list_known(cluster: Cluster) -> list[str]:
    """Return the kinds that a cluster knows.

    Those of an API that is away for a moment, as its metrics may be, are not among them.

    Raises SlipwayError when the cluster does not say.
    """
    answer = cluster.read("api-resources", "--output", "name")
    if answer.code != 0 and not answer.out:
        raise SlipwayError(f"kubectl api-resources failed: {kubectl.explain(answer)}", cluster.show("api-resources"))
    return answer.out.split()


def check_needed(cluster: Cluster, components: Iterable[str], knows: Callable[[str], bool]) -> None:
    """Raise SlipwayError for a component whose kind the cluster does not have; `knows` says whether it has one."""
    for name in NEEDED.keys() & {*components}:
        kind, what, source = NEEDED[name]
        if not knows(kind):
            words = f"the cluster {cluster.context} does not have {what}, which the component {name} needs"
            raise SlipwayError(words, f"install {source} there, or COMPONENTS without {name}")


def list_deletable(cluster: Cluster, known: list[str]) -> list[str]:
    """Return the kinds that a deployment may have, of those that the user may list and delete.

    Others the user cannot have made.
    """
    kinds = [*KINDS, *(kind for kind in OPTIONAL if kind in known)]
    allowed = rights.ask(cluster, {rights.Right(kind, verb) for kind in kinds for verb in TO_DELETE})
    return [kind for kind in kinds if all(allowed.get(rights.Right(kind, verb), True) for verb in TO_DELETE)]
