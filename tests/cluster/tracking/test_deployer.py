"""The deployer in the cluster, beside MLflow.

From an alias that moves to the version that answers, with no machine of ours between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests
from mlflow import MlflowClient

from slipway.deployer import in_cluster, store
from slipway.kubernetes import mlflow
from slipway.registry import model_files, model_uri
from slipway.registry.client import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.tracking.conftest import Tracked

pytestmark = pytest.mark.thorough  # its fixture alone takes five minutes of CI

ALPHAS = ("0.05", "0.2", "0.3")  # each better on the held-out rows than the one before
MODEL = "diabetes-model"
KINDS = "all,networkpolicies,persistentvolumeclaims,secrets,configmaps,serviceaccounts,roles,rolebindings"


@dataclass
class Followed:
    """A cluster that follows @champion: `versions` are registered, and the first two have images there."""

    tracked: Tracked
    versions: list[int]
    said: str  # by make deploy_deployer

    def set_alias(self, version: int) -> None:
        """Have @champion stand for a version, as MLflow's page does."""
        with mlflow.reached(self.tracked.settings, self.tracked.cluster) as here:
            Registry.connect(here).move_champion("diabetes", version)

    def find_champion(self) -> int | None:
        """Return which version @champion stands for."""
        with mlflow.reached(self.tracked.settings, self.tracked.cluster) as here:
            return Registry.connect(here).find_champion("diabetes")

    def find_answering(self) -> int | None:
        """Return the version that answers, or None when none does."""
        service = self.tracked.cluster.get("service", MODEL)
        try:
            return (
                int(requests.get(f"http://{service['spec']['clusterIP']}/readyz", timeout=5).json()["version"])
                if service
                else None
            )
        except requests.RequestException:
            return None

    def list_ended(self, version: int) -> list[dict[str, Any]]:
        """Return the deployments of a version that have ended, newest first."""
        with self.tracked.cluster.forwarded(f"service/{in_cluster.NAME}", in_cluster.PORT) as url:
            found = requests.get(f"{url}/deployments", timeout=10).json()["deployments"]
        return [each for each in found if each["version"] == version and each["state"] in store.ENDED]

    def settle(self, version: int) -> dict[str, Any]:
        """Set the alias to a version, wait until the deployment that this brings has ended, and return that."""
        before = len(self.list_ended(version))
        self.set_alias(version)
        self.tracked.wait(lambda: len(self.list_ended(version)) > before, f"the deployment of version {version} ends")
        return self.list_ended(version)[0]


@pytest.fixture(scope="module")
def followed(tracked: Tracked) -> Iterator[Followed]:
    """Register three versions, bring two in, and deploy the deployer; in the end take everything away."""
    before = tracked.list_versions().keys()
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        for alpha in ALPHAS:
            variables = {"RUNTIME": "host", "MLFLOW_TRACKING_URI": here.tracking_uri}
            tracked.make("train_model", TRAIN_ARGS=f"--alpha {alpha} --repeats 1", **variables)
        versions = sorted(tracked.list_versions().keys() - before)
        for version in versions[:2]:
            tracked.make("push_model", MODEL=f"models:/diabetes/{version}", MLFLOW_TRACKING_URI=here.tracking_uri)
    yield Followed(tracked, versions, tracked.make("deploy_deployer"))
    tracked.make("undeploy_deployer")
    tracked.make("undeploy")


def test_a_moved_alias_is_followed(followed: Followed) -> None:
    """Each new @champion answers, on MLflow's event, after gate and smoke tests in the deployer's pod."""
    first, second = followed.versions[:2]
    done = [followed.settle(first), followed.settle(second)]

    assert [each["state"] for each in done] == ["done", "done"]
    assert [each["by"] for each in done] == ["MLflow's event"] * 2
    assert [step["name"] for step in done[1]["steps"]][1:] == [
        "gate",
        "image",
        "smoke test",
        "alias",
        "roll out",
        "smoke test there",
    ]
    assert followed.find_answering() == second


