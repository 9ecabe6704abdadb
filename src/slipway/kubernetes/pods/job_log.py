"""The attempts of a Job, which are its pods: each is followed until it ended.

One that was lost is followed by the next.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from slipway import shell
from slipway.errors import SlipwayError
from slipway.kubernetes.pods import diagnosis

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.kubernetes.cluster.kubectl import Cluster

POLL_S = 2.0  # s between two looks
HEARTBEAT = 30.0  # s after which it is said that it still runs
SILENCE = 300  # s that the cluster may not answer: a laptop that sleeps, a control plane that is updated
UNSCHEDULED = 900  # s that a pod may wait for a node, which the cluster may have to make first
BY_SIGNAL = 128  # an exit code above it is 128 and the signal that killed
OUT_OF_MEMORY = "OOMKilled"
T = TypeVar("T")
STARTED = time.monotonic()  # when this command began


@dataclass(frozen=True)
class Ending:
    """How an attempt ended: by its script, or because its pod was lost (then the Job creates another)."""

    code: int
    reason: str
    lost: bool


class ClusterUnreachableError(SlipwayError):
    """The cluster does not answer; the Job may still be running."""


def read_ending(pod: dict[str, Any]) -> Ending | None:
    """Return how a pod ended, or None while it has not (pure)."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated")
        if ended:
            code, reason = int(ended.get("exitCode", 1)), ended.get("reason", "")
            return Ending(code, reason, lost=code > BY_SIGNAL and reason != OUT_OF_MEMORY)
    if status.get("phase") in {"Failed", "Unknown"}:
        return Ending(1, status.get("reason") or status.get("message") or "how it ended is unknown", lost=True)
    return None


def describe_wait(pod: dict[str, Any]) -> str:
    """Return what a pod that does not run yet waits for, or "" when it runs (pure).

    Raises SlipwayError for what will never come.
    """
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"not scheduled yet: {condition.get('message', '')}"
    for container in status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") in diagnosis.HOPELESS - {"ErrImagePull"}:  # which is tried once more
            raise SlipwayError(
                f"it cannot start: {waiting['reason']}: {waiting.get('message', '')}", "check REGISTRY or IMAGE_LOAD"
            )
        if waiting:
            return f"its container is being created ({waiting.get('reason', '')})"
    return "" if status.get("containerStatuses") else "waiting for a node"


def ask_patiently(ask: Callable[[], T], say_once: Callable[[str], None], words: str, again: str) -> T:
    """Return a cluster's answer; one that does not answer is asked again for a while.

    Raises ClusterUnreachableError, with `words` on what may go on there, and the command that follows it `again`.
    """
    deadline = time.monotonic() + SILENCE
    while True:
        try:
            return ask()
        except SlipwayError as error:
            if time.monotonic() > deadline:
                silence = f"the cluster has not answered for {SILENCE} s, and {words}: {error.message}"
                raise ClusterUnreachableError(silence, again) from None
            say_once("the cluster does not answer")
            time.sleep(POLL_S)


def say(words: str, started: float = STARTED) -> None:
    """Say what goes on, with the time since the beginning."""
    print(f"[{time.monotonic() - started:4.0f} s] {words}", file=sys.stderr, flush=True)


class Followed:
    """A Job that is followed: its waiting and its logs, as they come."""

    def __init__(self, cluster: Cluster, job: str) -> None:
        self.cluster, self.job = cluster, job
        self.started = time.monotonic()
        self._ended: dict[str, Ending] = {}
        self.began_again = False  # whether there was more than one attempt
        self._said = ""

    def follow(self) -> Ending:
        """Return how the attempt that decides ended: the first that was not lost, or the last that there may be.

        Raises SlipwayError when no attempt can start, or the Job is gone, and ClusterUnreachableError when the cluster
        no longer answers.
        """
        while True:
            job, pods = self._look()
            self.began_again = len(self._ended) > 1 or job.get("status", {}).get("failed", 0) > 0
            pod = next((each for each in pods if each["metadata"]["name"] not in self._ended), None)
            if pod:
                self._follow(pod)
            elif any(
                each["type"] == "Failed" and each["status"] == "True"
                for each in job.get("status", {}).get("conditions", [])
            ):
                return (
                    list(self._ended.values())[-1] if self._ended else Ending(1, "none of its pods is left", lost=True)
                )
            else:
                self._say("creating its pod")
                time.sleep(POLL_S)
            last = list(self._ended.values())[-1:]
            if last and not last[0].lost:
                self.began_again = self.began_again or len(self._ended) > 1
                return last[0]

    def _follow(self, pod: dict[str, Any]) -> None:
        """Wait for one pod, show its log, and remember how it ended."""
        name = pod["metadata"]["name"]
        since: list[str] = []
        deadline = time.monotonic() + UNSCHEDULED
        while True:
            ending = read_ending(pod)
            wait = "" if ending else describe_wait(pod)
            if wait:
                self._say(wait)
                if time.monotonic() > deadline:
                    raise SlipwayError(
                        f"{name} has waited for {UNSCHEDULED} s: {wait}", "TRAIN_CPU=…, TRAIN_MEMORY=…, TRAIN_GPU=…"
                    )
                time.sleep(POLL_S)
            elif not ending or not since:
                self._stream(name, since)
                since = [f"--since-time={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"]
                time.sleep(0 if ending else POLL_S / 4)  # the log ends a little before the pod's status says so
            if ending:
                break
            _, pods = self._look()
            found = next((each for each in pods if each["metadata"]["name"] == name), None)
            if found is None:
                ending = Ending(1, "it was deleted", lost=True)
                break
            pod = found
        self._ended[name] = ending
        if ending.lost:
            self._say(f"{name} was lost: {ending.reason}, exit code {ending.code}")

    def _stream(self, pod: str, since: list[str]) -> None:
        """Show a pod's log until it ends, and now and then that it goes on."""
        process = shell.start(self.cluster.command("logs", "--follow", *since, f"pod/{pod}"))
        try:
            while True:
                try:
                    process.wait(HEARTBEAT)
                except subprocess.TimeoutExpired:
                    self._said = ""
                    self._say("it runs")
                else:
                    return
        finally:
            shell.stop(process)

    def _look(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the Job and its pods, oldest first; a cluster that does not answer is asked again for a while."""
        again = f"make train_on_kubernetes JOB={self.job} CONTEXT={self.cluster.context}"
        words = f"the Job {self.job} may still be running"
        job, pods = ask_patiently(
            lambda: (self.cluster.get("job", self.job), self._list_pods()), self._say, words, again
        )
        if job is None:
            raise SlipwayError(f"the Job {self.job} is gone: somebody deleted it")
        return job, sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def _list_pods(self) -> list[dict[str, Any]]:
        """Return the Job's pods; unlike Cluster.list, tell none from no answer."""
        answer = self.cluster.ask("get", "pods", "--selector", f"job-name={self.job}", "--output", "json")
        if answer.code != 0:
            raise SlipwayError(answer.last)
        return list(json.loads(answer.out)["items"])

    def _say(self, words: str) -> None:
        """Say what goes on, once, with the time since the beginning."""
        if words != self._said:
            say(words, self.started)
            self._said = words
