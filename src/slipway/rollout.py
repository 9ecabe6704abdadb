"""Kubernetes as a target: a version rolls out, is tested through the cluster, and goes back when it fails."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import requests

from slipway import delivery, folder, hints, rendering, serving, shares, smoke
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError
from slipway.kubectl import Cluster, check_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.serving import Prepared
    from slipway.settings import Settings
    from slipway.shares import Share
    from slipway.smoke import Case

REVISION = "deployment.kubernetes.io/revision"  # annotates a Deployment
NO_COMPONENT = "none"  # in COMPONENTS: without those of the last deployment
GLANCE = 3  # s between two looks at what keeps it
KINDS = ("deployments", "services", "poddisruptionbudgets", "horizontalpodautoscalers", "ingresses", "networkpolicies", "configmaps")
ROUTES, MONITORS = "httproutes.gateway.networking.k8s.io", "servicemonitors.monitoring.coreos.com"
OPTIONAL = (ROUTES, MONITORS, "inferenceservices.serving.kserve.io")  # where the cluster knows them
NEEDED = {  # by a component: a kind that is no cluster's own, and what brings it
    "gateway": (ROUTES, "HTTPRoute", "the Gateway API"),
    "monitoring": (MONITORS, "ServiceMonitor", "the Prometheus operator"),
}
HOPELESS = {
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError",
    "CreateContainerError",
}  # fmt: skip


class Kubernetes:
    """One model in one namespace of one cluster."""

    name = "kubernetes"
    component = shares.CHAMPION

    def __init__(self, settings: Settings, overlay: str = "") -> None:
        check_runtime(settings)
        self.settings, self.overlay = settings, overlay
        self.cluster = Cluster(settings)
        self.instance = rendering.make_name(folder.load(settings.model_dir).name)
        self.deployment = f"{self.instance}-model"
        self._labels = f"app.kubernetes.io/instance={self.instance},app.kubernetes.io/part-of=slipway"
        self._manifest: Path | None = None  # of the last rollout
        self._before: dict[str, Any] | None = None  # the Deployment before it
        self._begun = False
        self._old: set[str] = set()  # pods that were there before it
        self._known: list[str] = []  # the kinds of the cluster, when they were asked for

    @property
    def url(self) -> str | None:
        """Nothing that this machine could open: kubectl port-forward, or an ingress."""
        return None

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        found = self.cluster.get("deployment", self.deployment)
        if not found or not found.get("status", {}).get("availableReplicas"):
            return None
        version = read_annotations(found).get("version", "")
        return int(version) if version.isdigit() else None

    def render(self, prepared: Prepared, image: str) -> Path:
        """Write the version's manifests, by which a challenger keeps its share. Raises SlipwayError for components that cannot be."""
        settings, overlay = self.find_choices()
        share = self.find_share()
        if share and share.component == shares.BY_WEIGHT and "gateway" not in rendering.check_components(settings.components):
            share = None  # the route goes
        if share:
            print(hints.complete("note: a challenger keeps its share of the requests; make canary WEIGHT=0 ends it"), flush=True)
        return rendering.render(settings, prepared, image, overlay, share)

    def find_choices(self) -> tuple[Settings, str]:
        """Return settings with components and Gateway, and the overlay; what is not said is as in the last deployment.

        Raises SlipwayError for components that the cluster cannot have, or whose Deployment is not ours to watch.
        """
        found = self.cluster.get("deployment", self.deployment)
        known = read_annotations(found) if found else {}
        if files := sorted(self.settings.scoring.keys() & serving.FILES):
            cure = f"unset {files[0]}; in a cluster keys and TLS are for what stands before the model, an ingress or a Gateway"
            raise SlipwayError(f"{files[0]} is a file of this machine, which no deployment takes to a cluster", cure, USAGE)
        components = [name for name in self.settings.components or known.get("components", "").split() if name != NO_COMPONENT]
        if "kserve" in components:
            raise SlipwayError("KServe makes the Deployment itself, and make deploy watches none of its", "see docs/kubernetes.md", USAGE)
        for name in NEEDED.keys() & {*rendering.check_components(components)}:
            kind, what, source = NEEDED[name]
            if not self._knows(kind):
                words = f"the cluster {self.cluster.context} knows no {what}, which the component {name} is"
                raise SlipwayError(words, f"install {source} there, or COMPONENTS without {name}")
        route = None if self.settings.gateway or "gateway" not in rendering.check_components(components) else self.find_route()
        gateway = shares.read_gateway(route) if route else self.settings.gateway
        return replace(self.settings, components=components, gateway=gateway), self.overlay or known.get("overlay", "cloud")

    def find_share(self) -> Share | None:
        """Return what gives a challenger its share, or None where there is none."""
        challenger = shares.name(self.instance)
        if not self.cluster.get("deployment", challenger):
            return None
        return shares.read(self.cluster.get("service", self.deployment), self.find_route(), challenger)

    def find_route(self) -> dict[str, Any] | None:
        """Return the route to the model, or None where there is none."""
        return self.cluster.get(ROUTES, self.deployment) if self._knows(ROUTES) else None

    def roll_out(self, prepared: Prepared) -> None:
        """Have the version answer in all replicas. Raises SlipwayError when it does not: the one before is back, or nothing is left."""
        self._manifest = self.render(prepared, delivery.deliver_version(self.settings, prepared))
        self._before, self._begun = self.cluster.get("deployment", self.deployment), True
        self._old = {pod["metadata"]["name"] for pod in self._list_pods()}
        self.cluster.make_namespace()
        self.cluster.apply(self._manifest)
        try:
            self._wait(prepared)
        except BaseException:
            self.undo()
            raise

    def check(self, prepared: Prepared, case: Case) -> None:
        """Put a case to the API through the cluster."""
        with self.cluster.forwarded(f"deployment/{self.deployment}", 8080) as url:
            smoke.ask(self.settings, replace(case, url=url))
            try:
                answers = requests.get(f"{url}/readyz", timeout=10).json().get("version")
            except (requests.RequestException, ValueError) as error:
                raise SlipwayError(f"{self.deployment} does not say which version it is: {type(error).__name__}") from None
        if answers != prepared.model.version:
            raise SlipwayError(f"version {answers} answers in {self.cluster.context}, not {prepared.model.version}")
        self.prune()

    def undo(self) -> None:
        """Go back to what was there before the last rollout: its revision, or nothing. A failure is a warning: why we go back counts."""
        if not self._begun:
            return
        try:
            if self._before:
                self._return_to(self._before["metadata"].get("annotations", {}).get(REVISION, "0"))
            else:
                self.clear()
        except SlipwayError as error:
            hints.say_cure(f"warning: the way back failed: {error.message}", "make deploy_status")

    def _return_to(self, revision: str) -> None:
        patience = self.settings.rollout_timeout
        self.cluster.run("rollout", "undo", f"deployment/{self.deployment}", f"--to-revision={revision}")
        self.cluster.run("rollout", "status", f"deployment/{self.deployment}", "--timeout", f"{patience}s", seconds=patience + 10)

    def prune(self) -> None:
        """Delete what an earlier deployment had and the present one has not, such as an ingress."""
        labels = f"{self._labels},app.kubernetes.io/component!=challenger"
        there = self.cluster.ask("get", self._find_kinds(), "--selector", labels, "--output", "name").out.split()
        wanted = self.cluster.ask("get", "--filename", str(self._manifest), "--output", "name").out.split()
        if wanted and (old := [name for name in there if "/" in name and name not in wanted]):
            self.cluster.run("delete", *old, "--wait", "--timeout", "120s", seconds=150)

    def clear(self) -> None:
        """Delete what was deployed, and wait until its pods are gone."""
        self.cluster.run("delete", self._find_kinds(), "--selector", self._labels, "--wait", "--timeout", "120s", seconds=150)
        self.cluster.run("wait", "--for=delete", "pods", "--selector", self._labels, "--timeout", "120s", seconds=150)

    def _find_kinds(self) -> str:
        return ",".join([*KINDS, *(kind for kind in OPTIONAL if self._knows(kind))])

    def _knows(self, kind: str) -> bool:
        if not self._known:
            self._known = self.cluster.ask("api-resources", "--output", "name").out.split()
        return kind in self._known

    def _wait(self, prepared: Prepared) -> None:
        deadline = time.monotonic() + self.settings.rollout_timeout
        while True:
            answer = self.cluster.ask("rollout", "status", f"deployment/{self.deployment}", "--timeout", f"{GLANCE}s")
            if answer.code == 0:
                return
            trouble = self._find_trouble(prepared.model.version or "")
            if trouble or time.monotonic() > deadline:
                why = trouble or self._find_unplaced() or answer.last
                raise SlipwayError(f"{prepared.model.uri} does not roll out: {why}", code=MODEL_DID_NOT_LOAD)

    def _find_trouble(self, version: str) -> str:
        """Return why no pod of a version will ever be ready, or "" while there is hope."""
        for pod in self._list_pods():
            of_version = pod["metadata"].get("annotations", {}).get(f"{rendering.PREFIX}version", "") == version
            if not of_version or pod["metadata"]["name"] in self._old or "deletionTimestamp" in pod["metadata"]:
                continue
            for status in pod.get("status", {}).get("containerStatuses", []):
                waiting = status.get("state", {}).get("waiting", {})
                ended = status.get("lastState", {}).get("terminated") or status.get("state", {}).get("terminated") or {}
                if waiting.get("reason") in HOPELESS or ended.get("exitCode"):
                    return self._explain(pod["metadata"]["name"], waiting, ended)
        return ""

    def _find_unplaced(self) -> str:
        """Return why a pod has no node, or "" when all have one; a node may still come, so that is no reason to give up early."""
        for pod in self._list_pods():
            for condition in pod.get("status", {}).get("conditions", []):
                if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
                    return f"no node takes {pod['metadata']['name']}: {condition.get('message', '')}"
        return ""

    def _list_pods(self) -> list[dict[str, Any]]:
        return self.cluster.list("pods", f"{self._labels},{shares.COMPONENT}={self.component}")

    def _explain(self, pod: str, waiting: dict[str, Any], ended: dict[str, Any]) -> str:
        why = f"it ended with exit code {ended['exitCode']}" if ended else f"{waiting.get('reason')}: {waiting.get('message', '')}"
        for which in ("--previous=true", "--previous=false"):
            answer = self.cluster.ask("logs", pod, which, "--tail", "3")
            if answer.code == 0 and answer.out.strip():
                return f"{answer.out.strip().splitlines()[-1]} ({why})"
        return why


def read_annotations(deployment: dict[str, Any]) -> dict[str, str]:
    """Return which model a Deployment's pods are: model, version, run, commit."""
    found = deployment["spec"]["template"]["metadata"].get("annotations", {})
    return {key.removeprefix(rendering.PREFIX): value for key, value in found.items() if key.startswith(rendering.PREFIX)}
