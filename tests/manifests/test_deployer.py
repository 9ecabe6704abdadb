"""The deployer as a deployment writes it.

Closed like every other pod, and with no more rights in the cluster than it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from slipway import settings as slipway_settings
from slipway.deployer import in_cluster
from slipway.kubernetes import manifests
from slipway.settings import ROOT
from tests.conftest import changed
from tests.manifests import references, schemas
from tests.manifests.pods import describe, find, find_pods
from tests.manifests.security import RULES
from tests.manifests.test_schemas import VERSIONS

if TYPE_CHECKING:
    from tests.manifests.kustomizing import Object

IMAGE = "registry.example:5000/team/deployer-kubernetes@sha256:" + "0123456789abcdef" * 4
OTHER = {  # rules of a model's pod that are others here
    "it has no token of the cluster", "it is asked whether it is ready", "it is asked whether it started",
    "it writes into limited memory only",
}  # fmt: skip
READING, CHANGING = {"get", "list", "watch"}, {"create", "patch", "delete"}


@pytest.fixture(scope="module")
def deployer(kubectl: None, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:  # noqa: ARG001 -- needed
    """Return its objects."""
    place = tmp_path_factory.mktemp("deployer").resolve()
    settings = changed(
        slipway_settings.load(),
        model_dir=ROOT / "model",
        cluster={"namespace": "ml", "components": ["network", "autoscaling"]},
        serving={"scoring": {"SCORING_WORKERS": "2", "SCORING_TLS_KEY": "/a/file"}},
    )
    kustomization = in_cluster.describe(settings, IMAGE, "http://mlflow.ml:5000", "a-uid", place)
    return list(yaml.safe_load_all(manifests.write(place, kustomization).read_text(encoding="utf-8")))


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(deployer: list[Object], version: str) -> None:
    """Each object is as the release wants it, with no field that it does not know."""
    assert {describe(each): errors for each in deployer if (errors := schemas.find_errors(each, version))} == {}


def test_its_pod_is_closed(deployer: list[Object]) -> None:
    """Its pod keeps the rules of a model's, but that it has a token, and disks.

    Those have a limit, but for the records' volume.
    """
    pod = find_pods(deployer)[0]
    container = pod.containers[0]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    disks = [each["emptyDir"] for each in pod.spec["volumes"] if "emptyDir" in each]

    assert [rule for rule, holds in RULES.items() if not holds(pod.spec, container) and rule not in OTHER] == []
    assert [each for each in disks if "sizeLimit" not in each] == []
    assert {(each["path"], each["httpHeaders"][0]["value"]) for each in probes} == {("/livez", "localhost")}
    assert find(deployer, "Deployment")[0]["spec"]["strategy"] == {"type": "Recreate"}


def test_its_token_is_its_pods_alone(deployer: list[Object]) -> None:
    """The account that has rights hands its token to no pod by itself, and has the one role in its namespace."""
    account, binding = find(deployer, "ServiceAccount")[0], find(deployer, "RoleBinding")[0]

    assert account["automountServiceAccountToken"] is False
    assert find_pods(deployer)[0].spec["serviceAccountName"] == account["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "ml"}]
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["roleRef"]["name"] == find(deployer, "Role")[0]["metadata"]["name"]


def test_its_rights_are_few(deployer: list[Object]) -> None:
    """No rule has a wildcard, or anything of Secrets, accounts and roles.

    It starts nothing in pods, and nothing holds for the cluster.
    """
    rules = find(deployer, "Role")[0]["rules"]
    rights = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    resources = {resource for resource, _ in rights}
    of_pods = {right for right in rights if right[0].split("/")[0] == "pods"}

    assert "*" not in str(rules)
    assert [each for each in deployer if each["kind"].startswith("Cluster")] == []
    assert [
        name
        for name in resources
        if any(word in name for word in ("secret", "account", "role", "token", "exec", "attach"))
    ] == []
    assert {verb for _, verb in rights} <= READING | CHANGING
    assert of_pods == {
        *(("pods", verb) for verb in (*READING, "create", "delete")),
        ("pods/log", "get"),
        ("pods/portforward", "create"),
    }


def test_it_may_apply_what_a_model_consists_of(deployer: list[Object]) -> None:
    """Each kind that some overlay and component renders is one that it may apply and delete."""
    rules = find(deployer, "Role")[0]["rules"]
    applied = {
        (group, name)
        for rule in rules
        for group in rule["apiGroups"]
        for name in rule["resources"]
        if {*rule["verbs"]} >= CHANGING
    }
    rendered = set()
    for folder in ("base", "overlays", "components"):
        for file in (manifests.MANIFESTS / folder).rglob("*.yaml"):
            each = yaml.safe_load(file.read_text(encoding="utf-8"))
            if isinstance(each, dict) and each.get("kind") not in {
                None,
                "Component",
                "Kustomization",
                "InferenceService",
            }:
                name = each["kind"].lower().removesuffix("y") + ("ies" if each["kind"].endswith("y") else "s")
                rendered.add((each["apiVersion"].rpartition("/")[0], name.replace("ingresss", "ingresses")))

    assert rendered <= applied


def test_it_is_told_what_it_needs(deployer: list[Object]) -> None:
    """Image, tracking server, model folder and the server's settings are the deployment's.

    The Secret is mounted, and in no file.
    """
    spec = find_pods(deployer)[0].spec
    container = spec["containers"][0]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    mounted = {each["subPath"]: each["mountPath"] for each in container["volumeMounts"] if each["name"] == "secret"}

    assert find(deployer, "Secret") == []
    assert container["image"] == IMAGE
    assert (variables["RUNTIME"], variables["CONTEXT"]) == ("host", slipway_settings.IN_CLUSTER)
    assert (variables["MLFLOW_TRACKING_URI"], variables["MODEL_DIR"]) == ("http://mlflow.ml:5000", "model")
    assert (variables["SCORING_WORKERS"], variables["COMPONENTS"]) == ("2", "network autoscaling")
    assert "SCORING_TLS_KEY" not in variables
    assert mounted == {name: f"/app/.slipway/deployer/{in_cluster.PORT}/{name}" for name in ("token", "webhook_secret")}
    assert find(deployer, "Deployment")[0]["spec"]["template"]["metadata"]["annotations"] == {
        in_cluster.OPENED_BY: "a-uid"
    }


def test_its_objects_meet(deployer: list[Object]) -> None:
    """Service and policy select what is there.

    All lies in the namespace, and `undeploy_deployer` finds it by its labels.
    """
    faults = [fault for fault in references.find_dangling(deployer) if "0 budgets" not in fault]
    labels = dict(pair.split("=") for pair in in_cluster.LABELS.split(","))
    kinds = {f"{each['kind'].lower()}s".replace("ys", "ies") for each in deployer}

    assert faults == []
    assert {each["metadata"]["namespace"] for each in deployer} == {"ml"}
    assert [describe(each) for each in deployer if not labels.items() <= each["metadata"]["labels"].items()] == []
    assert kinds <= {*in_cluster.KINDS.split(",")}
