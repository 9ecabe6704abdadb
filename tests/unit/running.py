"""A cluster that is made up, in which one champion runs: what it has, and what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slipway.kubernetes.rollout import Kubernetes
from slipway.shell import Answer

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.settings import Settings

OPEN, CLOSED = {"app.kubernetes.io/name": "slipway-model"}, {"app.kubernetes.io/component": "champion"}
CHAMPION, CHALLENGER = {"name": "diabetes-model", "port": 80}, {"name": "diabetes-challenger-model", "port": 80}


class Running:
    """A cluster in which one champion runs, as far as a canary looks at it."""

    context, namespace = "team", "models"

    def __init__(self, kinds: str = "", **objects: dict[str, Any]) -> None:
        self.kinds, self.objects = kinds, objects
        self.done: list[tuple[str, ...]] = []

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object by its kind; the challenger's as `challenger`."""
        return self.objects.get("challenger" if name.startswith("diabetes-challenger") else kind.partition(".")[0])

    def ask(self, *arguments: str, words: str | None = None) -> Answer:
        """List the kinds that it knows; nothing gets ready, and nobody has locked anything or lacks a right."""
        if arguments[0] == "rollout":
            return Answer(1, err="error: timed out waiting for the condition")
        if arguments[0] == "create":
            assert words
            return Answer(1, err="Error from server (NotFound): there is nothing of that kind")
        assert arguments[0] == "api-resources"
        return Answer(0, self.kinds)

    read = ask

    def show(self, *arguments: str) -> str:
        """Return a command as one could type it."""
        return " ".join(["kubectl", *arguments])

    def find(self, manifest: Path) -> list[dict[str, Any]]:
        """Return what runs of the champion's own."""
        assert manifest
        return [self.objects["deployment"]] if "deployment" in self.objects else []

    def list(self, kind: str, labels: str, *, strict: bool = False) -> list[dict[str, Any]]:
        """Return the objects of a kind; whose they are is not looked at."""
        assert labels or strict
        return [found] if (found := self.objects.get(kind.partition(".")[0])) else []

    def make_namespace(self) -> None:
        """Have one."""

    def apply(self, manifest: Path) -> None:
        """Note what is applied."""
        self.done.append(("apply", str(manifest)))

    def run(self, *arguments: str, seconds: float = 0, again: bool = False) -> str:
        """Note what is done to it."""
        assert seconds >= 0 or again
        self.done.append(arguments)
        return ""

    def check(self) -> None:
        """Answer."""


def run(loaded: Settings, cluster: Running) -> Kubernetes:
    """Return the champion in a cluster."""
    champion = Kubernetes(loaded)
    champion.cluster = cluster  # type: ignore[assignment]
    return champion


def route(*backends: dict[str, Any]) -> dict[str, Any]:
    """Return an HTTPRoute with these backends."""
    return {"spec": {"rules": [{"backendRefs": [*backends]}]}}


def service(selector: dict[str, str]) -> dict[str, Any]:
    """Return a Service with a selector."""
    return {"spec": {"selector": selector}}


def deployment(version: int, replicas: int = 2) -> dict[str, Any]:
    """Return a Deployment of which all pods answer."""
    labels, annotations = (
        {"app.kubernetes.io/instance": "diabetes"},
        {"io.slipway/model": "diabetes", "io.slipway/version": str(version)},
    )
    containers = [{"image": f"slipway/diabetes:v{version}"}]
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}
    kind = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "diabetes-model", "labels": labels}}
    return kind | {"spec": {"replicas": replicas, "template": template}, "status": {"availableReplicas": replicas}}
