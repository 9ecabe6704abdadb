"""A trial before a rollout, in a cluster that is made up: what it says, and that nothing of it stays."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml

from slipway import settings
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError, TimedOutError
from slipway.kubernetes.cluster import kubectl
from slipway.kubernetes.pods import trial_pod
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.serving import api_test
from slipway.shell import Answer
from tests.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.settings import Settings
    from tests.aliases import Json

PREPARED = Prepared(ModelRef("models:/diabetes/4", "", "diabetes", "4"), Path(), "{}", Lock(Path()))
CASE = api_test.Case("", "models:/diabetes/4", {"inputs": [[1.0]]}, {"predictions": [2.0]}, [])
LABELS = {
    "app.kubernetes.io/name": "slipway-model",
    "app.kubernetes.io/instance": "diabetes",
    "app.kubernetes.io/component": "champion",
}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
CRASHED = {
    "containerStatuses": [{"name": "model", "state": {"terminated": {"exitCode": 9, "reason": "Error"}}}],
    "phase": "Failed",
}
UNPLACED = {
    "conditions": [{"type": "PodScheduled", "status": "False", "message": "1 Insufficient cpu."}],
    "phase": "Pending",
}
EVICTED = {"phase": "Failed", "message": "The node was low on resource: memory."}


class Cluster:
    """A cluster in which a trial has a status from the beginning, and that may refuse it."""

    def __init__(self, status: dict[str, Any] | None = None, refusal: str = "", *, left: bool = False) -> None:
        self.status, self.refusal = status or READY, refusal
        self.pods: list[dict[str, Any]] = [{"metadata": {"name": "diabetes-trial"}}] if left else []
        self.done: list[str] = []

    def run(self, *arguments: str, words: str = "", seconds: float = 0, again: bool = False) -> str:
        """Make what a list has, or delete it."""
        kinds = "+".join(each["kind"] for each in json.loads(words)["items"]) if words else arguments[1]
        self.done.append(f"{arguments[0]} {kinds}")
        assert again
        if kinds.endswith("Pod") and self.refusal:
            raise SlipwayError(self.refusal)
        if kinds.endswith("Pod"):
            self.pods = [each | {"status": self.status} for each in json.loads(words)["items"] if each["kind"] == "Pod"]
        if arguments[0] == "delete":
            self.pods = []
        return str(seconds)

    def list(self, kind: str, _: str, *, strict: bool = False) -> list[dict[str, Any]]:
        """Return the pods, to whoever wants to hear of a failure."""
        assert kind == "pods"
        assert strict
        return self.pods

    def get(self, kind: str, _: str) -> dict[str, Any] | None:
        """Return the trial; there is nothing else."""
        return next(iter(self.pods), None) if kind == "pod" else None

    def ask(self, *arguments: str) -> Answer:
        """Return a pod's log."""
        assert arguments[0] == "logs"
        return Answer(0, "the last line")

    @contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[str]:
        """Forward."""
        yield f"http://{what}:{port}"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings with little patience, and an API test that passes."""
    monkeypatch.setattr(api_test, "ask", lambda *_: None)
    return changed(settings.load(), cluster={"context": "team", "namespace": "models", "rollout_timeout": 0})


def write(
    folder: Path, *besides: dict[str, Any], strategy: dict[str, Any] | None = None, name: str = "diabetes-model"
) -> Path:
    """Write a rendered Deployment, with other objects, and return the file."""
    template = {
        "metadata": {"labels": LABELS, "annotations": {"io.slipway/version": "4"}},
        "spec": {"containers": [{"name": "model"}]},
    }
    spec = {"selector": {"matchLabels": LABELS}, "template": template, "strategy": strategy or {}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "models"},
        "spec": spec,
    }
    file = folder / "manifest.yaml"
    file.write_text(yaml.safe_dump_all([deployment, *besides]))
    return file


def run(loaded: Settings, cluster: Cluster, manifest: Path) -> bool:
    """Try version 4."""
    return trial_pod.test(loaded, cast("kubectl.Cluster", cluster), manifest, PREPARED, CASE)


def test_a_version_that_passes_leaves_nothing(loaded: Settings, tmp_path: Path) -> None:
    """A killed run's remains go first; what the pod refers to is there before it; in the end all of it is gone."""
    secret = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "diabetes-words"}}
    policy = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "diabetes-model"},
        "spec": {"podSelector": {"matchLabels": LABELS}},
    }
    cluster = Cluster(left=True)

    assert run(loaded, cluster, write(tmp_path, secret, policy))
    assert cluster.pods == []
    assert cluster.done == [
        "delete pods,networkpolicies", "apply ConfigMap", "apply NetworkPolicy+Pod", "delete pods,networkpolicies",
        "delete ConfigMap",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "words", "cure"),
    [
        (Cluster(CRASHED), r"models:/diabetes/4 does not roll out: the last line \(it ended with exit code 9\)", ""),
        (Cluster(EVICTED), r"the last line \(its pod failed: The node was low on resource: memory\.\)", ""),
        (Cluster(UNPLACED), r"no node can take diabetes-trial: 1 Insufficient cpu\.", "room for one more pod"),
        (Cluster({"phase": "Running"}), r"it is not ready after 0 s \(ROLLOUT_TIMEOUT\)", ""),
        (
            Cluster(refusal="exceeded quota"),
            "the cluster rejects the pod that would test the version: exceeded quota",
            "room for one more pod",
        ),
    ],
    ids=["crashes", "is evicted", "no node", "hangs", "quota"],
)
def test_a_trial_that_fails_says_why(loaded: Settings, tmp_path: Path, cluster: Cluster, words: str, cure: str) -> None:
    """The error says that nothing was changed, why, and what to do; nothing of the trial is left."""
    with pytest.raises(SlipwayError, match=f"in the trial pod, before anything changed: .*{words}") as raised:
        run(loaded, cluster, write(tmp_path))

    assert raised.value.cure.startswith(cure)
    assert raised.value.code in {1, MODEL_DID_NOT_LOAD}
    assert cluster.pods == []


