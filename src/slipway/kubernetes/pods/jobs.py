"""Jobs: what one is made from, and several of one command, created at once and followed until each has ended.

A Job each, not one Indexed Job: every Kubernetes has them, and each is tried again alone, up to its own backoffLimit.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError
from slipway.kubernetes import manifests
from slipway.kubernetes.pods import diagnosis, job_log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster

GROUP = f"{manifests.PREFIX}group"  # labels the Jobs of one command, and their pods
USER = 10001  # as in base_container/Dockerfile
POLL_S = 3.0  # between two looks
REFUSED_S = 30.0  # for which a cluster takes no pod while none of the group runs, until that is final
WORDS = 10  # lines of a log that are read to say why a pod failed


@dataclass(frozen=True)
class Job:
    """What a Job is made from: `container` has image, command, env and resources, as Kubernetes writes them.

    `secret` names a Secret of the namespace whose keys become variables, where it is there; `claims` are what is
    mounted: path -> (PersistentVolumeClaim, read only?).
    """

    name: str
    kind: str  # such as training: labels it
    group: str
    container: dict[str, Any]
    secret: str
    retries: int
    annotations: dict[str, str] = field(default_factory=dict)
    claims: Mapping[str, tuple[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A Job as the cluster has it, and its pods, oldest first."""

    job: dict[str, Any]
    pods: list[dict[str, Any]]

    def has(self, condition: str) -> bool:
        """Whether it is Complete, or Failed: no pod of it follows."""
        found = self.job.get("status", {}).get("conditions", [])
        return any((each["type"], each["status"]) == (condition, "True") for each in found)

    @property
    def has_ended(self) -> bool:
        """Whether no pod of it follows."""
        return self.has("Complete") or self.has("Failed")


def describe(job: Job, namespace: str, place: Path) -> dict[str, Any]:
    """Return the kustomization of a Job, in the folder `place`; who can do what is in deploy/kubernetes (pure)."""
    spec, first = "/spec/template/spec", "/spec/template/spec/containers/0"
    labels = {"app.kubernetes.io/name": f"slipway-{job.kind}", "app.kubernetes.io/component": job.kind}
    labels |= {"app.kubernetes.io/part-of": "slipway", GROUP: job.group}
    claims = list(dict.fromkeys(claim for claim, _ in job.claims.values()))
    written = {claim for claim, is_read_only in job.claims.values() if not is_read_only}
    volumes = [{"claimName": claim, "readOnly": claim not in written} for claim in claims]
    mounts = [
        {"name": f"claim-{claims.index(claim)}", "mountPath": path, "readOnly": is_read_only}
        for path, (claim, is_read_only) in job.claims.items()
    ]
    group = {"fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"} if claims else {}
    changes = [
        ("replace", "/metadata/name", job.name),
        ("add", "/metadata/annotations", job.annotations),
        ("replace", "/metadata/labels", labels),
        ("replace", "/spec/template/metadata/labels", labels),
        ("replace", "/spec/backoffLimit", job.retries),
        ("replace", f"{first}/name", job.kind),
        ("replace", f"{first}/envFrom/0/secretRef/name", job.secret),
        *(("add", f"{first}/{key}", value) for key, value in job.container.items()),
        *(("add", f"{spec}/securityContext/{key}", value) for key, value in group.items()),
        *(
            ("add", f"{spec}/volumes/-", {"name": f"claim-{at}", "persistentVolumeClaim": volume})
            for at, volume in enumerate(volumes)
        ),
        *(("add", f"{first}/volumeMounts/-", mount) for mount in mounts),
    ]
    patch = [{"op": operation, "path": path, "value": value} for operation, path, value in changes]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(manifests.MANIFESTS / "training", place)],
        "namespace": namespace,
        "patches": [{"target": {"kind": "Job"}, "patch": json.dumps(patch)}],
    }


