"""The pods that rendered objects make, and selectors that look for them."""

from dataclasses import dataclass
from typing import Any

from tests.manifests.kustomizing import Object

TEMPLATES = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


@dataclass(frozen=True)
class Pod:
    """What one object makes: its labels, and its specification."""

    owner: Object
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def containers(self) -> list[dict[str, Any]]:
        """The containers, also those that only prepare."""
        return [*self.spec["containers"], *self.spec.get("initContainers", [])]


def find_pods(objects: list[Object]) -> list[Pod]:
    """Return the pods of all objects that make some; KServe hands an InferenceService's own labels on to them."""
    found = []
    for each in objects:
        if each["kind"] in TEMPLATES:
            template = each["spec"]["template"]
            found.append(Pod(each, template["metadata"]["labels"], template["spec"]))
        elif each["kind"] == "CronJob":
            template = each["spec"]["jobTemplate"]["spec"]["template"]
            found.append(Pod(each, template["metadata"]["labels"], template["spec"]))
        elif each["kind"] == "InferenceService":
            found.append(Pod(each, each["metadata"]["labels"], each["spec"]["predictor"]))
    return found


def find(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector that says something meets these labels."""
    return bool(selector) and selector.items() <= labels.items()


def describe(each: Object) -> str:
    """Return how a finding calls an object."""
    return f"{each['kind']} {each['metadata']['name']}"
