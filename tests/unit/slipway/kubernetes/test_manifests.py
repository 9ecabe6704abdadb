"""What a deployment computes around the manifests."""

from pathlib import Path

import pytest

from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import manifests


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("diabetes", "diabetes"),
        ("My_Model.v2", "my-model-v2-1e445eeb"),
        ("3d", "m-3d"),
        ("a" * 80, "a" * 46),
        ("--", "model-d8156bae"),
    ],
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
        (["autoscale"], "COMPONENTS names autoscale; available: autoscaling, "),
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
