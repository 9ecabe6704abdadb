"""Workers that start slowly, that do not start any more, and that lose their supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.scoring.conftest import end, fail_to_start, start, until

if TYPE_CHECKING:
    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

IMPATIENT = "from scoring.processes import supervisor; supervisor.SECONDS_TO_ANSWER = 1"
TWO = ("--workers", "2")


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; who is to take note of an orphan's end may be late."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


def _count_errors(server: Server) -> int:
    return server.err.read_text().count("error: ")


def test_a_slow_start_has_its_time(folders: dict[str, Path], tmp_path: Path) -> None:
    """A worker that cannot answer while it loads is not ended for that, neither the first one nor a replacement."""
    server = start(folders["hold"], tmp_path, *TWO, code=IMPATIENT, SCORING_TEST_HOLD="3")
    try:
        until(lambda: server.count_workers() == 2, "both have loaded")
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: server.err.read_text().count("is replaced") == 1, "its end is seen")
        until(lambda: server.count_workers() == 2, "it is replaced")

        assert server.err.read_text().count("is replaced") == 1
        assert server.predict(1.0).json() == {"predictions": [1.0]}
    finally:
        end(server)


def test_a_start_has_a_limit(folders: dict[str, Path], tmp_path: Path) -> None:
    """A model that takes longer than it may ends the server with code 3 and words about it."""
    code, said = fail_to_start(folders["hold"], tmp_path, *TWO, "--start-timeout", "2", SCORING_TEST_HOLD="300")

    assert (code, said) == (
        3,
        "error: the model was not loaded within 2 s (SCORING_START_TIMEOUT)\n",
    )


@pytest.mark.parametrize(
    ("number", "pause"),
    [(signal.SIGTERM, 1.0), (signal.SIGINT, 1.0), (signal.SIGKILL, 1.0), (signal.SIGKILL, 0.2)],
    ids=["SIGTERM", "SIGINT", "SIGKILL", "SIGKILL while it imports"],
)
def test_a_signal_ends_a_start(number: int, pause: float, folders: dict[str, Path], tmp_path: Path) -> None:
    """A signal ends a server at once whose worker is still loading, and the worker too."""
    server = start(folders["hold"], tmp_path, *TWO, SCORING_TEST_HOLD="300")
    try:
        worker = until(server.workers, "it has begun")[0]
        time.sleep(pause)  # now it loads, or is about to
        code = server.stop(number)
        until(lambda: _is_gone(worker), "the worker has ended")

        assert code == (-number if number == signal.SIGKILL else 0)
        assert server.err.read_text() == ""
    finally:
        end(server)


def test_workers_end_with_their_supervisor(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """When the supervisor is killed its workers end, and another server may have the port."""
    with serve(folders["one"], *TWO) as server:
        workers = server.workers()
        server.stop(signal.SIGKILL)
        until(lambda: all(map(_is_gone, workers)), "its workers have ended")
        second = start(folders["one"], tmp_path, *TWO, "--port", str(server.port))
        try:
            until(server.is_ready, "another server answers there")

            assert second.stop() == 0
        finally:
            end(second)


def test_starts_that_fail_come_ever_later(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """A worker whose model has gone is tried again ever later. The others answer, and the end is well.

    SIGHUP, as of a terminal that is closed, ends it as SIGTERM does.
    """
    shutil.copytree(folders["one"], tmp_path / "model")
    with serve(tmp_path / "model", *TWO) as server:
        (tmp_path / "model").rename(tmp_path / "away")
        os.kill(server.workers()[0], signal.SIGKILL)
        until(
            lambda: "is replaced in 4 s" in server.err.read_text() or _count_errors(server) > 5, "it failed a few times"
        )

        assert _count_errors(server) == 3
        assert server.predict(1.0).json() == {"predictions": [1.0]}

        (tmp_path / "away").rename(tmp_path / "model")
        until(lambda: server.count_workers() == 2, "it is replaced")

        assert server.process.poll() is None
        assert server.stop(signal.SIGHUP) == 0
