"""What monitors in a cluster: the CronJob, and how Prometheus comes to the deployer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from slipway import settings as slipway_settings
from slipway.deployer import in_cluster
from slipway.kubernetes import manifests
from tests.conftest import changed
from tests.manifests import kustomizing, schemas
from tests.manifests.pods import describe, find, find_pods, matches
from tests.manifests.security import RULES
from tests.manifests.test_schemas import VERSIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.manifests.kustomizing import Object

OTHER = {  # rules of a model's pod that are others for a job
    "its image is pinned", "it runs the image's own command", "it is asked whether it started",
    "it is asked whether it is ready", "it is asked whether it lives", "it writes into limited memory only",
}  # fmt: skip


@pytest.fixture(scope="module")
def job(kubectl: None) -> list[Object]:  # noqa: ARG001 -- needed
    """Return the objects of the CronJob."""
    return kustomizing.kustomize(manifests.MANIFESTS / "monitor")


@pytest.fixture(scope="module")
def deployer(kubectl: None, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:  # noqa: ARG001 -- needed
    """Return the objects of a deployer with the component monitoring."""
    place = tmp_path_factory.mktemp("deployer").resolve()
    settings = changed(
        slipway_settings.load(),
        cluster={"namespace": "ml", "components": ["monitoring"]},
        monitoring={"every": 86400},
        serving={"log_dir": "s3://bucket/predictions"},
    )
    kustomization = in_cluster.describe(settings, "slipway/deployer:1", "http://mlflow:5000", "a-uid", place)
    return list(yaml.safe_load_all(manifests.write(place, kustomization).read_text(encoding="utf-8")))


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(job: list[Object], deployer: list[Object], version: str) -> None:
    """Each object is as the release wants it, with no field that it does not know."""
    own = [each for each in [*job, *deployer] if schemas.is_own(each)]

    assert {describe(each): errors for each in own if (errors := schemas.find_errors(each, version))} == {}


def test_the_operator_takes_its_kind(deployer: list[Object], folder: Path) -> None:
    """The ServiceMonitor follows the operator's definition."""
    (monitor,) = find(deployer, "ServiceMonitor")

    assert schemas.find_custom_errors(monitor, folder) == []


def test_the_job_has_no_rights(job: list[Object]) -> None:
    """It makes no account and no role, its pod has no token and is closed, and two never run at once."""
    (pod,) = find_pods(job)
    container = pod.containers[0]
    disks = [each["emptyDir"] for each in pod.spec["volumes"] if "emptyDir" in each]

    assert [each["kind"] for each in job] == ["CronJob"]
    assert "serviceAccountName" not in pod.spec
    assert [rule for rule, holds in RULES.items() if not holds(pod.spec, container) and rule not in OTHER] == []
    assert [each for each in disks if "sizeLimit" not in each] == []
    assert job[0]["spec"]["concurrencyPolicy"] == "Forbid"


def test_prometheus_finds_the_deployer(deployer: list[Object]) -> None:
    """The monitor selects its Service and port, the policy its pod; `undeploy_deployer` finds both by their labels."""
    (monitor,), (service,) = find(deployer, "ServiceMonitor"), find(deployer, "Service")
    (policy,) = [each for each in find(deployer, "NetworkPolicy") if each["metadata"]["name"] != "deployer"]
    labels = dict(pair.split("=") for pair in in_cluster.LABELS.split(","))

    assert matches(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert matches(policy["spec"]["podSelector"]["matchLabels"], find_pods(deployer)[0].labels)
    assert [each for each in (monitor, policy) if not labels.items() <= each["metadata"]["labels"].items()] == []
    assert {each["metadata"]["namespace"] for each in (monitor, policy)} == {"ml"}


def test_the_deployer_monitors_where_the_log_is(deployer: list[Object]) -> None:
    """Its pod is told how often to monitor, and of a log in a bucket."""
    variables = {each["name"]: each.get("value") for each in find_pods(deployer)[0].containers[0]["env"]}

    assert (variables["MONITOR_EVERY"], variables["PREDICTION_LOG_DIR"]) == ("86400", "s3://bucket/predictions")
