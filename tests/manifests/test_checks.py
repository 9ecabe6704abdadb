"""The checks of this folder can fail: each finds the one thing that is wrong in manifests that are otherwise right."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.aliases import Json
from tests.manifests import schemas, security
from tests.manifests.kustomizing import Object
from tests.manifests.pods import find
from tests.manifests.references import find_dangling
from tests.manifests.security import RULES, find_faults

Render = Callable[[str, str], list[Object]]
POD = "spec/template/spec"
CONTAINER = f"{POD}/containers/0"
GONE = object()

BREAKING: dict[str, tuple[str, Any]] = {  # for each rule, a place in the Deployment and what breaks it there
    "its image is pinned": (f"{CONTAINER}/image", "registry.example:5000/diabetes"),
    "it runs the image's own command": (f"{CONTAINER}/command", ["sh"]),
    "it is not root": (f"{POD}/securityContext/runAsUser", 0),
    "its group is not root's": (f"{POD}/securityContext/runAsGroup", GONE),
    "its root is read-only": (f"{CONTAINER}/securityContext/readOnlyRootFilesystem", False),
    "it gains no rights": (f"{CONTAINER}/securityContext/allowPrivilegeEscalation", GONE),
    "it has no capabilities": (f"{CONTAINER}/securityContext/capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
    "seccomp filters its calls": (f"{CONTAINER}/securityContext/seccompProfile", {"type": "Unconfined"}),
    "its share is requested": (f"{CONTAINER}/resources/requests/memory", GONE),
    "its memory has a limit": (f"{CONTAINER}/resources/limits", GONE),
    "it is asked whether it started": (f"{CONTAINER}/startupProbe", GONE),
    "it is asked whether it is ready": (f"{CONTAINER}/readinessProbe/httpGet/path", "/livez"),
    "it is asked whether it lives": (f"{CONTAINER}/livenessProbe/httpGet/port", "metrics"),
    "it has no token of the cluster": (f"{POD}/automountServiceAccountToken", GONE),
    "it is told of no other services": (f"{POD}/enableServiceLinks", True),
    "it shares nothing with its node": (f"{POD}/hostNetwork", True),
    "it writes into limited memory only": (f"{POD}/volumes/0", {"name": "tmp", "hostPath": {"path": "/var"}}),
}

DANGLING = {  # a kind, a place in it, what is written there, and what is found
    "a Service without pods":
        ("Service", "spec/selector/app.kubernetes.io~name", "other", "Service diabetes-model selects no pod"),
    "a Service's port": ("Service", "spec/ports/0/targetPort", "https", "Deployment diabetes-model has no port https"),
    "an Ingress's Service":
        ("Ingress", "spec/rules/0/http/paths/0/backend/service/name", "model", "sends to model:http"),
    "an Ingress's port":
        ("Ingress", "spec/rules/0/http/paths/0/backend/service/port", {"number": 81}, "diabetes-model:81"),
    "a route's Service":
        ("HTTPRoute", "spec/rules/0/backendRefs/1/name", "challenger-model", "sends to challenger-model:80"),
    "a monitor's Service":
        ("ServiceMonitor", "spec/selector/matchLabels/app.kubernetes.io~name", "other", "selects 0 Services"),
    "a monitor of two":
        ("ServiceMonitor", "spec/selector/matchLabels/app.kubernetes.io~component", GONE, "selects 2 Services"),
    "a monitor's port": ("ServiceMonitor", "spec/endpoints/0/port", "metrics", "no Service has metrics"),
    "an autoscaler's target":
        ("HorizontalPodAutoscaler", "spec/scaleTargetRef/name", "model", "scales model, which is not there"),
    "a number beside an autoscaler": ("Deployment", "spec/replicas", 2, "sets replicas too"),
    "a policy without pods":
        ("NetworkPolicy", "spec/podSelector/matchLabels/app.kubernetes.io~name", "other", "selects no pod"),
    "a policy's port": ("NetworkPolicy", "spec/ingress/0/ports/0/port", 80, "opens 80, which no pod has"),
    "a budget without pods":
        ("PodDisruptionBudget", "spec/selector/matchLabels/app.kubernetes.io~name", "other", "selects no pod"),
    "two budgets for a pod":
        ("PodDisruptionBudget", "spec/selector/matchLabels/app.kubernetes.io~component", GONE, "2 budgets, not one"),
    "a Deployment of others' pods":
        ("Deployment", "spec/selector/matchLabels/app.kubernetes.io~component", GONE, "are selected by"),
    "a spread of others' pods": (
        "Deployment", f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~name", "other",
        "spread by others'",
    ),
    "a spread over a challenger, too": (
        "Deployment", f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~component", GONE,
        "spread by others'",
    ),
}  # fmt: skip


def change(objects: list[Object], kind: str, place: str, value: Json) -> list[Object]:
    """Return the objects with one thing changed in the first of a kind.

    `~` in a place stands for the slash of a label's name.
    """
    changed = copy.deepcopy(objects)
    at: Any = find(changed, kind)[0]
    *way, last = [int(part) if part.isdigit() else part.replace("~", "/") for part in place.split("/")]
    for part in way:
        at = at[part]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return changed


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_found(render: Render, rule: str) -> None:
    """Each rule of security.py finds the Deployment that breaks it, and no other rule does."""
    changed = change(render("cloud", "nothing besides"), "Deployment", *BREAKING[rule])

    assert find_faults(changed) == [f"Deployment diabetes-model, container model: not so: {rule}"]


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("slipway/diabetes:v3-0123456789ab", True),
        ("registry.example:5000/team/diabetes@sha256:" + "0" * 64, True),
        ("slipway/diabetes", False),
        ("slipway/diabetes:latest", False),
        ("slipway/diabetes:v3", False),
        ("slipway/diabetes@sha256:abc", False),
    ],
    ids=["content tag", "digest", "nothing", "latest", "a version's tag, which moves", "half a digest"],
)
def test_an_image_is_pinned_by_its_content(image: str, pinned: bool) -> None:
    """Only a digest, or a tag that is made from one, says for good what runs."""
    assert security.RULES["its image is pinned"]({}, {"image": image}) is pinned


@pytest.mark.parametrize("overlay", ["minikube", "cloud"])
def test_kserves_pods_are_looked_at(render: Render, overlay: str) -> None:
    """The rules hold for the pods of an InferenceService too."""
    changed = change(render(overlay, "kserve"), "InferenceService", "spec/predictor/hostPID", value=True)

    assert [fault.rpartition(": ")[2] for fault in find_faults(changed)] == ["it shares nothing with its node"]


@pytest.mark.parametrize(("kind", "place", "value", "found"), DANGLING.values(), ids=DANGLING)
def test_what_dangles_is_found(render: Render, kind: str, place: str, value: Json, found: str) -> None:
    """A reference or selector that misses is found."""
    faults = find_dangling(change(render("cloud", "all with a canary"), kind, place, value))

    assert [fault for fault in faults if found in fault]


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("Service", "no Service"), ("PodDisruptionBudget", "0 budgets, not one"), ("Deployment", "selects no pod")],
    ids=["no Service", "no budget", "no Deployment"],
)
def test_a_missing_companion_is_found(render: Render, kind: str, missing: str) -> None:
    """A Deployment without Service or budget, and those without a Deployment, are found."""
    left = [each for each in render("cloud", "nothing besides") if each["kind"] != kind]

    assert [fault for fault in find_dangling(left) if missing in fault]


def test_a_mirror_that_misses_is_found(render: Render) -> None:
    """A copy of the requests that goes to no Service is found."""
    place = "spec/rules/0/filters/0/requestMirror/backendRef/port"

    assert len(find_dangling(change(render("cloud", "shadow"), "HTTPRoute", place, 8080))) == 1


@pytest.mark.parametrize("version", ["1.25", "1.37"])
@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        ("Deployment", f"{CONTAINER}/livenesProbe", {}),
        ("Deployment", f"{CONTAINER}/ports/0/containerPort", "http"),
        ("Service", "spec/port", 80),
        ("HorizontalPodAutoscaler", "spec/maxReplicas", GONE),
        ("Ingress", "apiVersion", "extensions/v1beta1"),
    ],
    ids=["misspelt, deep inside", "a word for a number", "unknown", "missing", "a version that is gone"],
)
def test_kubernetes_refuses(render: Render, version: str, kind: str, place: str, value: Json) -> None:
    """A field that is misspelt, of the wrong type, unknown or missing is found, in each release."""
    changed = find(change(render("cloud", "all with a canary"), kind, place, value), kind)[0]

    assert len(schemas.find_errors(changed, version)) == 1


@pytest.mark.parametrize(
    ("words", "kind", "broken"),
    [
        ("canary", "HTTPRoute", ("spec/rules/0/backendRefs/0/wieght", 1)),
        ("canary", "HTTPRoute", ("spec/rules/0/backendRefs/0/weight", "ten")),
        ("shadow", "HTTPRoute", ("spec/rules/0/filters/0/type", GONE)),
        ("monitoring", "ServiceMonitor", ("spec/endpoint", [])),
        ("kserve", "InferenceService", ("spec/predictor/containers/0/livenesProbe", {})),
        ("kserve", "InferenceService", ("apiVersion", "serving.kserve.io/v1")),
    ],
    ids=[
        "misspelt",
        "a word for a number",
        "missing",
        "unknown",
        "misspelt, deep inside",
        "a version that is not there",
    ],
)
def test_other_projects_refuse(render: Render, folder: Path, words: str, kind: str, broken: tuple[str, Any]) -> None:
    """A field of a custom resource that is misspelt, of the wrong type, missing or unknown is found."""
    changed = find(change(render("cloud", words), kind, *broken), kind)[0]

    assert len(schemas.find_custom_errors(changed, folder)) == 1
