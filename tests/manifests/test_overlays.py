"""What the base, the overlays and the components say about one another and about the server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scoring.settings import Settings
from tests.manifests import kustomizing
from tests.manifests.kustomizing import MANIFESTS, OVERLAYS, Object
from tests.manifests.pods import find
from tests.repo import tree

Render = Callable[[str, str], list[Object]]
DRAIN = Settings(Path()).drain


def deployment(objects: list[Object]) -> dict[str, Any]:
    """Return the specification of the one Deployment."""
    (found,) = find(objects, "Deployment")
    return dict(found["spec"])


@pytest.mark.usefixtures("kubectl")
def test_the_base_is_complete() -> None:
    """The base alone renders to a Deployment, the Service in front of it, and the budget that protects it."""
    assert {each["kind"] for each in kustomizing.kustomize(MANIFESTS / "base")} == {
        "Deployment",
        "Service",
        "PodDisruptionBudget",
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_end_waits_for_requests(render: Render, overlay: str) -> None:
    """A pod gets more time to end than the server takes: the grace, in which it still accepts, and the drain."""
    pod = deployment(render(overlay, "nothing besides"))["template"]["spec"]
    grace = {each["name"]: float(each["value"]) for each in pod["containers"][0]["env"]}["SCORING_GRACE"]

    assert grace >= 5
    assert pod["terminationGracePeriodSeconds"] > grace + DRAIN


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_rollout_never_takes_a_server_away(render: Render, overlay: str) -> None:
    """A rollout adds a pod before it takes one, and allows a start less time than it has itself."""
    spec = deployment(render(overlay, "nothing besides"))
    probe = spec["template"]["spec"]["containers"][0]["startupProbe"]

    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert probe["periodSeconds"] * probe["failureThreshold"] < spec["progressDeadlineSeconds"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_node_can_be_drained(render: Render, overlay: str) -> None:
    """The budget lets one pod go at a time, even where there is but one."""
    (budget,) = find(render(overlay, "nothing besides"), "PodDisruptionBudget")

    assert budget["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in budget["spec"]


def test_a_pod_is_the_images_user(render: Render) -> None:
    """Pods run as the user that the base image has."""
    context = deployment(render("cloud", "nothing besides"))["template"]["spec"]["securityContext"]

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in tree.read("base_container/Dockerfile")


def test_minikube_needs_no_registry(render: Render) -> None:
    """On minikube one replica answers on a port of the node, from an image that is not pulled when it is there."""
    objects = render("minikube", "nothing besides")

    assert deployment(objects)["replicas"] == 1
    assert deployment(objects)["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert [each["spec"]["type"] for each in find(objects, "Service")] == ["NodePort"]


def test_kserve_runs_the_same_container(render: Render) -> None:
    """The InferenceService's pod is the Deployment's, except KServe's name of the container and of the protocol."""
    spec = deployment(render("cloud", "nothing besides"))["template"]["spec"]
    (service,) = find(render("cloud", "kserve"), "InferenceService")
    predictor = service["spec"]["predictor"]
    own = kustomizing.kustomize(MANIFESTS / "base")
    base = deployment(own)["template"]["spec"]
    (container,), (expected,) = predictor["containers"], base["containers"]

    assert container["env"] == [*expected["env"], {"name": "PROTOCOL", "value": "v2"}]
    assert container["image"] == spec["containers"][0]["image"]
    assert {**container, "name": 0, "env": 0, "image": 0} == {**expected, "name": 0, "env": 0, "image": 0}
    assert {name: predictor[name] for name in base.keys() - {"containers", "topologySpreadConstraints"}} == {
        name: base[name] for name in base.keys() - {"containers", "topologySpreadConstraints"}
    }


def test_kserve_replaces_the_deployment(render: Render) -> None:
    """With KServe there is no Deployment and no Service of ours."""
    assert {each["kind"] for each in render("cloud", "kserve")} == {"InferenceService", "PodDisruptionBudget"}


def test_a_canary_has_the_smaller_share(render: Render) -> None:
    """The route weighs champion and challenger, and names each one's own Service."""
    (route,) = find(render("cloud", "canary"), "HTTPRoute")
    weights = {each["name"]: each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]}

    assert weights == {"diabetes-model": 90, "diabetes-challenger-model": 10}


@pytest.mark.usefixtures("kubectl")
def test_a_weight_can_be_set(tmp_path: Path) -> None:
    """A deployment sets the weights by two patches."""
    places = [f"/spec/rules/0/backendRefs/{at}/weight" for at in (0, 1)]
    patches = tuple(("HTTPRoute", "replace", place, weight) for place, weight in zip(places, (25, 75), strict=True))
    (route,) = find(
        kustomizing.kustomize(kustomizing.write(tmp_path / "model", "cloud", ["gateway", "canary"], patches=patches)),
        "HTTPRoute",
    )

    assert [each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]] == [25, 75]


def test_shares_have_one_service(render: Render) -> None:
    """Without a gateway the champion's Service selects the challenger's pods too, and the challenger's only its own."""
    objects = render("cloud", "shares")
    services = {
        each["metadata"]["name"]: each["spec"]["selector"].get("app.kubernetes.io/component")
        for each in find(objects, "Service")
    }

    assert services == {"diabetes-model": None, "diabetes-challenger-model": "challenger"}


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize("name", ["autoscaling-requests", "canary", "shadow"])
def test_what_stands_on_another_says_so(tmp_path: Path, name: str) -> None:
    """A component that changes another's object does not render without it: nobody thinks that a canary runs."""
    folder = kustomizing.write(tmp_path / "model", "cloud", [name])

    with pytest.raises(ValueError, match="no resource matches strategic merge patch"):
        kustomizing.kustomize(folder)
