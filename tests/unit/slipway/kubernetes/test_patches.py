"""What a deployment changes in the manifests of a model."""

import json
from dataclasses import fields
from typing import Any

import pytest

from scoring.settings import Settings as ServersSettings
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import patches


def test_the_name_is_a_path_once() -> None:
    """A model called `model` gets no second path of the same name."""
    assert patches.paths("model") == []
    assert len(patches.paths("diabetes")) == 2


@pytest.mark.parametrize(
    ("gateway", "parent"),
    [("gateway", {"name": "gateway"}), ("infra/public", {"name": "public", "namespace": "infra"})],
    ids=["in the model's namespace", "in another"],
)
def test_a_route_hangs_on_the_gateway_that_was_named(gateway: str, parent: dict[str, str]) -> None:
    """GATEWAY is a name, or a namespace and a name."""
    assert read(patches.parent(gateway)) == {"HTTPRoute": [parent]}


@pytest.mark.parametrize(
    ("overlay", "scoring", "seconds"),
    [
        ("cloud", {}, {}),
        ("minikube", {"SCORING_GRACE": "5", "SCORING_DRAIN": "30"}, {}),
        ("cloud", {"SCORING_DRAIN": "60"}, {"Deployment": 85, "InferenceService": 75}),
        ("minikube", {"SCORING_DRAIN": "60"}, {"Deployment": 75, "InferenceService": 75}),
        ("cloud", {"SCORING_GRACE": "20.5"}, {"Deployment": 61, "InferenceService": 61}),
        ("cloud", {"SCORING_GRACE": "12"}, {"InferenceService": 52}),
    ],
    ids=["neither set", "as they are", "cloud has a longer grace", "minikube", "half seconds", "enough in one of them"],
)
def test_a_pod_has_more_time_to_end_than_its_server(
    overlay: str, scoring: dict[str, str], seconds: dict[str, int]
) -> None:
    """With SCORING_GRACE or SCORING_DRAIN set, pods outlast both, by ten seconds where the overlay's own do not."""
    assert read(patches.end(overlay, scoring)) == seconds


def test_the_drain_is_the_servers() -> None:
    """What is taken for SCORING_DRAIN where it is not set is the server's own default."""
    (default,) = (each.default for each in fields(ServersSettings) if each.name == "drain")

    assert default == patches.DRAIN


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_grace_is_a_number_of_seconds(value: str) -> None:
    """What the server would refuse in the pod is refused here."""
    with pytest.raises(SlipwayError, match=f"SCORING_GRACE is '{value}'") as raised:
        patches.end("cloud", {"SCORING_GRACE": value})

    assert raised.value.code == USAGE


def read(given: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what each kind is given by patches of one operation."""
    return {patch["target"]["kind"]: json.loads(patch["patch"])[0]["value"] for patch in given}
