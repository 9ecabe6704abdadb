"""A deployment that something stands in the way of: it is done, or the reason is said and what ran before runs on."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.cluster import obstacles
from tests.cluster.conftest import SERVICE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Served

KINDS = "deployments,services,poddisruptionbudgets"


def check_whole(served: Served, version: int) -> None:
    """Fail unless a version answers, in as many pods as before, with all its objects, and nobody holds its lock."""
    served.wait(lambda: served.get("deployment", SERVICE)["status"].get("readyReplicas") == 2, "two pods are ready")
    found = served.get("deployment", SERVICE)
    kinds = {each["kind"] for each in served.cluster.list(KINDS, "app.kubernetes.io/instance=diabetes", strict=True)}

    assert found["spec"]["template"]["metadata"]["annotations"]["io.slipway/version"] == str(version)
    assert kinds == {"Deployment", "Service", "PodDisruptionBudget"}
    assert served.cluster.get("lease", "diabetes-rollout") is None


def test_rights_in_one_namespace_are_enough(served: Served, tmp_path: Path) -> None:
    """Whoever has the rights that the docs list, in the namespace alone, deploys.

    It is nothing of the cluster's that is asked for.
    """
    served.settle(1)
    variables = obstacles.make_user(served.cluster, "ann", tmp_path, obstacles.RIGHTS)
    said = served.deploy(
        1, IMAGE_LOAD="true", **variables
    )  # it is there, which a user without rights to nodes cannot see

    assert "answers in ann" in said
    assert "orbidden)" not in said
    check_whole(served, 1)


def test_a_missing_right_is_said_before_a_build(served: Served, tmp_path: Path) -> None:
    """Whoever may not make Services there learns that at once, with all else that is missing."""
    variables = obstacles.make_user(served.cluster, "bob", tmp_path, obstacles.RIGHTS[:1])
    code, said = served.stack.try_make("deploy", MODEL="models:/diabetes/2", **variables)

    assert code != 0
    assert "create, delete, get, patch services" in said
    assert "create pods/portforward" in said
    assert "docker build" not in said


def test_a_quota_that_is_too_small_is_said(served: Served) -> None:
    """Where no pod may be made, the reason is the cluster's own, at once.

    The version before answers on, and nothing has changed.
    """
    served.settle(1)
    before = served.get("deployment", SERVICE)["metadata"]["generation"]
    served.cluster.run("create", "quota", "small", "--hard", "pods=2")
    try:
        code, said = served.stack.try_make("deploy", MODEL="models:/diabetes/2")
    finally:
        served.cluster.run("delete", "quota", "small")

    assert code != 0
    assert "the cluster rejects the pod that would test the version: " in said
    assert "exceeded quota: small" in said
    assert "waiting for" not in said.split("is being tested in the pod")[1]
    assert served.get("deployment", SERVICE)["metadata"]["generation"] == before
    check_whole(served, 1)


def test_what_cannot_be_read_is_not_pruned(served: Served, tmp_path: Path) -> None:
    """When it cannot be asked what is there, nothing is deleted, and the command says so; the version answers."""
    served.settle(1)
    said = served.deploy(1, **obstacles.fail(tmp_path, FAIL_LIKE=",services,"))

    assert "may still be there" in said
    assert obstacles.WORDS in said
    check_whole(served, 1)


def test_two_at_once_are_one(served: Served) -> None:
    """Of two deployments at the same time one runs, and the other is told who is at it."""
    served.settle(1)
    both = [served.stack.start("deploy", MODEL="models:/diabetes/1") for _ in range(2)]
    said = [each.communicate(timeout=300)[0] for each in both]
    codes = sorted(bool(each.returncode) for each in both)

    assert codes == [False, True], said
    assert "has been changing diabetes in" in said[0] + said[1]
    check_whole(served, 1)


@pytest.mark.thorough
def test_a_webhook_that_refuses_is_said(served: Served, tmp_path: Path) -> None:
    """What an admission webhook refuses, a pod or a Service, is said in its words.

    Nothing is left where nothing was before.
    """
    served.settle(1)  # its namespace is there, whatever ran before
    served.make("undeploy")
    for resource in ("/services", "/pods"):
        with obstacles.refusing(served.cluster, tmp_path, resource, "not on a Sunday"):
            code, said = served.stack.try_make("deploy", MODEL="models:/diabetes/1", ROLLOUT_TIMEOUT="300")

        assert code != 0
        assert "not on a Sunday" in said
        assert served.cluster.list(KINDS, "app.kubernetes.io/instance=diabetes", strict=True) == []


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_end_in_the_middle_is_no_version(served: Served, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in a rollout goes back; after kill -9 the next failed deployment goes back past what was never tested."""
    served.settle(1)
    process = served.stack.start("deploy", MODEL="models:/diabetes/2")
    served.wait(lambda: served.get("deployment", SERVICE)["status"].get("updatedReplicas") == 1, "it rolls out")
    os.killpg(process.pid, number)
    process.communicate(timeout=300)
    if number == signal.SIGKILL:
        refused = obstacles.fail(tmp_path, FAIL_LIKE=" apply ", FAIL_WORDS="Error from server (Forbidden): no more")
        code, said = served.stack.try_make("deploy", MODEL="models:/diabetes/2", **refused)
        assert (code != 0, "has been changing" in said) == (True, False), said

    check_whole(served, 1)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words", [obstacles.WORDS, "Error from server (Forbidden): no more"], ids=["a hiccup", "for good"]
)
def test_each_call_may_fail(served: Served, tmp_path: Path, words: str) -> None:
    """Whichever kubectl call fails: the exit code says whether the version answers, and no fewer pods run."""
    served.settle(1)
    served.deploy(2, **obstacles.fail(tmp_path))
    answering, shapes = 2, [shape(call) for call in (tmp_path / "calls").read_text().splitlines()]
    for number in [
        at + 1 for at, each in enumerate(shapes) if each not in shapes[:at]
    ]:  # not those that look once more
        wanted = 3 - answering
        variables = obstacles.fail(tmp_path, FAIL_AT=str(number), FAIL_WORDS=words)
        code, said = served.stack.try_make("deploy", MODEL=f"models:/diabetes/{wanted}", **variables)
        answering = answering if code else wanted
        print(number, code, shapes[number - 1], said.splitlines()[-1])

        check_whole(served, answering)


def shape(call: str) -> str:
    """Return a call of kubectl without what differs from run to run: processes, ports, pods."""
    return re.sub(r"\d+|diabetes-model-\S+", "", call)
