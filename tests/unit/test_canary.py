"""A canary in a cluster that is made up: what is patched when a share begins and ends, and what a deployment finds of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from slipway import canary, settings
from slipway.errors import SlipwayError
from slipway.rollout import ROUTES, Kubernetes
from slipway.shares import BY_PODS, BY_WEIGHT, Share

if TYPE_CHECKING:
    from slipway.settings import Settings

OPEN, CLOSED = {"app.kubernetes.io/name": "slipway-model"}, {"app.kubernetes.io/component": "champion"}
CHAMPION, CHALLENGER = {"name": "diabetes-model", "port": 80}, {"name": "diabetes-challenger-model", "port": 80}


class Running:
    """A cluster in which one champion runs, as far as a canary looks at it."""

    context, namespace = "team", "models"

    def __init__(self, kinds: str = "", **objects: dict[str, Any]) -> None:
        self.kinds, self.objects = kinds, objects
        self.done: list[tuple[str, ...]] = []

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object by its kind; the challenger's as `challenger`."""
        return self.objects.get("challenger" if name.startswith("diabetes-challenger") else kind.partition(".")[0])

    def ask(self, *arguments: str) -> tuple[int, str]:
        """List the kinds that it knows."""
        assert arguments[0] == "api-resources"
        return 0, self.kinds

    def run(self, *arguments: str) -> str:
        """Note what is done to it."""
        self.done.append(arguments)
        return ""

    def check(self) -> None:
        """Answer."""


@pytest.fixture
def loaded() -> Settings:
    """Return settings that name a cluster."""
    return replace(settings.load(), runtime="docker", context="team", namespace="models", components=[])


def run(loaded: Settings, cluster: Running) -> Kubernetes:
    """Return the champion in a cluster."""
    champion = Kubernetes(loaded)
    champion.cluster = cluster  # type: ignore[assignment]
    return champion


def route(*backends: dict[str, Any]) -> dict[str, Any]:
    """Return an HTTPRoute with these backends."""
    return {"spec": {"rules": [{"backendRefs": [*backends]}]}}


def service(selector: dict[str, str]) -> dict[str, Any]:
    """Return a Service with a selector."""
    return {"spec": {"selector": selector}}


@pytest.mark.parametrize(
    ("share", "backends"),
    [
        (Share(BY_WEIGHT, 25), [CHAMPION | {"weight": 75}, CHALLENGER | {"weight": 25}]),
        (None, [CHAMPION]),
    ],
    ids=["it begins", "it ends"],
)
def test_a_route_gets_its_weights(loaded: Settings, share: Share | None, backends: list[dict[str, Any]]) -> None:
    """Of the route that runs only the backends change, and the Service stays the champion's."""
    before = route(CHAMPION | {"weight": 90}, CHALLENGER | {"weight": 10})
    cluster = Running(ROUTES, httproutes=before, service=service(CLOSED))
    canary.direct(run(loaded, cluster), share)

    ((verb, kind, name, *_, patch),) = cluster.done
    assert (verb, kind, name) == ("patch", ROUTES, "diabetes-model")
    assert json.loads(patch) == [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": backends}]


@pytest.mark.parametrize(
    ("selector", "share", "component"),
    [(CLOSED, Share(BY_PODS, 50), None), (OPEN, None, "champion"), (OPEN, Share(BY_WEIGHT, 50), "champion")],
    ids=["it begins", "it ends", "a route takes over"],
)
def test_a_service_is_opened_and_closed(loaded: Settings, selector: dict[str, str], share: Share | None, component: str | None) -> None:
    """Of the Service that runs only the selector changes."""
    cluster = Running(service=service(selector))
    canary.direct(run(loaded, cluster), share)

    ((verb, kind, name, *_, patch),) = cluster.done
    assert (verb, kind, name) == ("patch", "service", "diabetes-model")
    assert json.loads(patch) == {"spec": {"selector": {"app.kubernetes.io/component": component}}}


@pytest.mark.parametrize(
    ("selector", "backends", "share"),
    [
        (CLOSED, [CHAMPION], None),
        (OPEN, [], Share(BY_PODS, 50)),
        (CLOSED, [CHAMPION | {"weight": 50}, CHALLENGER | {"weight": 50}], Share(BY_WEIGHT, 50)),
    ],
    ids=["no share", "by pods", "by weight"],
)
def test_what_is_so_already_is_left_alone(
    loaded: Settings, selector: dict[str, str], backends: list[dict[str, Any]], share: Share | None
) -> None:
    """Nothing is patched where the share is as it should be."""
    cluster = Running(ROUTES, service=service(selector), **({"httproutes": route(*backends)} if backends else {}))
    canary.direct(run(loaded, cluster), share)

    assert cluster.done == []


@pytest.mark.parametrize(
    ("selector", "backends", "share"),
    [
        (OPEN, [], Share(BY_PODS)),
        (CLOSED, [CHAMPION | {"weight": 60}, CHALLENGER | {"weight": 40}], Share(BY_WEIGHT, 40)),
        (CLOSED, [CHAMPION], None),
    ],
    ids=["by pods", "by weight", "none yet"],
)
def test_a_deployment_finds_the_share(
    loaded: Settings, selector: dict[str, str], backends: list[dict[str, Any]], share: Share | None
) -> None:
    """A deployment of the champion looks whether a challenger is there, and what it gets."""
    objects = {"service": service(selector), "challenger": {"kind": "Deployment"}, **({"httproutes": route(*backends)} if backends else {})}

    assert run(loaded, Running(ROUTES, **objects)).find_share() == share


def test_without_a_challenger_there_is_no_share(loaded: Settings) -> None:
    """A route to a challenger that is gone, or a Service for any pod, is put right by the next deployment."""
    cluster = Running(ROUTES, httproutes=route(CHAMPION, CHALLENGER), service=service(OPEN))

    assert run(loaded, cluster).find_share() is None


def test_a_gateway_is_missed_early(loaded: Settings) -> None:
    """A cluster that knows no HTTPRoute is named, before anything is deployed to it."""
    champion = run(replace(loaded, components=["gateway"]), Running("deployments.apps"))

    with pytest.raises(SlipwayError, match="the cluster team knows no HTTPRoute, which the component gateway is") as raised:
        champion.find_choices()

    assert "COMPONENTS without gateway" in raised.value.cure


@pytest.mark.parametrize(
    ("said", "hangs", "gateway"),
    [
        ("", [{"name": "public", "namespace": "infra"}], "infra/public"),
        ("", [{"name": "mine"}], "mine"),
        ("", [], ""),
        ("other", [{}], "other"),
    ],
    ids=["another namespace", "its own", "nowhere", "it is said"],
)
def test_a_route_stays_on_its_gateway(loaded: Settings, said: str, hangs: list[dict[str, str]], gateway: str) -> None:
    """Without GATEWAY a deployment leaves the route on the Gateway that it hangs on."""
    cluster = Running(ROUTES, httproutes={"spec": {"parentRefs": hangs}})
    champion = run(replace(loaded, components=["gateway"], gateway=said), cluster)

    assert champion.find_choices()[0].gateway == gateway
