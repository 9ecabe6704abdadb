"""What deployed pods withstand: load, an ingress before them, deletion, eviction, a node whose kubelet dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from slipway.settings import ROOT
from tests.conftest import need
from tests.e2e.place import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.conftest import Served

PODS = "app.kubernetes.io/instance=diabetes,app.kubernetes.io/component=champion"
REQUEST = (ROOT / "model" / "request.json").read_bytes()
OUTAGE = 10  # s without a kubelet
SCALED = 240  # s in which an autoscaler does something
UTILIZATION = {"type": "Utilization", "averageUtilization": 10}  # so that a few clients are a load, on any machine


def list_pods(served: Served) -> list[str]:
    """Return the names of the pods that are ready, and not on their way out."""
    pods = [pod for pod in served.cluster.list("pods", PODS) if "deletionTimestamp" not in pod["metadata"]]
    conditions = {pod["metadata"]["name"]: pod["status"].get("conditions", []) for pod in pods}
    return sorted(
        name
        for name, found in conditions.items()
        if {"Ready": "True"} in [{each["type"]: each["status"]} for each in found]
    )


def evict(served: Served, pod: str) -> str:
    """Ask for a pod's eviction, as a drain of its node does; return what the cluster says."""
    path = f"/api/v1/namespaces/{served.cluster.namespace}/pods/{pod}/eviction"
    said = ""
    for version in ("v1", "v1beta1"):  # a cluster takes one of them
        body = {"apiVersion": f"policy/{version}", "kind": "Eviction", "metadata": {"name": pod}}
        said = served.cluster.ask("create", "--raw", path, "--filename", "-", words=json.dumps(body)).words
        if "API version" not in said:
            break
    return said


class Kubelet:
    """The node's kubelet, a process of this machine."""

    def __init__(self, pid: int) -> None:
        """Remember how it was started."""
        self.place = Path(f"/proc/{pid}")
        self.pid, self.folder, self.log = pid, (self.place / "cwd").resolve(), (self.place / "fd" / "1").resolve()
        self.command = [part for part in (self.place / "cmdline").read_text().split("\0") if part]
        variables = [part for part in (self.place / "environ").read_text().split("\0") if "=" in part]
        self.environment = dict(part.split("=", 1) for part in variables)  # without the mark of what tests start

    def kill(self) -> None:
        """SIGKILL it."""
        os.kill(self.pid, signal.SIGKILL)

    def start(self) -> None:
        """Start it again, unless it runs."""
        if find_kubelets():
            return
        with self.log.open("ab") as log:
            subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip


def find_kubelets() -> list[int]:
    """Return the process ids of this machine's kubelets."""
    found = subprocess.run(
        ["pgrep", "--exact", "kubelet", "--runstates", "DRS"], check=False, capture_output=True, text=True
    )
    return [int(word) for word in found.stdout.split()]


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    """Return this machine's kubelet, which runs again afterwards."""
    there = find_kubelets()
    need("kubelet", len(there) == 1, "a cluster whose node is this machine, and root")
    found = Kubelet(there[0])
    yield found
    found.start()


@pytest.mark.thorough
def test_an_ingress_leads_to_it(served: Served) -> None:
    """With COMPONENTS=ingress the API answers below /model and its name.

    The next deployment keeps it, and `none` takes it away.
    """
    served.deploy(1, COMPONENTS="ingress")
    ingress: dict[str, Any] = {}

    def addressed() -> bool:
        ingress.update(served.get("ingress", "diabetes-model"))
        return bool(ingress.get("status", {}).get("loadBalancer", {}).get("ingress"))

    served.wait(addressed, "the ingress has an address")
    host = ingress["status"]["loadBalancer"]["ingress"][0]["ip"]
    headers = {"Content-Type": "application/json"}
    served.wait(lambda: requests.get(f"http://{host}/model/ping", timeout=5).ok, "the ingress knows the service")
    answers = [
        requests.post(f"{base}/invocations", data=REQUEST, headers=headers, timeout=30).json()
        for base in (served.url, f"http://{host}/model", f"http://{host}/diabetes")
    ]
    page = requests.get(f"http://{host}/diabetes/", timeout=30)
    elsewhere = requests.get(f"http://{host}/elsewhere/ping", timeout=30)
    served.deploy(2)
    kept = served.cluster.get("ingress", "diabetes-model")
    served.deploy(1, COMPONENTS="none")

    assert answers[0]["predictions"]
    assert answers[1:] == answers[:1] * 2
    assert page.ok
    assert "html" in page.headers["Content-Type"]
    assert elsewhere.status_code == 404
    assert kept
    assert served.cluster.get("ingress", "diabetes-model") is None


