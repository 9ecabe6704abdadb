"""The way back: what is patched so that an object is what it was, and what a run that was killed left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from slipway.kubernetes.cluster import recovery
from slipway.kubernetes.cluster.recovery import REVISION, UNPROVED

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster


def make(
    kind: str, name: str, spec: dict[str, Any] | None = None, /, group: str = "apps/v1", **annotations: str
) -> dict[str, Any]:
    """Return an object."""
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name, "annotations": annotations},
        "spec": spec or {},
    }


def make_replica_set(version: int, revision: str) -> dict[str, Any]:
    """Return a ReplicaSet of a Deployment's revision."""
    template = {"metadata": {"labels": {"a": "b", recovery.HASH: "5d"}}, "spec": {"version": version}}
    annotations = {
        REVISION: revision,
        "deployment.kubernetes.io/desired-replicas": "2",
        "io.slipway/version": str(version),
    }
    return {"metadata": {"annotations": annotations}, "spec": {"template": template}}


class Changed:
    """A cluster in which an apply has changed something."""

    def __init__(self, *there: dict[str, Any]) -> None:
        self.there, self.done = there, list[tuple[str, ...]]()

    def find(self, _: Path) -> list[dict[str, Any]]:
        """Return what is there."""
        return [*self.there]

    def run(self, *arguments: str, again: bool) -> str:
        """Note what is done to it."""
        assert again
        self.done.append(arguments[:2])
        return ""


@pytest.mark.parametrize(
    ("now", "patch"),
    [
        (make("Service", "a", {"port": 80}), []),
        (make("Service", "a", {"port": 81}), [{"op": "add", "path": "/spec", "value": {"port": 80}}]),
        (make("Service", "a", {"port": 80}) | {"data": {}}, [{"op": "remove", "path": "/data"}]),
        (make("Service", "a", {"port": 80}, more="1"), [{"op": "add", "path": "/metadata/annotations", "value": {}}]),
        (make("Service", "a", {"port": 80}) | {"status": {"x": 1}}, []),
    ],
    ids=["the same", "another spec", "a new part", "an annotation", "its status alone"],
)
def test_only_what_changed_is_patched(now: dict[str, Any], patch: list[dict[str, Any]]) -> None:
    """An object is made what it was; what the cluster itself keeps of it is left alone."""
    assert recovery.find_changes(make("Service", "a", {"port": 80}), now) == patch


def test_an_apply_that_failed_is_taken_back_whole(tmp_path: Path) -> None:
    """What was there is restored, the Deployment first; what was not is deleted; the rest is not touched."""
    before = [make("Service", "a", {"x": 1}, "v1"), make("Deployment", "a", {"x": 1}), make("Ingress", "a", {"x": 1})]
    cluster = Changed(
        make("Deployment", "a", {"x": 2}),
        make("Service", "a", {"x": 2}, "v1"),
        make("Ingress", "a", {"x": 1}),
        make("Budget", "a", {}),
    )
    (manifest := tmp_path / "manifest.yaml").write_text("")
    recovery.Before(manifest, before).restore(as_cluster(cluster))

    assert cluster.done == [("patch", "deployment.apps/a"), ("patch", "service/a"), ("delete", "budget.apps/a")]


def test_an_autoscaler_is_not_overruled() -> None:
    """The way back leaves the number of pods that an autoscaler has chosen meanwhile.

    One that was chosen here comes back.
    """
    before, now = make("Deployment", "a", {"replicas": 2, "x": 1}), make("Deployment", "a", {"replicas": 6, "x": 2})

    assert recovery.keep_replicas(before, now)["spec"] == {"replicas": 6, "x": 1}
    assert recovery.keep_replicas(make("Service", "a"), make("Service", "a")) == make("Service", "a")


def as_cluster(changed: Changed) -> Cluster:
    """Return it as the type that it stands for."""
    return cast("Cluster", changed)


def test_nothing_is_deleted_where_it_is_not_known_what_is_wanted() -> None:
    """What is there and not wanted is old; when nothing is known to be wanted, nothing is."""
    there = [
        make("Deployment", "a"),
        make("Ingress", "a", group="extensions/v1beta1"),
        make("Service", "a", group="v1"),
    ]

    assert recovery.find_old(there, []) == []
    assert [recovery.refer(each) for each in recovery.find_old(there, there[:1])] == [
        "ingress.extensions/a",
        "service/a",
    ]
    assert recovery.find_old(there, [make("Ingress", "a", group="networking.k8s.io/v1"), *there]) == []


def test_a_killed_run_left_no_way_back() -> None:
    """A Deployment that nobody has tested goes back to the revision before it, not to itself."""
    found = make(
        "Deployment",
        "a",
        {"replicas": 2, "template": {"spec": {"version": 2}}},
        **{UNPROVED: "3", REVISION: "4", "kept": "1"},
    )
    proved = recovery.find_proved(found, [make_replica_set(2, "4"), make_replica_set(1, "3")])

    assert proved
    assert proved["spec"] == {"replicas": 2, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"version": 1}}}
    assert proved["metadata"]["annotations"] == {REVISION: "4", "kept": "1", "io.slipway/version": "1"}


@pytest.mark.parametrize(("available", "stays"), [(0, False), (2, True)], ids=["it never answered", "it answers"])
def test_a_first_run_that_was_killed_is_none(available: int, *, stays: bool) -> None:
    """What a first deployment left is taken away with the next that fails; but not when it answers."""
    found = make("Deployment", "a", **{UNPROVED: "0"}) | {"status": {"availableReplicas": available}}

    assert (recovery.find_proved(found, []) is not None) == stays


@pytest.mark.parametrize(
    ("annotations", "revision"),
    [(None, "0"), ({REVISION: "7"}, "7"), ({REVISION: "8", UNPROVED: "7"}, "7")],
    ids=["nothing before", "a tested one", "one that was not tested"],
)
def test_what_is_applied_is_marked(tmp_path: Path, annotations: dict[str, str] | None, revision: str) -> None:
    """The Deployment of a rendered file says which revision was tested last.

    Its pods' template, and all else, stay as they are.
    """
    manifest, deployment = tmp_path / "manifest.yaml", make("Deployment", "a", {"template": {"metadata": {}}})
    manifest.write_text(yaml.safe_dump_all([deployment, make("Service", "a", {"port": 80})]))
    recovery.mark(manifest, None if annotations is None else make("Deployment", "a", **annotations))

    marked = deployment | {"metadata": {"name": "a", "annotations": {UNPROVED: revision}}}
    assert recovery.read(manifest) == [marked, make("Service", "a", {"port": 80})]
