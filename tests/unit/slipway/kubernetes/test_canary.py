"""A canary in a cluster that is made up.

What is patched when a share begins and ends, and what a deployment finds of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slipway import hints, settings
from slipway.errors import SlipwayError
from slipway.kubernetes import canary, image_delivery, manifests, rollout
from slipway.kubernetes.cluster.kinds import ROUTES
from slipway.kubernetes.traffic import BY_PODS, BY_WEIGHT, Share
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.serving import api_test, server
from tests.conftest import changed
from tests.unit.running import CHALLENGER, CHAMPION, CLOSED, OPEN, Running, deployment, route, run, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.settings import Settings


@pytest.fixture
def loaded() -> Settings:
    """Return settings that name a cluster."""
    return changed(
        settings.load(), runtime="docker", cluster={"context": "team", "namespace": "models", "components": []}
    )


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
def test_a_service_is_opened_and_closed(
    loaded: Settings, selector: dict[str, str], share: Share | None, component: str | None
) -> None:
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


@pytest.fixture
def begin(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that gives version 4 a tenth in a cluster, where it starts without being built, or fails to."""
    prepared = Prepared(ModelRef("models:/diabetes/4", "", "diabetes", "4"), Path(), "{}", Lock(Path()))
    monkeypatch.setattr(server, "prepare", lambda *_, **__: prepared)
    monkeypatch.setattr(image_delivery, "deliver_version", lambda *_: "slipway/diabetes:v4")
    monkeypatch.setattr(api_test, "make_case", lambda *_: None)
    monkeypatch.setattr(manifests, "render_challenger", lambda *_: Path("manifest.yaml"))

    def run(cluster: Running, components: str = "", fails: str = "") -> None:
        def start(*_: object) -> None:
            cluster.done.append(("start",))
            if fails:
                raise SlipwayError(fails)

        monkeypatch.setattr(rollout, "Cluster", lambda _: cluster)
        monkeypatch.setattr(canary.Challenger, "start", start)
        canary.set_share(changed(loaded, cluster={"components": components.split()}), "models:/diabetes/4", "10")

    return run


def test_the_share_comes_after_the_test(begin: Callable[..., None]) -> None:
    """Behind a Gateway the route gets its weights when the challenger answers, and not before."""
    cluster = Running(ROUTES, deployment=deployment(3), service=service(CLOSED), httproutes=route(CHAMPION))
    begin(cluster, "gateway")

    assert [words[0] for words in cluster.done] == ["start", "patch"]
    assert [each["weight"] for each in json.loads(cluster.done[1][-1])[0]["value"]] == [90, 10]


def test_another_challenger_goes_first(begin: Callable[..., None]) -> None:
    """A challenger of another version loses its share, and is deleted, before the new one starts."""
    shared = route(CHAMPION | {"weight": 50}, CHALLENGER | {"weight": 50})
    cluster = Running(
        ROUTES, deployment=deployment(3), challenger=deployment(2), service=service(CLOSED), httproutes=shared
    )
    begin(cluster, "gateway")

    assert [words[0] for words in cluster.done[:4]] == ["patch", "delete", "wait", "start"]
    assert json.loads(cluster.done[0][-1])[0]["value"] == [CHAMPION]


def test_one_that_fails_is_deleted(begin: Callable[..., None]) -> None:
    """What does not start leaves nothing: only a challenger's objects are deleted, and its share has ended."""
    shared = route(CHAMPION | {"weight": 50}, CHALLENGER | {"weight": 50})
    cluster = Running(
        ROUTES, deployment=deployment(3), challenger=deployment(4), service=service(CLOSED), httproutes=shared
    )

    with pytest.raises(SlipwayError, match="it hangs"):
        begin(cluster, "gateway", fails="it hangs")

    assert [words[0] for words in cluster.done] == ["start", "patch", "delete", "wait"]
    assert "app.kubernetes.io/component=challenger" in cluster.done[2][cluster.done[2].index("--selector") + 1]


def test_an_end_that_fails_hides_nothing(
    begin: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When a challenger that failed cannot be deleted, the error is still why it failed.

    The rest is a warning that says what to do.
    """

    def refuse(*_: object) -> None:
        raise SlipwayError("kubectl delete failed: forbidden")

    monkeypatch.setattr(canary.Challenger, "clear", refuse)

    with pytest.raises(SlipwayError, match="it hangs"):
        begin(Running(deployment=deployment(3), service=service(CLOSED)), fails="it hangs")

    assert capsys.readouterr().err.splitlines()[-2:] == [
        "warning: the challenger is still there: kubectl delete failed: forbidden",
        f"  try: {hints.complete('make canary WEIGHT=0')}",
    ]


@pytest.mark.parametrize(
    ("objects", "components", "words"),
    [
        ({}, "", "no version of diabetes answers in team, namespace models"),
        ({"deployment": deployment(3, 0)}, "", "no version of diabetes answers in team, namespace models"),
        ({"deployment": deployment(3)}, "gateway", "the champion has no HTTPRoute diabetes-model yet"),
        (
            {"deployment": deployment(3), "httproutes": route(CHAMPION)},
            "gateway shadow",
            "the component canary cannot be combined with shadow",
        ),
    ],
    ids=["no champion", "no pod of it", "a champion without its route", "a shadow"],
)
def test_what_cannot_share_is_named(
    begin: Callable[..., None], objects: dict[str, Any], components: str, words: str
) -> None:
    """What stands in the way of a share is said before anything is deployed."""
    cluster = Running(ROUTES, **objects)

    with pytest.raises(SlipwayError, match=words):
        begin(cluster, components)

    assert cluster.done == []
