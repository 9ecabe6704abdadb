"""What the supervisor makes of starts that fail, and of workers that load another model."""

from __future__ import annotations

import math
import time

from uvicorn import Config

from scoring.processes.supervisor import LONGEST_PAUSE_S, pause_after
from scoring.processes.worker import Worker


def test_pauses_between_starts() -> None:
    """Starts that fail follow each other ever more slowly, and however often they have failed, the next one comes."""
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 7, 1100, 10**9)] == [1, 2, 4, 8, *[LONGEST_PAUSE_S] * 3]


def test_a_load_that_is_done_is_over() -> None:
    """A worker that was told to load a model may be slow until it says that it has, but not for the whole limit."""
    worker = Worker(Config("none"), [])
    worker.child_conn.send((True, -math.inf))
    worker.look()
    found = [worker.is_serving(600)]
    worker.loads_since = time.monotonic()
    for newest_load in (-math.inf, worker.loads_since - 1, worker.loads_since + 1):  # none, the one before, this one
        worker.child_conn.send((True, newest_load))
        worker.look()
        found.append(worker.is_serving(600))

    assert found == [True, False, False, True]
