"""A cluster that pulls: from the registry that `make start_registry` runs, by digest."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import requests

from slipway import ports
from slipway.settings import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.conftest import Served

PODS = "app.kubernetes.io/instance=diabetes"


@pytest.fixture
def registry(served: Served) -> Iterator[str]:
    """Return the address of a registry of the test's own; nothing of it is left."""
    port = str(ports.find_free())
    served.stack.variables["REGISTRY_PORT"] = port
    served.make("start_registry")
    yield f"127.0.0.1:{port}"
    served.make("stop_registry")
    shutil.rmtree(STATE / "registry" / port)


@pytest.mark.thorough
def test_a_cluster_pulls_what_was_pushed(served: Served, registry: str) -> None:
    """REGISTRY=… pushes the image, and pins it by its digest: the pods run just that.

    The registry keeps it over a stop.
    """
    said = served.deploy(2, REGISTRY=registry, IMAGE_LOAD="")
    image = served.get("deployment", "diabetes-model")["spec"]["template"]["spec"]["containers"][0]["image"]
    repository, digest = image.split("@")
    pods = [pod for pod in served.cluster.list("pods", PODS) if pod["spec"]["containers"][0]["image"] == image]
    ran = {each["imageID"].rpartition("@")[2] for pod in pods for each in pod["status"]["containerStatuses"]}
    pushed = said.split("docker tag ")[1].split()[0]
    digests, identity = served.stack.docker(
        "image", "inspect", "--format", "{{json .RepoDigests}} {{.Id}}", pushed
    ).split()
    answering = served.find_answering()
    served.make("stop_registry")
    served.make("start_registry")
    kept = requests.get(f"http://{registry}/v2/diabetes/manifests/{digest}", headers={"Accept": "*/*"}, timeout=30)
    served.deploy(1)

    assert repository == f"{registry}/diabetes"
    assert image in digests
    assert ran <= {digest, identity}
    assert ran
    assert answering == 2
    assert kept.ok
