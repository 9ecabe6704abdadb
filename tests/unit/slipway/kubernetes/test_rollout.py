"""What a deployment finds in a cluster that is made up: a challenger's share, the Gateway, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slipway import settings
from slipway.errors import SlipwayError
from slipway.kubernetes import image_delivery, manifests
from slipway.kubernetes.cluster.kinds import ROUTES
from slipway.kubernetes.traffic import BY_PODS, BY_WEIGHT, Share
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from tests.conftest import changed
from tests.unit.running import CHALLENGER, CHAMPION, CLOSED, OPEN, Running, deployment, route, run, service

if TYPE_CHECKING:
    from slipway.settings import Settings


@pytest.fixture
def loaded() -> Settings:
    """Return settings that name a cluster."""
    return changed(
        settings.load(), runtime="docker", cluster={"context": "team", "namespace": "models", "components": []}
    )


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
    objects = {
        "service": service(selector),
        "challenger": {"kind": "Deployment"},
        **({"httproutes": route(*backends)} if backends else {}),
    }

    assert run(loaded, Running(ROUTES, **objects)).find_share() == share


def test_without_a_challenger_there_is_no_share(loaded: Settings) -> None:
    """A route to a challenger that is gone, or a Service for any pod, is put right by the next deployment."""
    cluster = Running(ROUTES, httproutes=route(CHAMPION, CHALLENGER), service=service(OPEN))

    assert run(loaded, cluster).find_share() is None


def test_a_gateway_is_missed_early(loaded: Settings) -> None:
    """A cluster that knows no HTTPRoute is named, before anything is deployed to it."""
    champion = run(changed(loaded, cluster={"components": ["gateway"]}), Running("deployments.apps"))

    with pytest.raises(
        SlipwayError, match="the cluster team does not have HTTPRoute, which the component gateway needs"
    ) as raised:
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
    champion = run(changed(loaded, cluster={"components": ["gateway"], "gateway": said}), cluster)

    assert champion.find_choices()[0].cluster.gateway == gateway


def test_a_pod_without_a_node_is_explained(loaded: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A version that is not ready in time because no node takes its pods is undone, and the error says why."""
    prepared = Prepared(ModelRef("models:/diabetes/4", "", "diabetes", "4"), Path(), "{}", Lock(Path()))
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("{apiVersion: apps/v1, kind: Deployment, metadata: {name: diabetes-model}}")
    monkeypatch.setattr(image_delivery, "deliver_version", lambda *_: "slipway/diabetes:v4")
    monkeypatch.setattr(manifests, "render", lambda *_: manifest)
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    pod = {"metadata": {"name": "diabetes-model-1"}, "status": {"phase": "Pending", "conditions": [condition]}}
    cluster = Running(pods=pod, deployment=deployment(3))

    with pytest.raises(
        SlipwayError, match="no node can take diabetes-model-1: 0/1 nodes are available: 1 Insufficient cpu"
    ):
        run(changed(loaded, cluster={"rollout_timeout": 0}), cluster).roll_out(prepared)

    assert [words[:2] for words in cluster.done] == [
        ("apply", str(manifest)),
        ("rollout", "status"),
    ]  # nothing had changed


def test_keys_are_not_forgotten_in_silence(loaded: Settings) -> None:
    """Whoever has the API ask for keys here does not get an open one in a cluster."""
    champion = run(changed(loaded, serving={"scoring": {"SCORING_API_KEYS_FILE": "keys"}}), Running("deployments.apps"))

    with pytest.raises(
        SlipwayError,
        match="SCORING_API_KEYS_FILE is a file on this machine, which cannot be deployed to a cluster",
    ):
        champion.find_choices()
