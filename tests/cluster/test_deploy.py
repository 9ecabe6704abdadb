"""From a version in the registry to a Deployment that answers, on a real cluster; and back by itself when it fails."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
import requests

from slipway.settings import ROOT
from tests.cluster.conftest import WITHIN
from tests.e2e.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import Served

NEWEST = 6  # the version after those that are there
OWN = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
replicas: [{name: model, count: 1}]
configMapGenerator: [{name: words, literals: [GREETING=hello]}]
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: model}
      spec: {template: {spec: {containers: [{
        name: model, envFrom: [{configMapRef: {name: words}}], resources: {limits: {memory: 900Mi}}}]}}}
"""
PER_SECOND = 40  # at least, of the 50 that the clients send


def test_a_version_is_deployed_and_tested(served: Served) -> None:
    """`make deploy` ends with a version that answers through the service, tested there.

    It says which, and so does the cluster.
    """
    said = served.deploy(1)
    deployment = served.get("deployment", "diabetes-model")
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    status = served.make("deploy_status")

    assert served.find_answering() == 1
    assert "4 passed" in said
    assert "answers in" in said
    assert (annotations["io.slipway/model"], annotations["io.slipway/version"]) == ("diabetes", "1")
    assert len(annotations["io.slipway/run"]) == 32
    assert deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"] == 2
    assert "2 of 2" in status
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] in status


def test_it_predicts_as_in_compose(served: Served) -> None:
    """The same image that `make serve_model` runs, by its id, answers the same here as there."""
    served.settle(1)
    request = json.loads((ROOT / "model" / "request.json").read_text())
    here = requests.post(f"{served.url}/invocations", json=request, timeout=30).json()
    with served.stack.serve("models:/diabetes/1"):
        served.wait(
            lambda: requests.get(f"http://127.0.0.1:{served.stack.variables['PORT']}/ping", timeout=5).ok,
            "compose's answers",
        )
        there = requests.post(
            f"http://127.0.0.1:{served.stack.variables['PORT']}/invocations", json=request, timeout=30
        ).json()
    image = served.get("deployment", "diabetes-model")["spec"]["template"]["spec"]["containers"][0]["image"]
    pods = served.cluster.list("pods", "app.kubernetes.io/instance=diabetes")
    ran = {pod["status"]["containerStatuses"][0]["imageID"].rpartition("sha256:")[2] for pod in pods}

    assert here == there
    assert ran == {served.stack.docker("image", "inspect", "--format", "{{.Id}}", image).removeprefix("sha256:")}


def test_what_would_change_is_shown(served: Served) -> None:
    """`make diff` shows the new image and changes nothing; for the version that runs, it shows nothing."""
    served.settle(1)
    same, other = (served.make("diff", MODEL=f"models:/diabetes/{version}") for version in (1, 2))

    assert "nothing would change" in same
    assert "slipway/diabetes:v2-" in other
    assert served.find_answering() == 1


@pytest.mark.parametrize(
    ("version", "why", "patience"),
    [
        pytest.param(3, "exit code 9", WITHIN, id="crashes on load", marks=pytest.mark.thorough),
        pytest.param(4, "not ready after 10 s", 10, id="never ready"),
        pytest.param(5, "does not answer as models:/diabetes/5 should", WITHIN, id="fails its smoke test"),
    ],
)
def test_a_bad_one_is_undone(served: Served, version: int, why: str, patience: int) -> None:
    """A version that crashes on load, never gets ready or fails its smoke test gets no request.

    The old one answers throughout.
    """
    served.settle(1)
    with served.under_load() as load:
        code, said = served.stack.try_make("deploy", MODEL=f"models:/diabetes/{version}", ROLLOUT_TIMEOUT=str(patience))
    answering = served.find_answering()

    assert code != 0
    assert why in said, said
    assert "Traceback" not in said
    assert answering == 1
    assert (load.failed, load.versions) == ([], {"1"})
    served.wait(lambda: "trial" not in served.cluster.ask("get", "pods", "--output", "name").out, "its trial is gone")


def test_a_first_one_that_fails_leaves_nothing(served: Served) -> None:
    """Where nothing ran before, a version that fails is taken away whole."""
    served.make("undeploy")
    code, _ = served.stack.try_make("deploy", MODEL="models:/diabetes/3")
    left = served.cluster.ask("get", "all,pdb", "--output", "name").out

    assert code != 0
    assert left.replace("No resources found", "").split() in ([], ["in", "slipway-test", "namespace."])


