"""What the status of a Job's pod says: what it waits for, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from slipway.errors import SlipwayError
from slipway.kubernetes.pods import job_log
from slipway.kubernetes.pods.job_log import ClusterUnreachableError, Ending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.kubernetes.cluster.kubectl import Cluster

Status = dict[str, Any]


def pod(name: str = "one", **status: object) -> Status:
    """Return a pod with this status."""
    return {"metadata": {"name": name, "creationTimestamp": f"2026-01-0{len(name)}"}, "status": status}


def ended(code: int, reason: str = "Error", name: str = "one") -> Status:
    """Return a pod whose container ended."""
    return pod(
        name, phase="Failed", containerStatuses=[{"state": {"terminated": {"exitCode": code, "reason": reason}}}]
    )


@pytest.mark.parametrize(
    ("found", "ending"),
    [
        (pod(phase="Pending"), None),
        (pod(phase="Running", containerStatuses=[{"state": {"running": {}}}]), None),
        (ended(0, "Completed"), Ending(0, "Completed", lost=False)),
        (ended(1), Ending(1, "Error", lost=False)),
        (ended(137), Ending(137, "Error", lost=True)),
        (ended(143), Ending(143, "Error", lost=True)),
        (ended(137, "OOMKilled"), Ending(137, "OOMKilled", lost=False)),
        (pod(phase="Failed", reason="Evicted"), Ending(1, "Evicted", lost=True)),
        (pod(phase="Failed", reason="NodeLost"), Ending(1, "NodeLost", lost=True)),
        (pod(phase="Unknown"), Ending(1, "how it ended is unknown", lost=True)),
    ],
    ids=[
        "waits",
        "runs",
        "done",
        "failed",
        "killed",
        "terminated",
        "out of memory",
        "evicted",
        "lost with its node",
        "unknown",
    ],
)
def test_a_pods_ending_is_its_scripts_or_not(found: Status, ending: Ending | None) -> None:
    """A script ends by itself, or by a signal that was not its fault; memory that ran out is its own."""
    assert job_log.read_ending(found) == ending


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient nvidia.com/gpu"}
                ]
            ),
            "not scheduled yet: 0/3 nodes: Insufficient nvidia.com/gpu",
        ),
        (pod(), "waiting for a node"),
        (
            pod(containerStatuses=[{"state": {"waiting": {"reason": "ContainerCreating"}}}]),
            "its container is being created (ContainerCreating)",
        ),
        (pod(containerStatuses=[{"state": {"running": {}}}]), ""),
    ],
    ids=["no node", "no status", "starts", "runs"],
)
def test_waiting_is_described(found: Status, words: str) -> None:
    """A pod that does not run says what it waits for."""
    assert job_log.describe_wait(found) == words


def test_an_image_that_is_not_there_is_no_waiting() -> None:
    """What will never start is an error with the cluster's words."""
    never = pod(
        containerStatuses=[{"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "image not present"}}}]
    )
    with pytest.raises(SlipwayError, match="it cannot start: ErrImageNeverPull: image not present"):
        job_log.describe_wait(never)


class Scripted(job_log.Followed):
    """A Job whose looks are given, with no cluster and no log."""

    def __init__(self, looks: Iterator[tuple[Status, list[Status]]]) -> None:
        super().__init__(cast("Cluster", None), "job")
        self.looks = looks
        self.streamed: list[str] = []

    def _look(self) -> tuple[Status, list[Status]]:
        return next(self.looks)

    def _stream(self, pod: str, since: list[str]) -> None:  # noqa: ARG002 -- as it is called
        self.streamed.append(pod)


RUNS = pod(containerStatuses=[{"state": {"running": {}}}])
FAILED = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between two looks."""
    monkeypatch.setattr(job_log, "POLL_S", 0.0)


@pytest.mark.parametrize(
    ("looks", "ending", "streamed"),
    [
        ([({}, []), ({}, [RUNS]), ({}, [ended(0, "Completed")])], Ending(0, "Completed", lost=False), ["one"]),
        ([({}, [ended(3)])], Ending(3, "Error", lost=False), ["one"]),
        ([({}, [RUNS]), ({}, []), ({}, [ended(0, "", "second")])], Ending(0, "", lost=False), ["one", "second"]),
        (
            [({}, [ended(137)]), ({}, [ended(137), ended(0, "", "second")])],
            Ending(0, "", lost=False),
            ["one", "second"],
        ),
        ([({}, [ended(137)]), (FAILED, [ended(137)])], Ending(137, "Error", lost=True), ["one"]),
        ([(FAILED, [])], Ending(1, "none of its pods is left", lost=True), []),
    ],
    ids=["done", "ended before it was seen", "deleted, then done", "killed, then done", "killed too often", "no pod"],
)
def test_the_attempt_that_decides(
    looks: list[tuple[Status, list[Status]]], ending: Ending, streamed: list[str]
) -> None:
    """A lost attempt is followed by the next, each log is shown, and the Job ends with the first that was not lost."""
    followed = Scripted(iter(looks))

    assert followed.follow() == ending
    assert list(dict.fromkeys(followed.streamed)) == streamed


def test_a_cluster_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while of no answer the training is left to itself, with the command that follows it again."""

    class Silent:
        context = "prod"

        def get(self, *_: str) -> None:
            raise SlipwayError("no route to host")

    monkeypatch.setattr(job_log, "SILENCE", 0)
    with pytest.raises(ClusterUnreachableError) as raised:
        job_log.Followed(cast("Cluster", Silent()), "job-1").follow()

    assert raised.value.cure == "make train_on_kubernetes JOB=job-1 CONTEXT=prod"
    assert "may still be running: no route to host" in raised.value.message
