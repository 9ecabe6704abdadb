"""The tracking server, a training and a batch as a deployment writes them.

Closed, found by each other, and what an API server takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from slipway import settings as slipway_settings
from slipway.kubernetes import batch_jobs, manifests, training_job
from slipway.kubernetes import mlflow as tracking
from slipway.kubernetes.pods import jobs
from tests.conftest import changed
from tests.manifests import references, schemas
from tests.manifests.pods import describe, find, find_pods
from tests.manifests.security import OF_THE_NODE
from tests.manifests.test_schemas import VERSIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.manifests.kustomizing import Object

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGES = {"slipway/mlflow": "slipway/mlflow:0123456789ab", "postgres": f"registry.example:5000/postgres@{DIGEST}"}
PASSWORDS = {"PGPASSWORD", "POSTGRES_PASSWORD", "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"}


@pytest.fixture(scope="module", params=["", "mlflow.example"], ids=["in the cluster", "with an ingress"])
def tracked(request: pytest.FixtureRequest, kubectl: None, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:  # noqa: ARG001 -- needed
    """Return the tracking server's objects."""
    place = tmp_path_factory.mktemp("tracking").resolve()
    settings = changed(
        slipway_settings.load(),
        cluster={"namespace": "ml", "tracking_host": request.param},
        images={"postgres": "postgres:17-alpine"},
    )
    return _render(place, tracking.describe(settings, tracking.Facts(IMAGES, 70, "a-uid"), place))


