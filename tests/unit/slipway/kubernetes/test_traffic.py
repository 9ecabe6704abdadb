"""A challenger's share.

What is a weight, how many pods it takes, what the manifests and the objects that run say of it.
"""

from __future__ import annotations

from typing import Any

import pytest

from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import traffic
from slipway.kubernetes.traffic import BY_PODS, BY_WEIGHT, Share

OPEN, CLOSED = {"app.kubernetes.io/name": "slipway-model"}, {"app.kubernetes.io/component": "champion"}
CHAMPION, CHALLENGER = {"name": "diabetes-model", "port": 80}, {"name": "diabetes-challenger-model", "port": 80}


@pytest.mark.parametrize(
    ("weight", "percent"), [("0", 0), ("5", 5), ("50", 50), ("99", 99)], ids=["the end", "small", "half", "most"]
)
def test_a_weight_is_a_whole_number(weight: str, percent: int) -> None:
    """A weight is how many of 100 requests the challenger gets."""
    assert traffic.parse(weight) == percent


@pytest.mark.parametrize("weight", ["", "100", "-1", "2.5", "10%", "ten", "³", " 5"])
def test_any_other_weight_is_refused(weight: str) -> None:
    """What is no whole number from 0 to 99 is an error of usage that names it."""
    with pytest.raises(SlipwayError, match="must be a whole number from 0 to 99") as raised:
        traffic.parse(weight)

    assert raised.value.code == USAGE
    assert f"WEIGHT is {weight!r}" in raised.value.message


@pytest.mark.parametrize(
    ("champions", "weight", "pods"),
    [(2, 50, 2), (9, 10, 1), (18, 10, 2), (2, 10, 1), (1, 50, 1), (3, 25, 1), (2, 75, 6)],
    ids=[
        "half",
        "a tenth",
        "a tenth of more",
        "less than one pod",
        "one and one",
        "a quarter",
        "more than the champion",
    ],
)
def test_pods_come_near_to_a_share(champions: int, weight: int, pods: int) -> None:
    """By replicas a challenger has as many pods as come nearest to its share, and at least one."""
    assert traffic.count_pods(Share(BY_PODS, weight), champions) == pods


@pytest.mark.parametrize(
    ("champions", "weight", "pods"),
    [(2, 10, 2), (1, 50, 1), (10, 25, 3), (10, 1, 2), (4, 99, 4)],
    ids=[
        "two, as the champion",
        "one, as the champion",
        "its part, rounded up",
        "two at least",
        "never more than the champion",
    ],
)
def test_pods_carry_a_weight(champions: int, weight: int, pods: int) -> None:
    """By weight a challenger has as many pods as its load takes, and can lose one where the champion can."""
    assert traffic.count_pods(Share(BY_WEIGHT, weight), champions) == pods


def test_a_share_that_replicas_reach_is_just_said() -> None:
    """Two pods beside two are half, and it is said how that comes about."""
    words = traffic.explain(Share(BY_PODS, 50), 2, 2)

    assert words == "50 % of the connections, by replicas: no Gateway is set, so the Service picks any pod: 2 of 4 pods"


def test_a_share_that_replicas_do_not_reach_is_admitted() -> None:
    """One pod beside two is a third, and not the tenth that was asked for; a Gateway would give that."""
    words = traffic.explain(Share(BY_PODS, 10), 2, 1)

    assert words.startswith("not quite 10 %")
    assert (
        "1 of 3 pods: about 33 %, the closest that replicas allow; a Gateway has exact weights: COMPONENTS=gateway"
        in words
    )


def test_a_weight_is_exact() -> None:
    """With a route nothing depends on the pods."""
    assert traffic.explain(Share(BY_WEIGHT, 10), 2, 2) == "10 % of the requests, by the weights of the HTTPRoute"


@pytest.mark.parametrize(
    ("selector", "backends", "share"),
    [
        (CLOSED, None, None),
        (OPEN, None, Share(BY_PODS)),
        (CLOSED, [CHAMPION], None),
        (CLOSED, [CHAMPION | {"weight": 75}, CHALLENGER | {"weight": 25}], Share(BY_WEIGHT, 25)),
        (CLOSED, [CHAMPION | {"weight": 3}, CHALLENGER | {"weight": 1}], Share(BY_WEIGHT, 25)),
        (CLOSED, [CHAMPION | {"weight": 100}, CHALLENGER | {"weight": 0}], None),
        (CLOSED, [CHAMPION, {"name": "another-model", "port": 80}], None),
    ],
    ids=[
        "no route",
        "one Service for both",
        "a route to one",
        "a route to both",
        "weights by hand",
        "weight 0",
        "a Service of another",
    ],
)
def test_a_share_is_read_from_what_runs(
    selector: dict[str, str], backends: list[dict[str, Any]] | None, share: Share | None
) -> None:
    """The champion's Service and route say whether a challenger gets requests, and how many."""
    service = {"spec": {"selector": selector}}
    route = {"spec": {"rules": [{"backendRefs": backends}]}} if backends else None

    assert traffic.read(service, route, "diabetes-challenger-model") == share


@pytest.mark.parametrize(
    ("share", "components"),
    [(BY_WEIGHT, ["monitoring", "network"]), (BY_PODS, ["network"])],
    ids=["by weight", "by pods"],
)
def test_a_challenger_has_what_guards_it(share: str, components: list[str]) -> None:
    """A challenger has the champion's components of pods, and its own monitor unless the champion's sees it."""
    assert (
        traffic.choose_components(["autoscaling", "gateway", "ingress", "monitoring", "network"], Share(share))
        == components
    )


def test_a_challenger_is_the_same_under_another_name() -> None:
    """A challenger's kustomization differs from a champion's by prefix, labels and replicas."""
    champion = {"namePrefix": "diabetes-", "labels": [], "images": ["its own"], "patches": ["the settings"]}

    assert traffic.challenge(champion, "diabetes", 3) == {
        "namePrefix": "diabetes-challenger-",
        "labels": [
            {
                "pairs": {"app.kubernetes.io/instance": "diabetes", "app.kubernetes.io/component": "challenger"},
                "includeSelectors": True,
            },
            traffic.OURS,
        ],
        "images": ["its own"],
        "patches": ["the settings"],
        "replicas": [{"name": "model", "count": 3}],
    }
