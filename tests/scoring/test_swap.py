"""Another model in the running process."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.scoring.conftest import until
from tests.scoring.load import Load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

PLUS = {"one": 0.0, "two": 1000.0, "heavy": 2000.0}
SWAPS = 20


class Place:
    """A symlink to a model folder, and its identity file."""

    def __init__(self, at: Path, folders: dict[str, Path]) -> None:
        self.folder, self.identity = at / "model", at / "identity.json"
        self._folders = folders

    def point(self, version: str, folder: Path | None = None) -> None:
        """Point both to a version; the link changes at once."""
        self.identity.write_text(json.dumps({"name": "m", "version": version}))
        new = self.folder.with_name("new")
        new.symlink_to(folder or self._folders[version])
        new.rename(self.folder)


@pytest.fixture
def place(tmp_path: Path, folders: dict[str, Path]) -> Place:
    """Return a place that points to version one."""
    place = Place(tmp_path, folders)
    place.point("one")
    return place


def _swap(server: Server, place: Place, version: str, folder: Path | None = None) -> None:
    """Change to a version, and wait until every worker has."""
    done = "scoring_failed_reloads_total" if folder else "scoring_reloads_total"
    workers = len(server.workers()) or 1
    wanted = server.metrics()[done] + workers
    place.point(version, folder)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.metrics()[done] >= wanted, f"{workers} change to {version}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_swaps_under_load(workers: str, serve: Serve, place: Place) -> None:
    """Twenty swaps under load: no request fails, and each answer names the version that made it."""
    with (
        serve(place.folder, "--identity", str(place.identity), "--workers", workers, "--access-log", "off") as server,
        Load(server) as load,
    ):
        for at in range(SWAPS):
            _swap(server, place, ("two", "one")[at % 2])
            load.more()
        _swap(server, place, "two")
        answer = server.predict(1.0)

    assert load.lost == []
    assert all(
        answer.status == 200 and answer.json() == {"predictions": [value + PLUS[answer.headers["x-model-version"]]]}
        for value, answer in load.answers
    )
    assert {answer.headers["x-model-version"] for _, answer in load.answers} == {"one", "two"}
    assert answer.json() == {"predictions": [1001.0]}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_broken_version(workers: str, serve: Serve, place: Place, tmp_path: Path) -> None:
    """A version that does not load leaves the old one answering, even when a worker dies then; readiness says why."""
    (tmp_path / "empty").mkdir()
    with serve(place.folder, "--identity", str(place.identity), "--workers", workers) as server:
        _swap(server, place, "two", tmp_path / "empty")
        state = server.ask("GET", "/readyz")

        assert (state.status, state.json()["ready"], state.json()["version"]) == (200, True, "one")
        assert "the server's log" in state.json()["reload_error"]
        assert "no MLflow model" in server.err.read_text()
        assert server.predict(1.0).json() == {"predictions": [1.0]}

        if workers == "2":
            os.kill(server.workers()[0], signal.SIGKILL)
            until(
                lambda: server.err.read_text().count("error: ") > 0 or server.process.poll() is not None,
                "a new worker fails",
            )
            assert server.predict(1.0).json() == {"predictions": [1.0]}
            assert server.process.poll() is None
        place.point("two")
        if workers == "2":
            until(lambda: server.count_workers() == 2, "two workers")
        _swap(server, place, "two")
        until(lambda: server.ask("GET", "/readyz").json()["reload_error"] is None, "no error any more")

        assert server.predict(1.0).json() == {"predictions": [1001.0]}


def test_waiting_requests_keep_their_model(serve: Serve, place: Place) -> None:
    """Requests that wait for a slow model when another takes its place are still answered by it."""
    place.point("slow")
    flags = ["--identity", str(place.identity), "--batching", "off", "--threads", "1"]
    with serve(place.folder, *flags) as server, Load(server, clients=8, first=0.1) as load:
        _swap(server, place, "one")
        load.more()

    assert load.lost == []
    assert {answer.status for _, answer in load.answers} == {200}
    assert {answer.headers["x-model-version"] for _, answer in load.answers} == {"slow", "one"}


def test_memory_over_swaps(serve: Serve, place: Place) -> None:
    """Twenty swaps of a model of 16 MiB: the later ones take no more memory than the first did."""
    with serve(place.folder, "--identity", str(place.identity)) as server:
        sizes = []
        for _ in range(SWAPS):
            _swap(server, place, "heavy")
            server.predict(1.0)
            sizes.append(server.memory())

    grown = max(sizes[SWAPS // 2 :]) - max(sizes[: SWAPS // 2])

    assert grown < 16 << 20, [size >> 20 for size in sizes]