@pytest.mark.parametrize(
    "ends", [KeyboardInterrupt, SlipwayError("it predicts 3.0"), api_test.UntestedError("time-out: it takes long")]
)
def test_however_it_ends_it_goes(loaded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Json) -> None:
    """After Ctrl-C, wrong answers or a time-out of this machine, which stays one, nothing of the trial is left."""

    def end(*_: object) -> None:
        raise ends

    cluster = Cluster()
    monkeypatch.setattr(api_test, "ask", end)
    with pytest.raises(ends if isinstance(ends, type) else type(ends)):
        run(loaded, cluster, write(tmp_path))

    assert cluster.pods == []
    assert cluster.done == ["apply Pod", "delete pods"]


@pytest.mark.parametrize(
    "strategy", [{"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 0}}, {"rollingUpdate": {"maxSurge": "0%"}}]
)
def test_where_there_is_never_room_nothing_is_tried(
    loaded: Settings, tmp_path: Path, strategy: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A Deployment that never has one more pod is tested after its rollout, and that is said."""
    cluster = Cluster()

    assert not run(loaded, cluster, write(tmp_path, strategy=strategy))
    assert cluster.done == []
    assert "tested after the rollout" in capsys.readouterr().out


def test_a_deployment_of_another_name_is_missed(loaded: Settings, tmp_path: Path) -> None:
    """A model's own settings that rename the Deployment are an error of usage that says so."""
    with pytest.raises(SlipwayError, match="the manifests have no Deployment diabetes-model") as raised:
        run(loaded, Cluster(), write(tmp_path, name="my-diabetes-model"))

    assert raised.value.code == USAGE


def test_what_keeps_this_machine_from_looking_is_a_warning(
    loaded: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rollout that the cluster calls ready is not undone since this machine is slow, or loses its connection."""

    @contextmanager
    def refuse(*_: object) -> Iterator[str]:
        raise kubectl.UnreachedError("cannot forward a port of pod/diabetes-model-1: i/o timeout")
        yield ""

    def time_out(*_: object) -> None:
        raise TimedOutError("time-out: this machine did not finish the test")

    cluster: Any = Cluster()
    monkeypatch.setattr(api_test, "ask", time_out)
    slow = trial_pod.look(loaded, cluster, "pod/diabetes-model-1", PREPARED, CASE)
    monkeypatch.setattr(cluster, "forwarded", refuse)
    cut_off = trial_pod.look(loaded, cluster, "pod/diabetes-model-1", PREPARED, None)

    said = capsys.readouterr().err
    assert (slow, cut_off) == (None, None)
    assert said.count("warning: models:/diabetes/4 is rolled out and ready, but this machine could not reach it: ") == 2
    assert "i/o timeout" in said