@pytest.mark.parametrize("changes", [6, pytest.param(20, marks=pytest.mark.thorough)])
def test_rolling_updates_fail_no_request(served: Served, changes: int) -> None:
    """In as many updates as rollbacks under a constant load not one request fails."""
    served.settle(1)
    with served.under_load() as load:
        for change in range(changes):
            version = 2 - change % 2
            command = ["rollout", "undo", "deployment/diabetes-model"]
            if change < 2:
                served.deploy(version)
            else:
                served.cluster.run(*command)
                served.cluster.run("rollout", "status", "deployment/diabetes-model", "--timeout", "100s", seconds=110)
    print(f"{load.sent} requests")

    assert load.failed == []
    assert load.versions == {"1", "2"}
    assert load.sent > changes * PER_SECOND


@pytest.fixture
def own() -> Iterator[Path]:
    """Return a copy of the model's folder with settings of its own: other tests read the folder meanwhile."""
    folder = ROOT / "build" / "model-with-settings"
    shutil.copytree(ROOT / "model", folder)
    (folder / "kubernetes").mkdir()
    (folder / "kubernetes" / "kustomization.yaml").write_text(OWN)
    yield folder
    shutil.rmtree(folder)


def test_a_model_has_its_own_settings(served: Served, own: Path) -> None:
    """What kubernetes/ in its folder says is so in the cluster."""
    served.deploy(1, MODEL_DIR=str(own.relative_to(ROOT)))
    deployment = served.get("deployment", "diabetes-model")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert deployment["status"]["readyReplicas"] == 1
    assert container["resources"]["limits"] == {"memory": "900Mi"}
    assert container["envFrom"][0]["configMapRef"]["name"].startswith("diabetes-words-")


def test_undeploy_leaves_nothing(served: Served) -> None:
    """`make undeploy` takes away all that was deployed; the namespace stays."""
    served.settle(1)
    served.make("undeploy")
    served.wait(lambda: "pod" not in served.cluster.ask("get", "pods", "--output", "name").out, "the pods are gone")
    left = served.cluster.ask(
        "get", "all,pdb,ingress,hpa,networkpolicy,configmap,secret", "--output", "name"
    ).out.split()

    assert [each for each in left if "diabetes" in each] == []


def test_a_rollback_is_one_there_too(served: Served) -> None:
    """`make rollback TARGET=kubernetes` deploys the champion before, tests it there, and then moves the alias."""
    for version in (1, 2):
        served.make("promote", MODEL=f"models:/diabetes/{version}", FORCE="1", WHY="a test's beginning")
    served.deploy(2)
    said = served.make("rollback", TARGET="kubernetes")

    assert "== roll out in" in said
    assert served.find_answering() == 1
    assert Place(served.stack).find_champion() == 1


def test_no_cluster_is_guessed(served: Served) -> None:
    """Without CONTEXT, or with one that kubectl does not know, nothing is touched and the error says what there is."""
    without, unknown = (served.stack.try_make("deploy", CONTEXT=context) for context in ("", "elsewhere"))

    assert without[0] != 0
    assert "CONTEXT is empty: which cluster?" in without[1]
    assert unknown[0] != 0
    assert "kubectl has no context elsewhere; available: " in unknown[1]


@pytest.mark.thorough
def test_minikube_is_the_same_with_its_own_commands(served: Served, tmp_path: Path) -> None:
    """`make deploy_minikube` starts minikube, loads the image, deploys and prints the address.

    Minikube itself by a recorded stand-in.
    """
    record = tmp_path / "commands"
    standin = {
        "PATH": f"{ROOT / 'tests' / 'cluster' / 'minikube_standin'}:{os.environ['PATH']}",
        "MINIKUBE_RECORD": str(record),
        "CLUSTER_IMAGE_LOAD": os.environ["IMAGE_LOAD"],
    }
    served.make("train_model", TRAIN_ARGS="--alpha 0.3 --repeats 1")  # a version whose image is not in the cluster yet
    said = served.make("deploy_minikube", MODEL=f"models:/diabetes/{NEWEST}", IMAGE_LOAD="", **standin)
    url = next(line.split()[1] for line in said.splitlines() if line.startswith("see "))
    commands = [line.split()[2:] for line in record.read_text().splitlines()]
    answers = requests.get(f"{url}/readyz", timeout=30).json()["version"]
    served.make("undeploy_minikube")

    assert [command[0] for command in commands] == ["status", "start", "image", "service"]
    assert commands[2][:2] == ["image", "load"]
    assert commands[2][2].startswith(f"slipway/diabetes:v{NEWEST}-")
    assert answers == str(NEWEST)
