"""What a batch in a cluster is given, and which batch Jobs belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import batch_jobs
from slipway.kubernetes.batch_jobs import Place
from slipway.kubernetes.pods import jobs
from slipway.kubernetes.pods.jobs import Group, Seen
from slipway.serving import batch
from tests.conftest import changed

if TYPE_CHECKING:
    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.settings import Settings

OPTIONS = {"KEYS": "", "FORMAT": "", "PARAMS": ""}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("s3://bucket/rows/", Place("s3://bucket/rows", "s3://bucket/rows")),
        ("pvc://rows/a//b/", Place("pvc://rows/a/b", "/data/a/b", "rows", "/data")),
        ("pvc://rows", Place("pvc://rows", "/data", "rows", "/data")),
    ],
    ids=["a bucket", "a folder of a volume", "a volume"],
)
def test_what_a_pod_reaches(address: str, found: Place) -> None:
    """A bucket as it is; a claim where it is mounted."""
    assert batch_jobs.find_place("DATA", address, "/data") == found


@pytest.mark.parametrize(
    "address",
    ["rows/", "", "/rows", "pvc://", "pvc://Rows/a", "pvc://rows/../b", "pvc://a b/c", f"s3://key:{'word'}@bucket/a"],
)
def test_what_no_pod_reaches(address: str) -> None:
    """It is a usage error that says what would do."""
    with pytest.raises(SlipwayError) as raised:
        batch_jobs.find_place("DATA", address, "/data")

    assert raised.value.code == USAGE
    assert raised.value.cure


@pytest.mark.parametrize("name", ["DATA", "OUT"])
def test_a_volume_needs_a_cluster(host_settings: Settings, name: str) -> None:
    """Without CONTEXT there is nothing that could see it."""
    places = {"DATA": "s3://bucket/rows", "OUT": "s3://bucket/out", name: "pvc://rows/in"}
    settings = changed(host_settings, cluster={"context": ""})
    with pytest.raises(SlipwayError, match=f"{name} is pvc://rows/in: a volume of a cluster"):
        batch.score(settings, "models:/m/1", places["DATA"], places["OUT"], OPTIONS)


def test_kubernetes_expands_no_word_of_a_job(host_settings: Settings) -> None:
    """It has $(…) mean a variable, and $$ one $: params and keys arrive as they were given."""
    place = Place("s3://bucket/rows", "s3://bucket/rows")
    ((job,),) = batch_jobs.make_jobs(host_settings, "image", "batch-1", (place, place), ["--params", "$(A) $$"], 1, "0")

    assert job.container["command"][-2:] == ["--params", "$$(A) $$$$"]


@pytest.mark.parametrize("workers", ["0", "-1", "two", "501"])
def test_shares_are_a_number(workers: str) -> None:
    """From 1 to 500."""
    with pytest.raises(SlipwayError, match="must be a number of Jobs"):
        batch_jobs.read_shares(workers)


def make_job(name: str, mark: str = "d/2", condition: str = "", code: int | None = None) -> Seen:
    """Return a Job, and a pod of it that has ended with a code, or runs."""
    conditions = [{"type": condition, "status": "True"}] if condition else []
    state = {"running": {}} if code is None else {"terminated": {"exitCode": code, "reason": "Error"}}
    job = {"metadata": {"name": name, "annotations": {batch_jobs.BATCH: mark}}, "status": {"conditions": conditions}}
    status = {"phase": "Running", "containerStatuses": [{"name": "batch", "state": state}]}
    return Seen(job, [{"metadata": {"name": f"{name}-x"}, "spec": {"containers": []}, "status": status}])


def test_jobs_that_run_are_followed() -> None:
    """Those that ended are not; those of another batch that writes to the same place are an error."""
    ended, runs = make_job("a", condition="Complete", code=0), make_job("b")

    assert batch_jobs.find_running({"a": ended}, "other", "s3://b/o") == {}
    assert batch_jobs.find_running({"a": ended, "b": runs}, "d", "s3://b/o") == {"a": ended, "b": runs}
    with pytest.raises(SlipwayError, match="score another batch into s3://b/o: b"):
        batch_jobs.find_running({"b": runs}, "other", "s3://b/o")


class Scripted(Group):
    """Jobs whose looks are given, and the last words of whose pods are always the same."""

    def __init__(self, *looks: dict[str, Seen]) -> None:
        super().__init__(cast("Cluster", None), "g", "again")
        self.looks = iter(looks)
        self.ends: list[str] = []

    def look(self) -> dict[str, Seen]:
        """Return the next look."""
        self.seen |= (found := next(self.looks))
        return found

    def read_log(self, pod: str, lines: int) -> list[str]:  # noqa: ARG002 -- as it is called
        """Return what every pod said."""
        return ["a warning", "error: DATA has no file", ""]

    def end(self, name: str) -> None:
        """Note it."""
        self.ends.append(name)


def test_jobs_are_followed_until_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last words of one that fails are there; what the cluster has removed meanwhile is remembered."""
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    shown: list[Any] = []
    runs, fails = make_job("b"), make_job("b", condition="Failed", code=1)
    group = Scripted({"a": make_job("a", condition="Complete", code=0), "b": runs}, {"b": runs}, {"b": fails})

    failed = group.follow(["a", "b"], shown.append)

    assert failed == {"b": "error: DATA has no file (b-x: it ended with exit code 1)"}
    assert (group.read_code("b"), len(shown), group.ends) == (1, 3, [])


def test_a_job_alone_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When its program said what is wrong; one that was killed is."""
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    refused, gone = make_job("a", code=1), make_job("a", condition="Failed", code=1)
    group = Scripted({"a": refused}, {"a": refused}, {"a": gone})
    killed = Scripted({"a": make_job("a", code=137)}, {"a": make_job("a", condition="Complete", code=0)})

    assert list(group.follow(["a"], lambda _: None)) == ["a"]
    assert killed.follow(["a"], lambda _: None) == {}
    assert (group.ends, killed.ends) == (["a"], [])


def test_a_job_that_is_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody deleted it before it ended."""
    monkeypatch.setattr(jobs, "POLL_S", 0.0)
    with pytest.raises(SlipwayError, match="the Job a is gone"):
        Scripted({"a": make_job("a")}, {}).follow(["a"], lambda _: None)
