"""Waiting for applied objects until they are ready, or can never be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import MODEL_DID_NOT_LOAD, SlipwayError, TimedOutError
from slipway.kubernetes.cluster import kubectl
from slipway.kubernetes.pods import diagnosis, job_log

if TYPE_CHECKING:
    from slipway.kubernetes.cluster.kubectl import Cluster

POLL_S = 3  # s between two looks at what keeps it
REFUSED = 3  # s for which a cluster takes no pod, until that is final: a pod that ends may make room
RESTARTS = 3  # of a container that will not do better


@dataclass(frozen=True)
class Rollout:
    """A version on its way into all pods of a Deployment."""

    cluster: Cluster
    deployment: str
    labels: str  # of the Deployment and its pods
    version: str
    old: set[str]  # the pods that were there before
    patience: int  # s

    def wait(self, uri: str) -> None:
        """Wait until all pods are new and ready, and say how far that is.

        Raises SlipwayError when they never will be, or not in time.
        """
        started, refused, said = time.monotonic(), 0.0, ""
        print(f"waiting for deployment/{self.deployment}, at most {self.patience} s", flush=True)
        while True:
            glance = time.monotonic()
            answer = self.cluster.ask("rollout", "status", f"deployment/{self.deployment}", "--timeout", f"{POLL_S}s")
            if answer.code == 0:
                return
            found = next(iter(self.cluster.list("deployments.apps", self.labels)), None)
            now = time.monotonic()
            if found and (progress := diagnosis.describe_progress(found)) != said:
                print(f"  {progress}", flush=True)
                said = progress
            refusal = diagnosis.find_refusal(found)
            refused = (refused or now) if refusal else 0.0
            trouble = self._find_trouble() or (refusal if refused and now - refused >= REFUSED else "")
            if trouble or now > started + self.patience:
                late = f"not ready after {self.patience} s (ROLLOUT_TIMEOUT): {said or kubectl.explain(answer)}"
                why = trouble or refusal or diagnosis.find_unplaced(self._list_pods()) or late
                raise SlipwayError(f"{uri} does not roll out: {why}", code=MODEL_DID_NOT_LOAD)
            time.sleep(max(0.0, glance + 1 - now))  # where kubectl failed at once

    def _list_pods(self) -> list[diagnosis.Object]:
        return self.cluster.list("pods", self.labels)

    def _find_trouble(self) -> str:
        """Return why no new pod will ever be ready, with the last words of one, or "" while there is hope."""
        new = [pod for pod in self._list_pods() if pod["metadata"]["name"] not in self.old]
        if not (trouble := diagnosis.find_trouble(new, self.version)):
            return ""
        pod, why = trouble
        words = diagnosis.read_last_words(self.cluster, pod)
        return f"{words} ({why})" if words else why


def wait(cluster: Cluster, what: str, patience: int) -> None:
    """Wait until a Deployment or StatefulSet, such as deployment/mlflow, is rolled out.

    Its pods are those named as it is.

    Raises TimedOutError, with what it waits for, after `patience` s, which come from SERVICES_TIMEOUT; SlipwayError
    when there is no hope.
    """
    deadline, refused = time.monotonic() + patience, 0.0
    kind, _, name = what.partition("/")
    answer = cluster.ask("rollout", "status", what, "--watch=false")
    if answer.code == 0 and "successfully rolled out" not in answer.out and "complete" not in answer.out:
        print(f"waiting for {what}, at most {patience} s", flush=True)
    while True:
        glance = time.monotonic()
        answer = cluster.ask("rollout", "status", what, "--timeout", f"{POLL_S}s")
        if answer.code == 0:
            return
        refusal, now = _find_refusal(cluster, kind, name), time.monotonic()
        refused = (refused or now) if refusal else 0.0
        trouble = _find_trouble(cluster, name) or (refusal if refused and now - refused >= REFUSED else "")
        if trouble or now > deadline:
            labels = f"app.kubernetes.io/name={name}"
            waits = [job_log.describe_wait(pod) for pod in cluster.list("pods", labels)]
            evidence = cluster.show("describe", "pods", "--selector", labels)
            if why := trouble or refusal:
                raise SlipwayError(f"{what} does not come up: {why}", evidence)
            why = "; ".join(filter(None, waits)) or kubectl.explain(answer)
            raise TimedOutError(
                f"time-out: {what} is still starting after {patience} s (SERVICES_TIMEOUT): {why}", evidence
            )
        time.sleep(max(0.0, glance + 1 - now))


def _find_refusal(cluster: Cluster, kind: str, name: str) -> str:
    """Return why the cluster makes no pods: a Deployment says it, for a StatefulSet only its events do."""
    answer = cluster.ask("get", kind, name, "--ignore-not-found", "--output", "json")
    found = next(iter(kubectl.parse(answer)), None) if answer.code == 0 else None
    if kind != "statefulset" or not found or found.get("status", {}).get("replicas"):
        return diagnosis.find_refusal(found)
    return diagnosis.read_refusal(cluster, name)


def _find_trouble(cluster: Cluster, name: str) -> str:
    """Return why a pod will never be ready, or "" while there is hope."""
    for pod in cluster.list("pods", f"app.kubernetes.io/name={name}"):
        for status in pod.get("status", {}).get("containerStatuses", []):
            waiting, ended = (
                status.get("state", {}).get("waiting", {}),
                status.get("lastState", {}).get("terminated", {}),
            )
            if waiting.get("reason") in diagnosis.HOPELESS - {"CrashLoopBackOff"}:
                return diagnosis.describe_wait(waiting)
            if status["restartCount"] >= RESTARTS:
                answer = cluster.ask("logs", pod["metadata"]["name"], "--previous", "--tail", "10")
                last = "\n    ".join(answer.out.splitlines()) if answer.code == 0 else "its log is gone"
                why = diagnosis.explain_end(pod, status["name"], ended)
                return f"it was restarted {status['restartCount']} times ({why}); its last output:\n    {last}"
    return ""
