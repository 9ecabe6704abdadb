"""The trial of a version in a cluster before it rolls out.

In one pod like its own, which no Service reaches and no budget counts.
"""

from __future__ import annotations

import copy
import json
import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import requests

from slipway import hints, shell
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError, TimedOutError
from slipway.kubernetes import manifests
from slipway.kubernetes.cluster import recovery
from slipway.kubernetes.pods import diagnosis
from slipway.polling import poll
from slipway.serving import api_test

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.runtimes.base import Prepared
    from slipway.serving.api_test import Case
    from slipway.settings import Settings

Object = dict[str, Any]  # as its JSON has it
NAME, INSTANCE, COMPONENT = (f"app.kubernetes.io/{key}" for key in ("name", "instance", "component"))
REFERRED = {"ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim"}  # what a pod needs before it starts
SPARE_S = (
    60  # that a trial may last besides its start and its test: what is left over of one that was killed ends by itself
)
POLL_S, TOLD_S = 0.5, 15  # s between two looks at the pod, and between two lines that say what it waits for
PORT = 8080
ROOM = (
    "room for one more pod, which a rollout needs, too; "
    "or less cpu and memory, in the model's kubernetes/ (docs/kubernetes.md)"
)


def describe(objects: list[Object], instance: str, seconds: int) -> list[Object]:
    """Return the trial of the version in rendered objects.

    Its pod, after the policies that hold for pods like it (pure).

    The pod's labels differ from a replica's in each that a Service, a budget or the Deployment itself looks for.
    """
    deployment = find_deployment(objects, instance)
    template, space = deployment["spec"]["template"], deployment["metadata"]["namespace"]
    labels = template["metadata"]["labels"]
    own = {key: value for key, value in labels.items() if key not in _list_selected(objects)} | _label(instance)
    spec = copy.deepcopy(template["spec"])
    spec.pop("topologySpreadConstraints", None)
    spec |= {"restartPolicy": "Never", "activeDeadlineSeconds": seconds + SPARE_S}
    metadata = {
        "name": name(instance),
        "namespace": space,
        "labels": own,
        "annotations": template["metadata"].get("annotations", {}),
    }
    policies = [
        each for each in objects if each["kind"] == "NetworkPolicy" and _selects(each["spec"]["podSelector"], labels)
    ]
    return [
        *(_follow(each, instance) for each in policies),
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]


def find_deployment(objects: list[Object], instance: str) -> Object:
    """Return a model's Deployment among rendered objects (pure). Raises SlipwayError (exit code 2) without one."""
    found = [
        each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Deployment", f"{instance}-model")
    ]
    if not found:
        words = f"the manifests have no Deployment {instance}-model: the model's {manifests.OWN}/ removes or renames it"
        raise SlipwayError(
            words, f"see docs/kubernetes.md; {manifests.OWN}/ changes objects, and leaves their names alone", USAGE
        )
    return found[0]


def has_room(deployment: Object) -> bool:
    """Whether a Deployment ever has a pod more than its replicas.

    One that has not says that there is no room for another (pure).
    """
    strategy = deployment["spec"].get("strategy", {})
    return strategy.get("type") != "Recreate" and str(strategy.get("rollingUpdate", {}).get("maxSurge", 1)) not in {
        "0",
        "0%",
    }


def name(instance: str) -> str:
    """Return the name of a model's trial."""
    return f"{instance}-trial"


def test(settings: Settings, cluster: Cluster, manifest: Path, prepared: Prepared, case: Case) -> bool:
    """Start one pod of a version's rendered Deployment, put a case to it, and delete it, however that ends.

    Returns False where the Deployment leaves no room for one more pod. Raises SlipwayError when the pod does not get
    ready or does not pass, UntestedError when this machine does not end the test.
    """
    objects, instance = recovery.read(manifest), manifests.make_name(prepared.model.name or "model")
    if not has_room(find_deployment(objects, instance)):
        print(
            f"note: {instance}-model allows no extra pod (its strategy), so it is tested after the rollout",
            flush=True,
        )
        return False
    print(f"{prepared.model.uri} is being tested in the pod {name(instance)}, which receives no requests", flush=True)
    try:
        with _running(settings, cluster, instance, objects):
            _wait(settings, cluster, prepared, instance)
            with cluster.forwarded(f"pod/{name(instance)}", PORT) as url:
                api_test.ask(settings, replace(case, url=url))
    except SlipwayError as error:
        raise error.within("in the trial pod, before anything changed: ") from None
    api_test.show(case)
    return True


def look(settings: Settings, cluster: Cluster, where: str, prepared: Prepared, case: Case | None) -> str | None:
    """Put a case, where there is one, to a pod that was rolled out, and return which version it says it is.

    None, with a warning, where this machine does not get to ask: the cluster has said that all pods are ready, and a
    slow machine or a lost connection is no reason to go back. Raises SlipwayError when the case fails.
    """
    try:
        with cluster.forwarded(where, PORT) as url:
            if case:
                api_test.ask(settings, replace(case, url=url))
                api_test.show(case)
            return str(requests.get(f"{url}/readyz", timeout=settings.serving.request_timeout).json().get("version"))
    except (TimedOutError, requests.RequestException, ValueError) as error:
        why = error.message if isinstance(error, TimedOutError) else type(error).__name__
        words = f"warning: {prepared.model.uri} is rolled out and ready, but this machine could not reach it: {why}"
        hints.say_cure(words, "make deploy_status")
        return None


