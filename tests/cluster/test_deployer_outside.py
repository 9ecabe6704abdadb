"""The deployer beside a cluster: `make start_deployer CONTEXT=…`, asked for deployments and rollbacks there."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import requests

from tests.e2e.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.conftest import Served


@pytest.fixture
def place(served: Served) -> Iterator[Place]:
    """Run a deployer that works on the cluster, too; it ends by Ctrl-C."""
    served.make("promote", MODEL="models:/diabetes/1", FORCE="1", WHY="a test's beginning")
    process = served.stack.start("start_deployer")
    found = Place(served.stack)
    try:
        served.wait(lambda: requests.get(f"{found.deployer}/livez", timeout=5).ok, "the deployer answers")
        yield found
    finally:
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
        print(printed)
        served.make("stop_deployer")


def find_versions(place: Place) -> dict[str, int | None]:
    """Ask the deployer what answers on each target."""
    targets = requests.get(f"{place.deployer}/status", timeout=30).json()["targets"]
    return {name: target["version"] for name, target in targets.items()}


@pytest.mark.thorough
def test_it_deploys_and_rolls_back_there(served: Served, place: Place) -> None:
    """The champion is brought to the cluster by a look; another version by a request; then a rollback.

    Each is tested there.
    """
    served.wait(lambda: find_versions(place) == {"local": 1, "kubernetes": 1}, "the champion answers on both targets")
    asked = place.post("/deployments", {"model": "models:/diabetes/2", "target": "kubernetes"})
    deployed = place.finish(asked.json()["id"])
    answering = served.find_answering()
    shown = find_versions(place)["kubernetes"]
    back = place.finish(place.post("/rollbacks", {"target": "kubernetes"}).json()["id"])

    assert asked.status_code == 202
    assert deployed["state"] == "done", deployed
    assert [step["name"] for step in deployed["steps"]][-3:] == ["alias", "roll out", "smoke test there"]
    assert answering == 2
    assert shown == 2
    assert back["state"] == "done", back
    assert served.find_answering() == 1
    assert place.find_champion() == 1