def render(jobs: Sequence[Job], namespace: str, place: Path) -> Path:
    """Write the manifests of Jobs into a folder, and return the one file that has all."""
    for job in jobs:
        (place / job.name).mkdir(parents=True, exist_ok=True)
        described = json.dumps(describe(job, namespace, place / job.name), indent=2)
        (place / job.name / "kustomization.yaml").write_text(described, encoding="utf-8")  # JSON is YAML
    whole = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return manifests.write(place, whole | {"resources": [job.name for job in jobs]})


class Group:
    """The Jobs of one command, by their label. `again` is the command that follows them again."""

    def __init__(self, cluster: Cluster, name: str, again: str) -> None:
        self.cluster, self.name, self._again = cluster, name, again
        self.seen: dict[str, Seen] = {}  # at the last look, or before they were gone
        self._ended: dict[str, Seen] = {}  # remembered, since the cluster removes them in time
        self._hopeless: dict[str, str] = {}  # Jobs that we end, and why
        self._said: set[str] = set()
        self._lost: set[str] = set()  # pods of which that was said
        self._last_run = time.monotonic()

    def look(self) -> dict[str, Seen]:
        """Return the Jobs that are there. Raises ClusterUnreachableError when the cluster does not answer for long."""
        words = f"the Jobs of {self.name} may still be running"
        jobs, pods = job_log.ask_patiently(self._list, self.say, words, self._again)
        found = {each["metadata"]["name"]: Seen(each, []) for each in jobs}
        for pod in sorted(pods, key=lambda each: str(each["metadata"]["creationTimestamp"])):
            if owner := found.get(pod["metadata"].get("labels", {}).get("job-name", "")):
                owner.pods.append(pod)
        self.seen |= found
        return found

    def create(self, place: Path, jobs: Sequence[Job]) -> None:
        """Create Jobs, unless another has just created one of that name, which is then followed instead."""
        manifest = render(jobs, self.cluster.namespace, place)
        answer = self.cluster.ask("create", "--filename", str(manifest), seconds=120)
        others = [line for line in answer.err.splitlines() if line.strip() and "(AlreadyExists)" not in line]
        if answer.code != 0 and (others or not answer.err):
            cure = self.cluster.show("auth", "can-i", "create", "jobs")
            raise SlipwayError(f"the cluster does not create the Jobs: {others[-1] if others else answer.last}", cure)
        for name in (job.name for job in jobs):
            self._ended.pop(name, None)

    def follow(self, names: Sequence[str], show: Callable[[dict[str, Seen]], None]) -> dict[str, str]:
        """Look, and `show` what is seen, until these Jobs have ended; return those that failed, and why.

        A Job alone is not tried again when its program failed; one of several is, since the others go on meanwhile.
        One whose pod can never start is ended. Raises SlipwayError when the cluster lets none run.
        """
        failed: dict[str, str] = {}
        while True:
            seen = self._ended | self.look()
            if gone := [name for name in names if name not in seen]:
                raise SlipwayError(f"the Job {gone[0]} is gone: somebody deleted it", self._again)
            for name in (each for each in names if seen[each].has_ended and each not in self._ended):
                self._ended[name] = seen[name]
                if seen[name].has("Failed"):
                    failed[name] = self._hopeless.get(name) or self.explain(seen[name])
                    if len(names) > 1:
                        self.say(f"{name} failed: {failed[name]}")
            show(seen)
            waiting = {name: seen[name] for name in names if not seen[name].has_ended}
            if not waiting:
                return failed
            if len(names) == 1:
                self._check_alone(names[0], waiting[names[0]])
            self._check(waiting)
            time.sleep(POLL_S)

    def explain(self, seen: Seen) -> str:
        """Return why a Job failed: its last pod's last words, and how that ended."""
        if not seen.pods:
            return "none of its pods is left"
        pod = seen.pods[-1]
        name, ending = pod["metadata"]["name"], job_log.read_ending(pod)
        statuses = pod.get("status", {}).get("containerStatuses", [])
        ends = [(each["name"], each.get("state", {}).get("terminated")) for each in statuses]
        why = next((diagnosis.explain_end(pod, container, end) for container, end in ends if end), "")
        why = why or (ending.reason if ending else "")
        words = next((line for line in reversed(self.read_log(name, WORDS)) if line.strip()), "")
        return f"{words} ({name}: {why})" if words else f"{name}: {why}"

    def read_log(self, pod: str, lines: int) -> list[str]:
        """Return the last lines of a pod's log; none when there is none."""
        answer = self.cluster.ask_silently("logs", f"pod/{pod}", "--tail", str(lines))
        return answer.out.splitlines() if answer.code == 0 else []

    def read_code(self, name: str) -> int:
        """Return the exit code of the last pod of a Job that was seen and has ended."""
        pods = self.seen[name].pods if name in self.seen else []
        ending = job_log.read_ending(pods[-1]) if pods else None
        return ending.code if ending else 1

    def read_result(self, name: str) -> dict[str, Any]:
        """Return the object in JSON that the last pod of a Job wrote last; {} when its log is gone."""
        pods = self.seen[name].pods if name in self.seen else []
        for line in reversed(self.read_log(pods[-1]["metadata"]["name"], WORDS) if pods else []):
            with suppress(ValueError):
                if isinstance(found := json.loads(line), dict):
                    return found
        return {}

    def delete(self) -> None:
        """Delete all Jobs, and wait for their pods: only then does nothing of them work any more."""
        foreground = ("--cascade=foreground", "--wait", "--timeout=60s")
        self.cluster.run("delete", "jobs", "--selector", f"{GROUP}={self.name}", *foreground, seconds=70)
        self._ended.clear()

    def say(self, words: str) -> None:
        """Say what goes on, once."""
        if words not in self._said:
            self._said.add(words)
            job_log.say(words)

    def _list(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        jobs, pods = (self.cluster.list(kind, f"{GROUP}={self.name}", strict=True) for kind in ("jobs.batch", "pods"))
        return jobs, pods

    def _check_alone(self, name: str, seen: Seen) -> None:
        ended = [
            each for each in seen.pods if (ending := job_log.read_ending(each)) and ending.code and not ending.lost
        ]
        if ended and name not in self._hopeless:
            self._hopeless[name] = self.explain(Seen(seen.job, ended[:1]))
            self._lost |= {each["metadata"]["name"] for each in ended}
            self.end(name)

    def _check(self, waiting: dict[str, Seen]) -> None:
        """Say what pods wait for; end a Job whose pod never starts. Raises SlipwayError when none may start."""
        refused, reasons = "", ""
        for name, seen in waiting.items():
            for lost in seen.pods:
                ending = job_log.read_ending(lost)
                if ending and ending.code and lost["metadata"]["name"] not in self._lost:
                    self._lost.add(lost["metadata"]["name"])
                    self.say(f"{name} tries again: {self.explain(Seen(seen.job, [lost]))}")
            pod = next((each for each in reversed(seen.pods) if not job_log.read_ending(each)), None)
            if pod is None:
                refused = refused or (diagnosis.read_refusal(self.cluster, name) if not seen.pods else "")
                continue
            try:
                wait = job_log.describe_wait(pod)
            except SlipwayError as error:
                self._hopeless[name] = error.message
                self.end(name)
                continue
            if not wait:
                self._last_run = time.monotonic()
            reasons = reasons or (f"{name}: {wait}" if wait else "")
        if refused or reasons:
            self.say(refused or reasons)
        silent = time.monotonic() - self._last_run
        if (refused and silent > REFUSED_S) or (reasons and silent > job_log.UNSCHEDULED):
            for name in waiting:
                self.end(name)
            raise SlipwayError(f"no pod starts: {refused or reasons}", self.cluster.show("get", "events"))

    def end(self, name: str) -> None:
        """End a Job, whose ended pods stay, with their logs, until its time to live is over."""
        self.cluster.ask("patch", "job", name, "--patch", json.dumps({"spec": {"activeDeadlineSeconds": 1}}))
