"""What a training asks of a cluster: resources, and a tracking server that the cluster can reach."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import training_job
from tests.conftest import changed

if TYPE_CHECKING:
    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.settings import Settings


def make_cluster(*, deployed: bool) -> Cluster:
    """Return a cluster with an MLflow of ours, or without."""
    return cast("Cluster", SimpleNamespace(get=lambda *_: {} if deployed else None))


def test_what_is_asked_for(host_settings: Settings) -> None:
    """CPU is a share without a limit; memory has both; devices are nvidia.com/gpu unless named otherwise."""
    plain = training_job.read_resources(changed(host_settings, training={"cpu": "500m", "memory": "4Gi", "gpu": ""}))
    nvidia = training_job.read_resources(changed(host_settings, training={"gpu": "2"}))
    amd = training_job.read_resources(changed(host_settings, training={"gpu": "amd.com/gpu=1"}))

    assert plain == {"requests": {"cpu": "500m", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    assert nvidia["limits"]["nvidia.com/gpu"] == "2"
    assert amd["limits"]["amd.com/gpu"] == "1"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("cpu", "two"), ("cpu", "-1"), ("memory", "4 GB"), ("gpu", "all"), ("gpu", "gpu=1")],
)
def test_a_wrong_quantity_is_named(host_settings: Settings, setting: str, value: str) -> None:
    """A quantity that Kubernetes would refuse is a usage error with the setting's name and an example."""
    with pytest.raises(SlipwayError) as raised:
        training_job.read_resources(changed(host_settings, training={setting: value}))

    assert f"TRAIN_{setting.upper()} is {value!r}" in raised.value.message
    assert f"TRAIN_{setting.upper()}" in raised.value.cure
    assert raised.value.code == USAGE


@pytest.mark.parametrize(
    ("inside", "exported", "deployed", "found"),
    [
        ("http://tracking.other:80", "https://mlflow.example", True, "http://tracking.other:80"),
        ("", "https://mlflow.example", True, "https://mlflow.example"),
        ("", "", True, "http://mlflow.ml:5000"),
        ("", "http://127.0.0.1:5500", True, "http://mlflow.ml:5000"),
        ("", "sqlite:///mlflow.db", True, "http://mlflow.ml:5000"),
    ],
    ids=["told", "one for all", "deployed", "deployed, and forwarded", "deployed, and a file"],
)
def test_the_cluster_has_a_tracking_server(
    host_settings: Settings, inside: str, exported: str, deployed: bool, found: str
) -> None:
    """What is told goes before what is exported, and that before what is deployed.

    An address of this machine is none of the cluster's.
    """
    settings = changed(
        host_settings, cluster={"tracking_uri": inside, "namespace": "ml"}, tracking={"external_uri": exported}
    )

    assert training_job.find_tracking(settings, make_cluster(deployed=deployed)) == found


def test_none_is_an_error(host_settings: Settings) -> None:
    """Without a server that the cluster could reach nothing is begun, and the error says how to get one."""
    settings = changed(host_settings, tracking={"external_uri": ""}, cluster={"context": "prod", "namespace": "ml"})
    with pytest.raises(SlipwayError) as raised:
        training_job.find_tracking(settings, make_cluster(deployed=False))

    assert raised.value.cure.startswith("make deploy_tracking CONTEXT=prod NAMESPACE=ml")


def test_a_password_stays_out_of_manifests(host_settings: Settings) -> None:
    """An address with a password in it is refused, and not repeated; the error says where the password belongs."""
    with pytest.raises(SlipwayError) as raised:
        training_job.find_tracking(
            changed(host_settings, tracking={"external_uri": "https://me:hidden@mlflow.example"}),
            make_cluster(deployed=False),
        )

    assert "hidden" not in str(raised.value)
    assert "kubectl create secret generic slipway-training" in raised.value.cure
