"""What is different in a pod of the cluster: no context, no rights on namespaces, no engine, one target."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from slipway import runtimes, shell
from slipway import settings as slipway_settings
from slipway.deployer import in_cluster, service
from slipway.errors import SlipwayError
from slipway.kubernetes import image_delivery, manifests, rollout
from slipway.kubernetes.cluster.kubectl import Cluster
from slipway.kubernetes.rollout import Kubernetes
from slipway.registry import model_files
from slipway.registry.model_uri import ModelRef
from slipway.settings import IN_CLUSTER
from tests.conftest import changed

if TYPE_CHECKING:
    from slipway.settings import Settings

MODEL = ModelRef("models:/diabetes/3", "somewhere", "diabetes", "3")
TAG = "slipway/diabetes:v3-0123456789ab"


class Tagged:
    """A registry with one version, and its tags."""

    def __init__(self, tags: dict[str, str]) -> None:
        self.tags = tags

    def find_version(self, name: str, number: str) -> SimpleNamespace:
        """Return the version."""
        assert (name, number) == ("diabetes", "3")
        return SimpleNamespace(tags=self.tags)

    def tag_version(self, _name: str, _number: str, tag: str, value: str) -> None:
        """Set a tag."""
        self.tags[tag] = value


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings as the deployer's pod has them."""
    for name, value in {"RUNTIME": "host", "CONTEXT": IN_CLUSTER, "NAMESPACE": "ml", "MODEL_DIR": "model"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    return slipway_settings.load()


def test_only_a_pod_is_in_a_cluster(inside: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine of ours `in-cluster` is the name of a context like any other, and RUNTIME=host deploys to none."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    outside = slipway_settings.load()

    assert inside.cluster.is_inside
    assert not outside.cluster.is_inside
    assert Cluster(outside).command("get")[:3] == ["kubectl", "--context", IN_CLUSTER]
    with pytest.raises(SlipwayError, match="RUNTIME=host does not build one"):
        Kubernetes(outside)


def test_kubectl_takes_the_service_account(inside: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a context kubectl uses the pod's account; nothing is asked of namespaces, on which that has no rights."""
    asked: list[list[str]] = []

    def ask(command: list[str], **_: object) -> shell.Answer:
        asked.append(command)
        return shell.Answer(0)

    monkeypatch.setattr("slipway.shell.ask", ask)
    Cluster(inside).make_namespace()
    Cluster(inside).check()

    assert Cluster(inside).command("get", "pods") == ["kubectl", "--namespace", "ml", "get", "pods"]
    assert [command for command in asked if "namespace" in command or "--context" in command] == []


def test_it_deploys_to_the_cluster_alone(inside: Settings) -> None:
    """Its one target is the cluster; elsewhere it is this machine, and the cluster when CONTEXT names one."""
    assert [target.name for target in service.list_targets(inside)] == [rollout.Kubernetes.name]
    outside = changed(inside, runtime="docker", cluster={"is_inside": False, "context": "prod"})
    assert [target.name for target in service.list_targets(outside)] == ["local", "kubernetes"]


def test_an_image_comes_from_outside(inside: Settings) -> None:
    """Where no engine is, the image is the one that was noted in the registry.

    Without a note it is said how to bring one in.
    """
    registry = Tagged({})
    prepared: Any = SimpleNamespace(model=MODEL, registry=registry)
    with pytest.raises(SlipwayError, match="no image of version 3 has been pushed") as refused:
        runtimes.of(inside).image(prepared)
    model_files.record_image(registry, MODEL, TAG)  # type: ignore[arg-type] # as far as it goes

    assert refused.value.cure
    assert refused.value.cure.startswith("make push_model MODEL=models:/diabetes/3")
    assert runtimes.of(inside).image(prepared) == TAG
    assert image_delivery.deliver_version(inside, prepared) == TAG


def test_a_delivered_version_is_noted(inside: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make deploy` and `make push_model` deliver is noted as the version's, as the cluster calls it.

    Of no version nothing is.
    """
    registry, outside = Tagged({}), changed(inside, runtime="docker", cluster={"is_inside": False})
    monkeypatch.setattr("slipway.runtimes.docker.Docker.image", lambda *_: TAG)
    monkeypatch.setattr("slipway.kubernetes.image_delivery.deliver", lambda _, tag: f"registry.example/{tag}")
    unregistered: Any = SimpleNamespace(model=replace(MODEL, version=None), registry=registry)
    image_delivery.deliver_version(outside, unregistered)
    before = dict(registry.tags)
    prepared: Any = SimpleNamespace(model=MODEL, registry=registry)

    assert image_delivery.deliver_version(outside, prepared) == f"registry.example/{TAG}"
    assert before == {}
    assert registry.tags == {model_files.IMAGE_TAG: f"registry.example/{TAG}"}


def test_its_names_differ_from_other_deployers(inside: Settings) -> None:
    """MLflow tells the deployer of a namespace from one on a machine of ours, which may follow the same registry."""
    there = service.name_hook(in_cluster._inside(inside).services)  # noqa: SLF001 -- the fact it is about

    assert there == "slipway-cluster-ml-8002"
    assert manifests.make_name(there) == there
