"""MLflow and Postgres in a cluster: what they keep outlives pods, rollouts, a lost Secret and the deployment itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from slipway.errors import TimedOutError
from slipway.kubernetes import mlflow
from slipway.kubernetes.pods import wait
from slipway.settings import BUILD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.tracking.conftest import Tracked

MLFLOW, POSTGRES = "app.kubernetes.io/name=mlflow", "app.kubernetes.io/name=mlflow-postgres"
NAME = "kept"  # of the registered model that must outlive everything


def read_secret(tracked: Tracked) -> dict[str, Any]:
    """Return the Secret."""
    return tracked.cluster.get("secret", mlflow.SECRET) or {}


def write(tracked: Tracked) -> None:
    """Register a model, unless it is there, through a forwarded port."""
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        requests.post(f"{here.tracking_uri}/api/2.0/mlflow/registered-models/create", json={"name": NAME}, timeout=30)


def is_there(tracked: Tracked) -> bool:
    """Whether the model is registered."""
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        return requests.get(
            f"{here.tracking_uri}/api/2.0/mlflow/registered-models/get", params={"name": NAME}, timeout=30
        ).ok


def test_it_answers_under_every_name(tracked: Tracked) -> None:
    """A pod of the cluster reaches the API by the service's names; a name that is nobody's is refused."""
    names = [*mlflow.list_names(tracked.settings)[2:], "mlflow.elsewhere"]
    request = "urllib.request.Request(sys.argv[1], headers=dict(Host=sys.argv[2]))"
    code = f"import sys, urllib.request\nprint(urllib.request.urlopen({request}).status)"
    service = f"http://{mlflow.MLFLOW}:{mlflow.PORT}{mlflow.API}"
    pod = tracked.find_pod(MLFLOW)["metadata"]["name"]
    answers = {
        name: tracked.cluster.ask("exec", pod, "--", "python", "-c", code, service, f"{name}:5000") for name in names
    }

    assert {name: said.out[-3:] for name, said in answers.items() if name != "mlflow.elsewhere"} == dict.fromkeys(
        names[:-1], "200"
    )
    assert "HTTP Error 403" in answers["mlflow.elsewhere"].err


@pytest.mark.thorough
def test_its_secret_is_made_once(tracked: Tracked) -> None:
    """A second deployment leaves Secret, pods and volumes as they are, and prints and writes no password."""
    before = read_secret(tracked)
    pods = [tracked.find_pod(labels)["metadata"]["uid"] for labels in (MLFLOW, POSTGRES)]
    said = tracked.make("deploy_tracking")
    manifests = "".join(
        path.read_text() for path in BUILD.glob(f"k8s/*/{tracked.settings.cluster.namespace}/_tracking/*/*")
    )

    assert read_secret(tracked)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert [tracked.find_pod(labels)["metadata"]["uid"] for labels in (MLFLOW, POSTGRES)] == pods
    assert manifests
    assert [key for key, value in before["data"].items() if value in manifests + said] == []
    assert "export MLFLOW_TRACKING_URI=" in said


def test_data_outlives_pods_and_rollouts(tracked: Tracked) -> None:
    """What was registered is there after both pods were killed, and after both were rolled out anew."""
    write(tracked)
    for labels in (POSTGRES, MLFLOW):
        tracked.kill(labels)
    after_kill = is_there(tracked)
    tracked.cluster.run("rollout", "restart", "statefulset/mlflow-postgres", "deployment/mlflow")
    with pytest.raises(TimedOutError, match=r"still starting after 0 s \(SERVICES_TIMEOUT\)"):
        wait.wait(tracked.cluster, "deployment/mlflow", 0)
    tracked.cluster.run("rollout", "status", "statefulset/mlflow-postgres", "--timeout", "120s", seconds=130)

    assert after_kill
    assert is_there(tracked)


@pytest.mark.thorough
def test_an_ingress_shows_it(tracked: Tracked) -> None:
    """With TRACKING_HOST an ingress leads to it, and its page may post to it.

    Without, the ingress is no part of the deployment.
    """
    said = tracked.make("deploy_tracking", TRACKING_HOST="mlflow.test")
    ingress = tracked.cluster.get("ingress", "mlflow") or {}
    deployment = tracked.cluster.get("deployment", "mlflow") or {}
    variables = {
        each["name"]: each.get("value") for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        headers = {"Host": "mlflow.test", "Origin": "https://mlflow.test"}
        answer = requests.post(
            f"{here.tracking_uri}/api/2.0/mlflow/experiments/search",
            json={"max_results": 1},
            headers=headers,
            timeout=30,
        )

    assert ingress["spec"]["rules"][0]["host"] == "mlflow.test"
    assert "mlflow.test" in str(variables["MLFLOW_SERVER_ALLOWED_HOSTS"])
    assert answer.status_code == 200
    assert "http://mlflow.test" in said


@pytest.mark.thorough
def test_a_lost_secret_is_made_anew(tracked: Tracked, tmp_path: Path) -> None:
    """When the Secret is gone and the volumes are not, the next deployment gives the database a new password."""
    write(tracked)
    old = read_secret(tracked)
    (tmp_path / "secret.json").write_text(json.dumps(old))
    tracked.cluster.run("delete", "secret", mlflow.SECRET)
    tracked.make("deploy_tracking")

    assert read_secret(tracked)["data"]["postgres-password"] != old["data"]["postgres-password"]
    assert is_there(tracked)


@pytest.mark.thorough
def test_another_major_version_is_refused(tracked: Tracked) -> None:
    """An image of another PostgreSQL than the volume's is refused before anything is changed."""
    process = tracked.start("deploy_tracking", POSTGRES_IMAGE="postgres:16")
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "the data there was written by PostgreSQL 17, and postgres:16 cannot read it" in said


@pytest.mark.thorough
def test_undeployed_it_keeps_its_data(tracked: Tracked) -> None:
    """`make undeploy_tracking` leaves the volumes and the Secret alone; deployed again, the data is there."""
    write(tracked)
    tracked.make("undeploy_tracking")
    kinds = "all,ingresses,networkpolicies,persistentvolumeclaims,secrets,configmaps"
    answer = tracked.cluster.ask("get", kinds, "--selector", mlflow.LABELS, "--output", "name")
    tracked.make("deploy_tracking")

    assert answer.code == 0
    assert sorted(answer.out.split()) == [
        "persistentvolumeclaim/data-mlflow-postgres-0",
        "persistentvolumeclaim/mlflow-artifacts",
        "secret/tracking",
    ]
    assert is_there(tracked)