def clear(cluster: Cluster, instance: str, kinds: str = "pods") -> None:
    """Delete a model's trial pod, if any, and wait until it is gone: it occupies what the rollout needs."""
    selector = ",".join(f"{key}={value}" for key, value in _label(instance).items())
    if cluster.list("pods", selector, strict=True):
        cluster.run(
            "delete",
            kinds,
            "--selector",
            selector,
            "--grace-period=1",
            "--wait",
            "--timeout=60s",
            seconds=90,
            again=True,
        )


@contextmanager
def _running(settings: Settings, cluster: Cluster, instance: str, objects: list[Object]) -> Iterator[None]:
    """Run a trial pod during a block, with the missing objects that it refers to."""
    trial = describe(objects, instance, settings.cluster.rollout_timeout + settings.serving.test_timeout)
    kinds = "pods,networkpolicies" if len(trial) > 1 else "pods"
    clear(cluster, instance, kinds)  # what a kill left over
    missing = [
        each
        for each in objects
        if each["kind"] in REFERRED and not cluster.get(each["kind"].lower(), each["metadata"]["name"])
    ]
    try:
        if missing:
            cluster.run("apply", "--filename", "-", words=_join(missing), again=True)
        try:
            cluster.run("apply", "--filename", "-", words=_join(trial), again=True)
        except SlipwayError as error:
            raise SlipwayError(
                f"the cluster rejects the pod that would test the version: {error.message}", ROOM
            ) from None
        yield
    finally:
        try:
            with shell.undisturbed(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                clear(cluster, instance, kinds)
                if missing:
                    delete = ["delete", "--filename", "-", "--ignore-not-found", "--timeout=60s"]
                    cluster.run(*delete, words=_join(missing), seconds=90, again=True)
        except SlipwayError as error:
            hints.say_cure(
                f"warning: the trial pod is still there: {error.message}", cluster.show("delete", "pod", name(instance))
            )


def _wait(settings: Settings, cluster: Cluster, prepared: Prepared, instance: str) -> None:
    began = told = time.monotonic()
    unplaced = ""

    def is_ready() -> bool:
        nonlocal told, unplaced
        pod = cluster.get("pod", name(instance))
        if pod is None:
            raise SlipwayError(f"somebody deleted the pod {name(instance)}", "the same command again")
        status = pod.get("status", {})
        if any((each["type"], each["status"]) == ("Ready", "True") for each in status.get("conditions", [])):
            return True
        _check_hope(cluster, prepared, pod)
        unplaced = diagnosis.find_unplaced([pod])
        if time.monotonic() - told > TOLD_S:
            told = time.monotonic()
            print(
                f"waiting for {name(instance)} for {told - began:.0f} s: {unplaced or status.get('phase', '')}",
                flush=True,
            )
        return False

    if not poll(is_ready, settings.cluster.rollout_timeout, POLL_S):
        late = f"it is not ready after {settings.cluster.rollout_timeout} s (ROLLOUT_TIMEOUT)"
        raise SlipwayError(
            f"{prepared.model.uri} does not roll out: {unplaced or late}", ROOM if unplaced else "", MODEL_DID_NOT_LOAD
        )


def _check_hope(cluster: Cluster, prepared: Prepared, pod: Object) -> None:
    """Raise SlipwayError when a pod will never be ready."""
    status = pod.get("status", {})
    found = diagnosis.find_trouble([pod], prepared.model.version or "")
    ended = (
        f"its pod {status['phase'].lower()}: {status.get('message', '')}"
        if status.get("phase") in {"Failed", "Succeeded"}
        else ""
    )
    if why := found[1] if found else ended:
        last = diagnosis.read_last_words(cluster, pod["metadata"]["name"])
        words = f"{last} ({why})" if last else why
        raise SlipwayError(f"{prepared.model.uri} does not roll out: {words}", code=MODEL_DID_NOT_LOAD)


def _label(instance: str) -> dict[str, str]:
    return {NAME: "slipway-trial", INSTANCE: f"{instance}.trial", COMPONENT: "trial"}  # no model's name has a dot here


def _list_selected(objects: list[Object]) -> set[str]:
    """Return the labels that Services and budgets among the objects look for."""
    found = [
        each["spec"].get("selector") or {} for each in objects if each["kind"] in {"Service", "PodDisruptionBudget"}
    ]
    return {key for selector in found for key in selector.get("matchLabels", selector)}


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _follow(policy: Object, instance: str) -> Object:
    """Return a policy for the trial that is like one for the version's pods."""
    metadata = policy["metadata"] | {"name": f"{policy['metadata']['name']}-trial"}
    metadata["labels"] = metadata.get("labels", {}) | _label(instance)
    return policy | {"metadata": metadata, "spec": policy["spec"] | {"podSelector": {"matchLabels": _label(instance)}}}


def _join(objects: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
