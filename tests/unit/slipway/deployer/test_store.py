"""The deployments on record: one at a time, none twice, none lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slipway.deployer import store as deployments
from slipway.deployer.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "deployments.db")


def add(store: Store, version: int = 1) -> str:
    """Add a deployment; return its id."""
    return store.add("m", version, "local", deployments.DEPLOY, "a test")[0].id


def test_a_version_is_deployed_once(store: Store) -> None:
    """Twenty requests at once for one version are one deployment; when it has ended, the next is another."""
    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(lambda _: add(store), range(20)))
    store.begin("local")
    again = add(store)
    store.end(again, deployments.DONE)

    assert ids == {again}
    assert add(store) != again


def test_one_runs_at_a_time(store: Store) -> None:
    """While one runs no other begins, however many try; they begin in the order in which they came."""
    first, second = add(store, 1), add(store, 2)
    with ThreadPoolExecutor(20) as pool:
        begun = [found.id for found in pool.map(lambda _: store.begin("local"), range(20)) if found]
    store.end(first, deployments.DONE)
    next_one = store.begin("local")

    assert begun == [first]
    assert next_one
    assert next_one.id == second


def test_what_ran_when_it_was_killed_comes_again(tmp_path: Path, store: Store) -> None:
    """After a restart a running deployment is to come, its step marked as interrupted; its attempts are counted."""
    add(store)
    running = store.begin("local")
    assert running
    store.begin_step(running.id, "gate")
    reopened = Store(tmp_path / "deployments.db")
    recovered = reopened.recover()
    again = reopened.begin("local")

    assert [found.id for found in recovered] == [running.id]
    assert again
    assert (again.id, again.attempts) == (running.id, 2)
    assert [(step.name, step.state) for step in again.steps] == [("gate", "interrupted")]


def test_waiting_is_no_attempt(store: Store) -> None:
    """However often a deployment begins and waits for the tracking server, it has begun once when it goes on."""
    waiting = add(store)
    for _ in range(20):
        store.begin("local")
        store.end(waiting, deployments.PENDING, "waits")
    begun = store.begin("local")

    assert begun
    assert (begun.id, begun.attempts) == (waiting, 1)


def test_what_concerns_the_champion_goes_first(store: Store) -> None:
    """A rollback goes before a moved alias, and that before a candidate, whatever came first.

    One that is released is no candidate.
    """
    asked = [
        (1, deployments.DEPLOY),
        (2, deployments.DEPLOY),
        (3, deployments.FOLLOW),
        (4, deployments.ROLL_BACK),
        (2, deployments.FOLLOW),
    ]
    for version, action in asked:
        store.add("m", version, "local", action, "a test")
    begun = []
    while found := store.begin("local"):
        begun.append((found.version, found.action))
        store.end(found.id, deployments.DONE)

    assert begun == [
        (4, deployments.ROLL_BACK),
        (2, deployments.FOLLOW),
        (3, deployments.FOLLOW),
        (1, deployments.DEPLOY),
    ]


def test_one_that_gave_way_comes_again_as_new(store: Store) -> None:
    """It finds the champion of then, is no attempt more, and says what it waits for until it begins."""
    waiting = add(store)
    store.begin("local")
    store.set_previous(waiting, 7)
    store.put_back(waiting, "waits: the rollback to version 4 takes priority")
    between, begun = store.get(waiting), store.begin("local")

    assert between
    assert begun
    assert (between.state, between.previous, between.reason) == (
        "pending",
        None,
        "waits: the rollback to version 4 takes priority",
    )
    assert (begun.attempts, begun.reason) == (1, "")


@pytest.mark.parametrize("begun", [False, True], ids=["before it began", "while it runs"])
def test_cancelling(store: Store, begun: bool) -> None:
    """One that has not begun ends at once; one that runs is asked to."""
    cancelled = add(store)
    if begun:
        store.begin("local")
    store.cancel(cancelled)
    found = store.get(cancelled)

    assert found
    assert (found.state, found.cancel) == (("running", True) if begun else ("cancelled", True))


@pytest.mark.parametrize(
    ("state", "early"), [("running", False), ("done", False), ("interrupted", True), ("failed", True)]
)
def test_only_a_move_that_was_made_is_too_late(store: Store, state: str, early: bool) -> None:
    """While @champion moves, and when it has, nothing is cancelled or made more urgent.

    A move that came to nothing hinders neither.
    """
    found = add(store)
    store.begin("local")
    step = store.begin_step(found, "alias")
    if state != "running":
        store.end_step(step, state, "")
    urgent, _ = store.add("m", 1, "local", deployments.FOLLOW, "a test")
    cancelled, after = store.cancel(found), store.get(found)

    assert after
    assert (urgent.action == deployments.FOLLOW, cancelled, after.cancel) == (early, early, early)


def test_deliveries_are_remembered_for_a_while(store: Store) -> None:
    """A delivery is known once remembered, and forgotten when it could not come again."""
    store.remember("one", keep=60)
    known = store.knows("one")
    store.remember("two", keep=-1)

    assert known
    assert not store.knows("one")
    assert store.knows("two")
