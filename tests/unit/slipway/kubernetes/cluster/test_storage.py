"""Volumes that a cluster will never give are missed at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from slipway.errors import SlipwayError
from slipway.kubernetes.cluster import storage
from slipway.shell import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.kubernetes.cluster import kubectl
    from tests.aliases import Json

DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


class Cluster:
    """A cluster that is made up.

    Its StorageClasses and volumes, None where this user may not look, and the claims that are there.
    """

    context, namespace = "team", "models"

    def __init__(
        self, classes: Sequence[Any] | None, volumes: Sequence[Any] | None = (), claims: tuple[str, ...] = ()
    ) -> None:
        self.found = {"storageclasses.storage.k8s.io": classes, "persistentvolumes": volumes}
        self.claims = claims

    def ask(self, *arguments: str) -> Answer:
        """List a kind."""
        found = self.found[arguments[1]]
        return Answer(1, err="forbidden") if found is None else Answer(0, json.dumps({"items": list(found)}))

    def get(self, _: str, name: str) -> dict[str, Any] | None:
        """Return a claim."""
        return {"status": {"phase": "Bound"}} if name in self.claims else None


def make(annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a StorageClass."""
    return {"metadata": {"name": "fast", "annotations": annotations or {}}}


def volume(claim: str = "", phase: str = "Available", **spec: Json) -> dict[str, Any]:
    """Return a volume, kept for a claim."""
    return {
        "spec": spec | ({"claimRef": {"namespace": "models", "name": claim}} if claim else {}),
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster([make(), make(DEFAULT)]),
        Cluster([make()], [volume("data"), volume()]),
        Cluster([], claims=("data", "artifacts")),
        Cluster(None),
        Cluster([], None),
    ],
    ids=[
        "a default",
        "volumes that somebody made",
        "claims that are there",
        "no right to look",
        "no right to look at volumes",
    ],
)
def test_where_volumes_come_from_nothing_is_said(cluster: Cluster) -> None:
    """A default StorageClass or volumes by hand will do, and what cannot be known is left to the cluster."""
    storage.check_claims(cast("kubectl.Cluster", cluster), ["data", "artifacts"])


@pytest.mark.parametrize(
    ("cluster", "cure"),
    [
        (Cluster([]), "ask a cluster administrator"),
        (Cluster([make()], [volume("data"), volume("other")]), "kubectl patch storageclass fast --patch"),
        (
            Cluster([make()], [volume("data"), volume(phase="Bound"), volume(storageClassName="slow")]),
            "available: fast",
        ),
    ],
    ids=["none", "none is the default", "volumes that others have"],
)
def test_without_any_the_claim_is_named(cluster: Cluster, cure: str) -> None:
    """The error names the claims that would wait for ever, and what to do."""
    with pytest.raises(
        SlipwayError, match=r"team has no default StorageClass, so nothing gives a volume to .*artifacts"
    ) as raised:
        storage.check_claims(cast("kubectl.Cluster", cluster), ["data", "artifacts"])

    assert cure in raised.value.cure
