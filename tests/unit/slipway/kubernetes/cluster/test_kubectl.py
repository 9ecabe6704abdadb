"""What kubectl printed, and what is made of it: errors apart from chatter, JSON, rights, and the lock."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from slipway import settings
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes.cluster import kubectl, lease, rights
from slipway.kubernetes.cluster.kubectl import Cluster
from slipway.kubernetes.cluster.lease import DURATION_S, Lease, read_holder
from slipway.kubernetes.cluster.rights import Right
from slipway.release.lock import Holder
from slipway.shell import Answer
from tests.cluster import obstacles
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

CHATTER = (
    "Warning: policy/v1beta1 PodDisruptionBudget is deprecated\n"
    "E1129 22:10:58.1 memcache.go:265] couldn't get resource list"
)
FORBIDDEN = 'Error from server (Forbidden): services "a" is forbidden: exceeded quota: small'
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOST = socket.gethostname()


@pytest.mark.parametrize(
    ("err", "words"),
    [
        (FORBIDDEN, FORBIDDEN),
        (f"{CHATTER}\n{FORBIDDEN}\nauth plugin: your token ends soon", FORBIDDEN),
        ("Unable to connect to the server: EOF", "Unable to connect to the server: EOF"),
        ("something else\nentirely", "something else; entirely"),
        (CHATTER.splitlines()[0], CHATTER.splitlines()[0]),
        ("", "no output, exit code 1"),
    ],
    ids=["an error", "among chatter", "no cluster", "unknown words", "chatter alone", "nothing"],
)
def test_the_error_is_found(err: str, words: str) -> None:
    """Of all that kubectl printed, what people are shown is why it failed."""
    assert kubectl.explain(Answer(1, err=err)) == words


@pytest.mark.parametrize(
    ("out", "found"),
    [
        ("", []),
        ('{"kind": "Pod"}', [{"kind": "Pod"}]),
        ('{"kind": "List", "items": [{"kind": "Pod"}, {"kind": "Service"}]}', [{"kind": "Pod"}, {"kind": "Service"}]),
        ('{"kind": "Pod"}\n{"kind": "Service"}', [{"kind": "Pod"}, {"kind": "Service"}]),
        ('{"kind": "PodList", "items": []}', []),
    ],
    ids=["nothing", "one", "a list", "one after another", "an empty list"],
)
def test_objects_are_read(out: str, found: list[dict[str, Any]]) -> None:
    """Whichever way kubectl prints objects, they are the same; what it prints besides, on stderr, is none."""
    assert kubectl.parse(Answer(0, out, CHATTER)) == found


def test_what_is_no_json_is_said() -> None:
    """A wrapper around kubectl that prints its own words makes an error, not a traceback."""
    with pytest.raises(SlipwayError, match="kubectl printed no JSON: welcome to the team's kubectl"):
        kubectl.parse(Answer(0, "welcome to the team's kubectl\n{}"))


@pytest.mark.parametrize("namespace", ["", "Models", "my_models", "-a", "a.b", "a" * 64, "a b"])
def test_a_namespace_is_a_label(namespace: str) -> None:
    """A namespace that Kubernetes would not take is an error of usage, before anything else."""
    with pytest.raises(SlipwayError, match="NAMESPACE is") as raised:
        Cluster(changed(settings.load(), cluster={"context": "team", "namespace": namespace}))

    assert raised.value.code == USAGE


@pytest.mark.parametrize(
    ("api", "kind", "resource"),
    [
        ("apps/v1", "Deployment", "deployments.apps"),
        ("v1", "Service", "services"),
        ("networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io"),
        ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies.networking.k8s.io"),
        ("gateway.networking.k8s.io/v1", "Gateway", "gateways.gateway.networking.k8s.io"),
        ("v1", "Endpoints", "endpoints"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes.gateway.networking.k8s.io"),
    ],
)
def test_a_kind_is_a_resource(api: str, kind: str, resource: str) -> None:
    """Rights are on resources, which are kinds in the plural."""
    assert rights.name_resource({"apiVersion": api, "kind": kind}) == resource


def test_only_what_is_deployed_needs_rights() -> None:
    """A kind that is not among what is deployed is not asked for."""
    needed = rights.list_needed(
        [{"apiVersion": "apps/v1", "kind": "Deployment"}, {"apiVersion": "v1", "kind": "Service"}]
    )

    assert {right.resource for right in needed} == {"deployments.apps", "services", "pods", "pods/portforward"}
    assert {right.verb for right in needed if right.resource == "services"} == {"get", "create", "patch", "delete"}
    assert rights.describe([Right("services", "create"), Right("services", "patch"), Right("pods", "get")]) == (
        "create, patch services; get pods"
    )


def test_a_right_is_asked_for_as_can_i_does() -> None:
    """Group and subresource stand apart in the question."""
    review = Right("pods/log", "get").review("models")

    assert review["kind"] == "SelfSubjectAccessReview"
    assert review["spec"]["resourceAttributes"] == {
        "namespace": "models",
        "verb": "get",
        "resource": "pods",
        "subresource": "log",
    }


@pytest.mark.parametrize(
    ("holder", "machine", "age", "free"),
    [
        (Holder("ann@there", "there/1"), "m2", DURATION_S - 5, False),
        (Holder("ann@there", "there/1"), "m2", DURATION_S + 5, True),
        (Holder("ann@here", f"{HOST}/{os.getppid()}"), "m1", 0, False),
        (Holder("ann@here", f"{HOST}/999999999"), "m1", 0, True),
        (Holder("ann@there", f"{HOST}/999999999"), "m2", 0, False),
    ],
    ids=[
        "it works elsewhere",
        "it has expired",
        "it works here",
        "it has died here",
        "it works on another machine of that name",
    ],
)
def test_a_lock_is_taken_over(holder: Holder, machine: str, age: int, *, free: bool) -> None:
    """The lock of one who has died is taken over: at once on the same machine, or else when it has expired."""
    theirs = Lease("a", holder, machine, NOW - timedelta(seconds=age)).describe()

    assert Lease("a", Holder("bob@here", f"{HOST}/{os.getpid()}"), "m1", NOW).is_free(theirs) == free
    assert read_holder(theirs) == holder


@pytest.mark.parametrize(
    ("words", "again", "calls"),
    [
        ("Unable to connect to the server: EOF", True, 2),
        ("Unable to connect to the server: EOF", False, 1),
        (FORBIDDEN, True, 1),
    ],
    ids=["a hiccup", "what may not be done twice", "what no second try changes"],
)
def test_a_hiccup_passes(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, again: bool, calls: int
) -> None:
    """What may be done twice is tried again when it fails for a moment; an answer of the cluster stays one."""
    for name, value in obstacles.fail(tmp_path, FAIL_AT="1", FAIL_WORDS=words, REAL="/bin/echo").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kubectl, "PAUSE", 0)
    cluster = Cluster(changed(settings.load(), cluster={"context": "team", "namespace": "models", "is_inside": False}))
    try:
        said = cluster.run("delete", "pod/a", again=again)
    except SlipwayError as error:
        said = error.message

    assert len((tmp_path / "calls").read_text().splitlines()) == calls
    assert said == (
        "--context team --namespace models delete pod/a" if calls > 1 else f"kubectl delete failed: {words}"
    )


@pytest.mark.parametrize(("version", "renewed"), [("7", False), ("8", True)], ids=["it is dead", "its clock is behind"])
def test_an_expired_lock_is_watched_before_it_is_taken(
    version: str, *, renewed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another machine's clock calls expired is taken only when nobody renews it for a while."""
    monkeypatch.setattr("slipway.kubernetes.cluster.lease.LOOK_S", 0)
    theirs = Lease("a", Holder("ann@there", "there/1"), "m2", NOW - timedelta(seconds=DURATION_S + 5)).describe()
    theirs["metadata"]["resourceVersion"] = "7"
    later = {**theirs, "metadata": {**theirs["metadata"], "resourceVersion": version}}
    cluster = cast("Cluster", SimpleNamespace(get=lambda *_: later))
    mine = Lease("a", Holder("bob@here", f"{HOST}/{os.getpid()}"), "m1", NOW)

    assert lease._is_renewed(cluster, mine, theirs) == renewed  # noqa: SLF001 -- what is tested
