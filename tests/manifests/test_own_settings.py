"""A model's own settings of a deployment: the folder kubernetes/ in its folder, as docs/kubernetes.md has it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from slipway import settings
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import manifests
from slipway.kubernetes.traffic import BY_WEIGHT, Share
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.settings import ROOT
from tests.conftest import changed
from tests.manifests.pods import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.manifests.kustomizing import Object

EXAMPLE = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8"), re.DOTALL)
PREPARED = Prepared(
    ModelRef("models:/diabetes/3", "", "diabetes", "3", "0" * 32),
    Path(),
    '{"name": "diabetes", "metrics": {"rmse": 1.0}}',
    Lock(Path()),
)
IMAGE = "registry.example/team/diabetes:v3-abc"


@pytest.fixture
def render(kubectl: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Object]]:  # noqa: ARG001 -- needed
    """Return a function that renders a version with the model folder's kustomization; its challenger, with `pods`."""
    monkeypatch.setattr(manifests, "BUILD", tmp_path / "build")
    own = tmp_path / "model" / "kubernetes"
    own.mkdir(parents=True)

    def run(kustomization: str, components: str = "", share: Share | None = None, pods: int = 0) -> list[Object]:
        (own / "kustomization.yaml").write_text(kustomization)
        loaded = changed(
            settings.load(),
            model_dir=own.parent,
            cluster={"context": "team", "namespace": "models", "components": components.split()},
        )
        loaded = changed(loaded, serving={"scoring": {"SCORING_DRAIN": "60"}})
        if pods:
            return read(manifests.render_challenger(loaded, PREPARED, IMAGE, "cloud", pods))
        return read(manifests.render(loaded, PREPARED, IMAGE, "cloud", share))

    return run


def read(manifest: Path) -> list[Object]:
    """Return the objects of a rendered file."""
    return list(yaml.safe_load_all(manifest.read_text()))


def find_deployment(objects: list[Object], instance: str) -> Object:
    """Return the Deployment of a model, or of its challenger."""
    return next(each for each in find(objects, "Deployment") if each["metadata"]["name"] == f"{instance}-model")


def test_the_example_has_the_last_word(render: Callable[..., list[Object]]) -> None:
    """The example of the documentation changes replicas, memory, nodes, pull secret, host and TLS.

    All else is as without it.
    """
    objects = render(EXAMPLE[0], "ingress gateway", Share(BY_WEIGHT, 10))
    deployment, ingress = find_deployment(objects, "diabetes"), find(objects, "Ingress")[0]
    spec = deployment["spec"]["template"]["spec"]
    container = spec["containers"][0]

    assert len(EXAMPLE) == 1
    assert deployment["spec"]["replicas"] == 3
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["nodeSelector"] == {"pool": "models"}
    assert spec["tolerations"][0]["key"] == "pool"
    assert container["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "4Gi"}}
    assert ingress["spec"]["rules"][0]["host"] == "diabetes.example"
    assert [path["path"] for path in ingress["spec"]["rules"][0]["http"]["paths"]] == ["/model", "/diabetes"]
    assert ingress["spec"]["tls"] == [{"hosts": ["diabetes.example"], "secretName": "diabetes-tls"}]
    assert (container["image"], spec["terminationGracePeriodSeconds"]) == (IMAGE, 85)
    assert {"name": "SCORING_IDENTITY", "value": PREPARED.identity} in container["env"]


def test_a_challenger_has_it_too(render: Callable[..., list[Object]]) -> None:
    """A challenger runs with the same resources, in its own number of pods."""
    challenger = find_deployment(render(EXAMPLE[0], "network", pods=2), "diabetes-challenger")
    container = challenger["spec"]["template"]["spec"]["containers"][0]

    assert challenger["spec"]["replicas"] == 2
    assert container["resources"]["limits"] == {"memory": "4Gi"}


def test_it_comes_after_what_a_deployment_computes(render: Callable[..., list[Object]]) -> None:
    """What a deployment sets by itself, such as the time to end, is no longer the last word where the model has one."""
    patch = '[{"op": "replace", "path": "/spec/template/spec/terminationGracePeriodSeconds", "value": 300}]'
    objects = render(f"{yaml.dump(manifests.COMPONENT)}patches: [{{target: {{kind: Deployment}}, patch: '{patch}'}}]\n")

    assert find_deployment(objects, "diabetes")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 300


def test_what_is_no_component_is_refused(render: Callable[..., list[Object]]) -> None:
    """A kustomization of another kind is refused in kustomize's words, and a folder without one by name."""
    with pytest.raises(SlipwayError, match=r"cannot be rendered: [a-z].*Component"):
        render("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: my-\n")
    with pytest.raises(SlipwayError, match=r"has no kustomization\.yaml") as raised:
        manifests.find_own(ROOT / "deploy")

    assert raised.value.code == USAGE


@pytest.mark.parametrize("pods", [0, 1], ids=["champion", "challenger"])
def test_what_it_brings_is_ours(render: Callable[..., list[Object]], pods: int) -> None:
    """What kubernetes/ generates has the labels by which an undeployment, or the next deployment, deletes it."""
    kind = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    objects = render(f"{kind}configMapGenerator: [{{name: words, literals: [GREETING=hello]}}]\n", pods=pods)
    (words,) = find(objects, "ConfigMap")
    labels = {"app.kubernetes.io/instance": "diabetes", "app.kubernetes.io/part-of": "slipway"}

    assert words["metadata"]["labels"] == labels | ({"app.kubernetes.io/component": "challenger"} if pods else {})
