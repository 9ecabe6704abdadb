"""A challenger beside the champion, on a real cluster.

It gets its share when it passed its test, and goes without a failed request.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.conftest import Served

ASKED = 100  # requests, each by a connection of its own
CHALLENGERS = "app.kubernetes.io/component=challenger"
KINDS = "deployments,replicasets,pods,services,poddisruptionbudgets"


def begin(served: Served, version: int) -> None:
    """Have a version answer alone."""
    served.settle(version)
    served.make("canary", WEIGHT="0")
    served.wait(lambda: ask(served).keys() == {version}, f"version {version} answers alone")


def ask(served: Served) -> Counter[int]:
    """Return how often each version answers."""
    return Counter(served.find_answering() for _ in range(ASKED))


def find_left(served: Served) -> list[str]:
    """Return what there is of a challenger."""
    words = served.cluster.ask("get", KINDS, "--selector", CHALLENGERS, "--output", "name").out
    return [name for name in words.split() if "/" in name]


def is_shared(served: Served) -> bool:
    """Whether the champion's Service asks a challenger's pods, too."""
    return "app.kubernetes.io/component" not in served.get("service", "diabetes-model")["spec"]["selector"]


def test_a_challenger_gets_its_share_and_loses_it(served: Served) -> None:
    """Under a constant load no request fails while a challenger comes, shares and goes.

    Its share is about what was asked for.
    """
    begin(served, 1)
    with served.under_load() as load:
        said = served.make("canary", MODEL="models:/diabetes/2", WEIGHT="50")
        served.wait(lambda: ask(served).keys() == {1, 2}, "both answer")
        answered, status = ask(served), served.make("deploy_status")
        with served.under_load() as shared:
            ended = served.make("canary", WEIGHT="0")
    left, alone = find_left(served), ask(served)

    assert "50 % of the connections, by replicas" in said
    assert "2 of 4 pods" in said
    assert "4 passed" in said
    assert 25 <= answered[2] <= 75
    assert "diabetes-challenger-model" in status
    assert shared.versions == {"1", "2"}
    assert load.failed + shared.failed == []
    assert "the challenger of diabetes is no longer in" in ended
    assert left == []
    assert alone == {1: ASKED}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("version", "why"),
    [(3, "exit code 9"), (5, "does not answer as models:/diabetes/5 should")],
    ids=["crashes on load", "fails its smoke test"],
)
def test_a_bad_challenger_gets_nothing(served: Served, version: int, why: str) -> None:
    """A challenger that crashes, or answers wrongly, answers no request.

    Nothing of it is left, and the champion is as before.
    """
    begin(served, 1)
    before = served.get("deployment", "diabetes-model")["metadata"]["generation"]
    with served.under_load() as load:
        code, said = served.stack.try_make("canary", MODEL=f"models:/diabetes/{version}", WEIGHT="50")
    left = find_left(served)

    assert code != 0
    assert why in said, said
    assert "Traceback" not in said
    assert (load.failed, load.versions) == ([], {"1"})
    assert left == []
    assert not is_shared(served)
    assert served.get("deployment", "diabetes-model")["metadata"]["generation"] == before


@pytest.mark.thorough
def test_a_deployment_leaves_the_share(served: Served) -> None:
    """Champions are deployed, or fail to, beside a challenger, which keeps its share; no request fails.

    A weight alone changes that.
    """
    begin(served, 1)
    served.make("canary", MODEL="models:/diabetes/2", WEIGHT="50")
    unchanged = served.make("diff", MODEL="models:/diabetes/1")
    with served.under_load() as load:
        said = [served.deploy(2), served.deploy(1)]
        code, _ = served.stack.try_make("deploy", MODEL="models:/diabetes/3")
    answered = ask(served)
    less = served.make("canary", WEIGHT="20")
    pods = served.get("deployment", "diabetes-challenger-model")["status"]["readyReplicas"]

    assert "nothing would change" in unchanged
    assert all("a challenger keeps its share" in words for words in said)
    assert code != 0
    assert load.failed == []
    assert 25 <= answered[2] <= 75
    assert is_shared(served)
    assert pods == 1
    assert "not quite 20 %" in less
    assert "1 of 3 pods: about 33 %" in less


@pytest.mark.thorough
def test_undeploy_takes_the_challenger_too(served: Served) -> None:
    """`make undeploy` leaves nothing of a challenger; without a champion there is no share to give."""
    served.settle(1)
    served.make("canary", MODEL="models:/diabetes/2", WEIGHT="50")
    served.make("undeploy")
    left = find_left(served)
    code, said = served.stack.try_make("canary", MODEL="models:/diabetes/2", WEIGHT="50")

    assert left == []
    assert code != 0
    assert "no version of diabetes answers in" in said
    assert "make deploy" in said


@pytest.mark.thorough
def test_what_cannot_be_is_said_at_once(served: Served) -> None:
    """A wrong weight, no version, or a Gateway that the cluster lacks is an error before anything is deployed."""
    begin(served, 1)
    known = (
        "httproutes.gateway.networking.k8s.io" in served.cluster.ask("api-resources", "--output", "name").out.split()
    )
    cases = [{"WEIGHT": "100", "MODEL": "models:/diabetes/2"}, {"WEIGHT": "10", "MODEL": ""}]
    cases += [{"WEIGHT": "10", "MODEL": "models:/diabetes/2", "COMPONENTS": "gateway"}]
    errors = [served.stack.try_make("canary", **variables)[1] for variables in cases]

    assert "WEIGHT is '100': must be a whole number from 0 to 99" in errors[0]
    assert "MODEL is empty and there is no challenger yet" in errors[1]
    assert (
        "the champion has no HTTPRoute" if known else f"the cluster {served.cluster.context} does not have HTTPRoute"
    ) in errors[2]
    assert find_left(served) == []
