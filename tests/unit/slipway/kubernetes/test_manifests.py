"""What a deployment computes around the manifests."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from scoring.settings import Settings as ServersSettings
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import manifests


@pytest.mark.parametrize(
    ("model", "name"),
    [("diabetes", "diabetes"), ("My_Model.v2", "my-model-v2"), ("3d", "m-3d"), ("a" * 80, "a" * 46), ("--", "m-")],
    ids=["plain", "other characters", "a digit first", "too long", "nothing left"],
)
def test_a_name_is_a_dns_label(model: str, name: str) -> None:
    """A model's objects have a name that Kubernetes takes for each of them."""
    assert manifests.make_name(model) == name


@pytest.mark.parametrize(
    ("image", "entry"),
    [
        ("slipway/diabetes:v1-abc", {"newName": "slipway/diabetes", "newTag": "v1-abc"}),
        ("localhost:5001/diabetes:v1-abc", {"newName": "localhost:5001/diabetes", "newTag": "v1-abc"}),
        ("localhost:5001/diabetes@sha256:12", {"newName": "localhost:5001/diabetes", "digest": "sha256:12"}),
    ],
    ids=["a tag", "a tag, of a registry with a port", "a digest"],
)
def test_an_image_is_named_whole(image: str, entry: dict[str, str]) -> None:
    """A tag or a digest takes the place of the image in the manifests."""
    assert manifests.replace_image("slipway/model", image) == {"name": "slipway/model", **entry}


@pytest.mark.parametrize(
    ("chosen", "ordered"),
    [
        ([], []),
        (["network", "ingress"], ["ingress", "network"]),
        (["canary"], ["gateway", "canary"]),
        (["autoscaling-requests", "monitoring", "autoscaling"], ["autoscaling", "monitoring", "autoscaling-requests"]),
        (["kserve", "network"], ["kserve", "network"]),
    ],
    ids=["none", "two", "one that needs another", "in any order", "what goes with KServe"],
)
def test_components_come_in_order(chosen: list[str], ordered: list[str]) -> None:
    """What changes another component comes after it, and brings it."""
    assert manifests.check_components(chosen) == ordered


def test_a_component_of_ones_own_comes_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder that somebody added comes after all of Slipway's, whose objects it may change, whatever its name is."""
    for name in ("aaa", "autoscaling", "canary", "gateway"):
        (tmp_path / "components" / name).mkdir(parents=True)
        (tmp_path / "components" / name / "kustomization.yaml").touch()
    monkeypatch.setattr(manifests, "MANIFESTS", tmp_path)

    assert manifests.check_components(["aaa", "canary", "autoscaling"]) == ["autoscaling", "gateway", "canary", "aaa"]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (["autoscale"], "COMPONENTS names autoscale; there is: autoscaling, "),
        (["canary", "shadow"], "the component canary cannot be combined with shadow"),
        (["kserve", "ingress"], "the component kserve cannot be combined with ingress"),
    ],
    ids=["unknown", "two that exclude each other", "KServe and what is not its own"],
)
def test_wrong_components_are_named(chosen: list[str], words: str) -> None:
    """A component that is not there, or cannot be combined with another, is an error of usage that says so."""
    with pytest.raises(SlipwayError, match=words) as raised:
        manifests.check_components(chosen)

    assert raised.value.code == USAGE


def test_the_name_is_a_path_once() -> None:
    """A model called `model` gets no second path of the same name."""
    assert manifests.patch_paths("model") == []
    assert len(manifests.patch_paths("diabetes")) == 2


@pytest.mark.parametrize(
    ("gateway", "parent"),
    [("gateway", {"name": "gateway"}), ("infra/public", {"name": "public", "namespace": "infra"})],
    ids=["in the model's namespace", "in another"],
)
def test_a_route_hangs_on_the_gateway_that_was_named(gateway: str, parent: dict[str, str]) -> None:
    """GATEWAY is a name, or a namespace and a name."""
    assert read(manifests.patch_parent(gateway)) == {"HTTPRoute": [parent]}


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
    assert read(manifests.patch_end(overlay, scoring)) == seconds


def test_the_drain_is_the_servers() -> None:
    """What is taken for SCORING_DRAIN where it is not set is the server's own default."""
    (default,) = (each.default for each in fields(ServersSettings) if each.name == "drain")

    assert default == manifests.DRAIN


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_grace_is_a_number_of_seconds(value: str) -> None:
    """What the server would refuse in the pod is refused here."""
    with pytest.raises(SlipwayError, match=f"SCORING_GRACE is '{value}'") as raised:
        manifests.patch_end("cloud", {"SCORING_GRACE": value})

    assert raised.value.code == USAGE


def read(patches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what each kind is given by patches of one operation."""
    return {patch["target"]["kind"]: json.loads(patch["patch"])[0]["value"] for patch in patches}