def test_a_deleted_pod_is_replaced(served: Served) -> None:
    """A pod is deleted under load: no request fails, and soon there are as many as before."""
    served.settle(1)
    served.wait(lambda: len(list_pods(served)) == 2, "two pods are ready")
    before = list_pods(served)
    with served.under_load() as load:
        served.cluster.run("delete", "pod", before[0], seconds=90)
        served.wait(lambda: len(list_pods(served)) == 2, "two pods are ready again")

    assert load.failed == []
    assert load.sent > 0
    assert before[0] not in list_pods(served)


def test_the_disruption_budget_is_kept(served: Served) -> None:
    """While one pod is on its way out, the other one's eviction is refused: a drain waits. No request fails."""
    served.settle(1)
    served.wait(lambda: len(list_pods(served)) == 2, "two pods are ready")
    served.wait(lambda: served.get("pdb", "diabetes-model")["status"]["disruptionsAllowed"] == 1, "one may go")
    first, second = list_pods(served)
    with served.under_load() as load:
        went, refused = evict(served, first), evict(served, second)
        served.wait(lambda: first not in list_pods(served) and len(list_pods(served)) == 2, "the first one is replaced")

    assert "Success" in went
    assert "would violate the pod's disruption budget" in refused
    assert second in list_pods(served)
    assert load.failed == []


def test_a_kubelet_that_dies_costs_no_request(served: Served, kubelet: Kubelet) -> None:
    """While the node's kubelet is dead the model answers.

    When it is back, the same pods do, and pods are replaced again.

    In between a kubelet that starts asks each pod anew whether it is ready: where all are on its one node, that can be
    noticed.
    """
    served.settle(1)
    served.wait(lambda: len(list_pods(served)) == 2, "two pods are ready")
    before = list_pods(served)
    with served.under_load() as without:
        kubelet.kill()
        time.sleep(OUTAGE)
    kubelet.start()
    time.sleep(OUTAGE)
    served.wait(lambda: list_pods(served) == before, "the same pods are ready")
    with served.under_load() as load:
        served.cluster.run("delete", "pod", before[0], seconds=90)
        served.wait(lambda: before[0] not in list_pods(served) and len(list_pods(served)) == 2, "a pod is replaced")

    assert without.failed + load.failed == []
    assert without.sent > OUTAGE * CLIENTS


@pytest.mark.thorough
def test_it_scales_up_and_down(served: Served) -> None:
    """With COMPONENTS=autoscaling there are more pods under load, and as few as before after it; no request fails."""
    served.deploy(1, COMPONENTS="autoscaling")
    target = [{"type": "Resource", "resource": {"name": "cpu", "target": UTILIZATION}}]
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    patch = json.dumps({"spec": {"metrics": target, "behavior": at_once}})
    served.cluster.run(
        "patch", "horizontalpodautoscalers.v2.autoscaling", "diabetes-model", "--type", "merge", "--patch", patch
    )
    with served.under_load() as load:
        served.wait(lambda: len(list_pods(served)) > 2, "there are more pods under load", SCALED)
    served.wait(lambda: len(list_pods(served)) == 2, "there are as few as before", SCALED)
    served.deploy(1, COMPONENTS="none")

    assert load.failed == []