@pytest.fixture(scope="module")
def training(kubectl: None, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:  # noqa: ARG001 -- needed
    """Return a training's Job."""
    place = tmp_path_factory.mktemp("training").resolve()
    settings = changed(
        slipway_settings.load(),
        cluster={"namespace": "ml"},
        training={"cpu": "2", "memory": "8Gi", "gpu": "1", "retries": "4"},
    )
    container = {
        "image": "slipway/diabetes:train-0123456789ab",
        "command": ["python", "train.py"],
        "env": [{"name": "A", "value": "1"}],
    }
    return _render(place, training_job.describe(settings, "diabetes-train-01234567", container, "a-session", place))


@pytest.fixture(scope="module")
def batch(kubectl: None, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:  # noqa: ARG001 -- needed
    """Return the Jobs of a batch in two shares: its plan, both, its end."""
    settings = changed(slipway_settings.load(), training={"cpu": "2", "memory": "8Gi", "gpu": "", "retries": "4"})
    places = batch_jobs.find_place("DATA", "pvc://rows/in", "/data"), batch_jobs.find_place("OUT", "s3://b/o", "/out")
    made = batch_jobs.make_jobs(
        settings, "slipway/diabetes:v1-0123456789ab", "batch-a", places, ["--keys", "*"], 2, "d"
    )
    rendered = jobs.render([job for step in made for job in step], "ml", tmp_path_factory.mktemp("batch").resolve())
    return list(yaml.safe_load_all(rendered.read_text(encoding="utf-8")))


def _render(place: Path, kustomization: dict[str, Any]) -> list[Object]:
    return list(yaml.safe_load_all(manifests.write(place, kustomization).read_text(encoding="utf-8")))


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(
    tracked: list[Object], training: list[Object], batch: list[Object], version: str
) -> None:
    """Each object is as the release wants it, with no field that it does not know."""
    assert {
        describe(each): errors
        for each in [*tracked, *training, *batch]
        if (errors := schemas.find_errors(each, version))
    } == {}


def test_their_pods_are_closed(tracked: list[Object], training: list[Object], batch: list[Object]) -> None:
    """No container is root, writes to its root, gains rights, has a token, or more memory than it was given."""
    for pod in find_pods([*tracked, *training, *batch]):
        context = pod.spec["securityContext"]
        assert context["runAsNonRoot"]
        assert min(context["runAsUser"], context["runAsGroup"]) > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (pod.spec["automountServiceAccountToken"], pod.spec["enableServiceLinks"]) == (False, False)
        assert [name for name in OF_THE_NODE if pod.spec.get(name)] == []
        for container in pod.containers:
            closed = {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["securityContext"] == closed
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert not container["image"].endswith(":latest")
        assert [
            each for each in pod.spec["volumes"] if "emptyDir" in each and "sizeLimit" not in each["emptyDir"]
        ] == []


def test_no_secret_is_in_them(tracked: list[Object]) -> None:
    """Passwords and keys come from the Secret alone, which is in no file."""
    variables = [each for pod in find_pods(tracked) for container in pod.containers for each in container["env"]]

    assert find(tracked, "Secret") == []
    assert {each["name"] for each in variables if "valueFrom" in each} == PASSWORDS
    assert {each["valueFrom"]["secretKeyRef"]["name"] for each in variables if "valueFrom" in each} == {tracking.SECRET}


def test_they_meet_each_other(tracked: list[Object]) -> None:
    """Services, policies and the ingress select and name what is there.

    One replica has no budget, which could only be in a node's way.
    """
    faults = [fault for fault in references.find_dangling(tracked) if "0 budgets" not in fault]

    assert faults == []
    assert {each["metadata"]["namespace"] for each in tracked} == {"ml"}
    assert {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in tracked} == {"tracking"}


def test_what_a_deployment_finds_out_is_in_them(tracked: list[Object]) -> None:
    """Images, the database image's user, its major version, the Secret's id, and the names of MLflow's address."""
    mlflow, postgres = find(tracked, "Deployment")[0], find(tracked, "StatefulSet")[0]
    variables = {
        each["name"]: each.get("value", "") for each in mlflow["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    hosts = variables["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    ingress = [each["spec"]["rules"][0]["host"] for each in find(tracked, "Ingress")]
    pod = postgres["spec"]["template"]["spec"]

    assert mlflow["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGES["slipway/mlflow"]
    assert pod["containers"][0]["image"] == IMAGES["postgres"]
    assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {70}
    assert postgres["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"][tracking.MAJOR] == "17"
    assert mlflow["spec"]["template"]["metadata"]["annotations"] == {tracking.OPENED_BY: "a-uid"}
    assert {"localhost:*", "mlflow:*", "mlflow.ml:*", "mlflow.ml.svc.cluster.local:*", *ingress} <= {*hosts}
    assert ("https://mlflow.example" in variables.get("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "")) == bool(ingress)


def test_a_training_is_what_was_asked_for(training: list[Object]) -> None:
    """Name, namespace, session, retries, image, resources and environment are the deployment's.

    It ends, and is tidied away.
    """
    job = training[0]
    container = job["spec"]["template"]["spec"]["containers"][0]

    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == ("diabetes-train-01234567", "ml")
    assert job["metadata"]["annotations"] == {training_job.SESSION: "a-session"}
    assert job["spec"]["backoffLimit"] == 4
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert container["image"] == "slipway/diabetes:train-0123456789ab"
    assert container["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}
    assert container["env"] == [{"name": "A", "value": "1"}]


def test_a_batch_is_shared(batch: list[Object]) -> None:
    """Each Job has its step, its volume, a login for S3 from a Secret, and an end."""
    found = {job["metadata"]["name"]: job["spec"] for job in batch}
    pods = {name: spec["template"]["spec"] for name, spec in found.items()}
    commands = {name: pod["containers"][0]["command"] for name, pod in pods.items()}

    assert {name: command[-2:] for name, command in commands.items()} == {
        "batch-a-plan": ["--step", "plan"],
        "batch-a-1": ["--step", "1/2"],
        "batch-a-2": ["--step", "2/2"],
        "batch-a-end": ["--keys", "*"],
    }
    for name, pod in pods.items():
        (container,) = pod["containers"]
        assert ("--data /data/in --out s3://b/o" in " ".join(commands[name])) is True
        assert container["envFrom"] == [{"secretRef": {"name": "slipway-batch", "optional": True}}]
        assert {"name": "SCORING_WORKERS", "value": "1"} in container["env"]
        assert container["volumeMounts"][1:] == [{"name": "claim-0", "mountPath": "/data", "readOnly": True}]
        assert pod["volumes"][1:] == [
            {"name": "claim-0", "persistentVolumeClaim": {"claimName": "rows", "readOnly": True}}
        ]
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"]
        assert (pod["restartPolicy"], found[name]["backoffLimit"]) == ("Never", 4)
        assert found[name]["ttlSecondsAfterFinished"] > 0
    assert {job["metadata"]["annotations"][batch_jobs.BATCH] for job in batch} == {"d/2"}