@pytest.mark.parametrize(
    ("image", "state", "words"),
    [
        ("", "failed", "no image of version"),
        ("127.0.0.1:9/diabetes:v3-000000000000", "rolled back", "does not roll out"),
    ],
    ids=["none was pushed", "it is not where the registry says"],
)
def test_a_version_without_its_image_is_put_back(followed: Followed, image: str, state: str, words: str) -> None:
    """A version that cannot run there is refused, or rolled out and back.

    The alias goes back, and the one before answers.
    """
    _, second, third = followed.versions
    if image:
        with mlflow.reached(followed.tracked.settings, followed.tracked.cluster) as here:
            registry = Registry.connect(here)
            model_files.record_image(registry, model_uri.resolve(registry, f"models:/diabetes/{third}"), image)
    deployment = followed.settle(third)

    assert (deployment["state"], followed.find_champion(), followed.find_answering()) == (state, second, second)
    assert words in deployment["reason"]


def test_it_has_only_the_rights_it_uses(followed: Followed) -> None:
    """Its account may change the model's Deployment, read no Secret, and do nothing outside its namespace."""
    cluster = followed.tracked.cluster
    account = f"system:serviceaccount:{cluster.namespace}:{in_cluster.NAME}"

    def may(*arguments: str) -> bool:
        return cluster.ask("auth", "can-i", *arguments, "--as", account).code == 0

    assert may("patch", "deployments.apps")
    assert may("create", "pods")  # that a version is tried in
    assert may("create", "configmaps")  # that a model's own settings generate
    assert not any(may(verb, "secrets") for verb in ("get", "list", "watch", "create", "patch", "delete"))
    assert not any(may("create", what) for what in ("roles.rbac.authorization.k8s.io", "namespaces"))
    assert not may("create", "pods", "--subresource", "exec")
    assert not may("get", "deployments.apps", "--all-namespaces")


def test_its_records_outlive_its_pod(followed: Followed) -> None:
    """What was printed reads its token, by which it takes a request; its pod is replaced, and the records are there."""
    cluster = followed.tracked.cluster
    first, second = followed.versions[:2]
    token = cluster.run("get", "secret", in_cluster.NAME, "--output", "go-template={{.data.token | base64decode}}")
    followed.tracked.kill(f"app.kubernetes.io/name={in_cluster.NAME}")
    cluster.run("rollout", "status", f"deployment/{in_cluster.NAME}", "--timeout", "60s", seconds=70)
    with cluster.forwarded(f"service/{in_cluster.NAME}", in_cluster.PORT) as url:
        known = {each["version"] for each in requests.get(f"{url}/deployments", timeout=10).json()["deployments"]}
        wanted = {"model": f"models:/diabetes/{second}"}
        refused = requests.post(f"{url}/deployments", json=wanted, timeout=10)
        taken = requests.post(
            f"{url}/deployments", json=wanted, headers={"Authorization": f"Bearer {token}"}, timeout=10
        )

    assert f"port-forward service/{in_cluster.NAME} {in_cluster.PORT}" in followed.said
    assert token not in followed.said
    assert known >= {first, second}
    assert (refused.status_code, taken.status_code, taken.json()["version"]) == (401, 200, second)


def test_nothing_of_it_is_left(followed: Followed) -> None:
    """`make undeploy_deployer` takes away all of it, its registration in MLflow too; the model keeps serving."""
    followed.tracked.make("undeploy_deployer")
    cluster = followed.tracked.cluster
    answer = cluster.ask("get", KINDS, "--selector", in_cluster.LABELS, "--output", "name")
    with mlflow.reached(followed.tracked.settings, cluster) as here:
        hooks = json.dumps([hook.name for hook in MlflowClient(here.tracking_uri).list_webhooks()])

    assert (answer.code, answer.out) == (0, "")
    assert "slipway-cluster" not in hooks
    assert followed.find_answering() == followed.versions[1]
