"""What Locust runs, in an environment of its own and without Slipway: LOAD_PLAN names a JSON file with all it needs.

The result goes to the file that the plan names: counts, and percentiles of durations. At a rate, a duration counts from
the moment at which the request was due, so that a server that stalls is not asked less and judged by that.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, constant, events, task

PLAN = json.loads(Path(os.environ["LOAD_PLAN"]).read_text(encoding="utf-8"))
STEP_MS = 0.1  # of the durations that are kept
BODIES = [body.encode() for body in PLAN["bodies"]]
LATE_S = 0.05  # of a due request that the generator itself sends too late

durations: Counter[int] = Counter()
counts: Counter[str] = Counter()
began = {"wall": 0.0, "cpu": 0.0}


class Caller(FastHttpUser):
    """One caller: asks again as soon as it is answered, or when its next request is due."""

    wait_time = constant(0)
    insecure = False
    connection_timeout = network_timeout = PLAN["timeout"]

    def on_start(self) -> None:
        """Begin at a moment of its own."""
        self.pause = PLAN["users"] / PLAN["rate"] if PLAN["rate"] else 0.0
        self.due = time.perf_counter() + random.random() * self.pause  # noqa: S311 -- to spread requests

    @task
    def ask(self) -> None:
        """Ask for one prediction."""
        if self.pause:
            if (ahead := self.due - time.perf_counter()) > 0:
                gevent.sleep(ahead)
                if time.perf_counter() - self.due > LATE_S:
                    counts["late"] += 1
            since, self.due = self.due, self.due + self.pause
        else:
            since = time.perf_counter()
        body = BODIES[random.randrange(len(BODIES))]  # noqa: S311 -- as above
        with self.client.post(PLAN["path"], data=body, headers=PLAN["headers"], catch_response=True) as answer:
            if answer.status_code != 200:  # noqa: PLR2004 -- HTTP's
                answer.failure(f"status {answer.status_code}")
                counts["failed"] += 1
        durations[round((time.perf_counter() - since) * 1000 / STEP_MS)] += 1


if PLAN["stages"]:

    class Stages(LoadTestShape):
        """Numbers of callers, one after another."""

        def tick(self) -> tuple[int, float] | None:
            """Return how many callers there are now; None at the end."""
            spent = self.get_run_time()  # type: ignore[no-untyped-call] # Locust's
            for users, seconds in PLAN["stages"]:
                if spent < seconds:
                    return users, max(1.0, float(users))
                spent -= seconds
            return None


@events.test_start.add_listener  # type: ignore[untyped-decorator] # Locust's
def begin(**_: Any) -> None:  # noqa: ANN401 -- Locust's
    """Note when it begins."""
    began.update(wall=time.perf_counter(), cpu=time.process_time())


def percentile(share: float) -> float:
    """Return the duration in ms that a share of the requests did not exceed; NaN without any."""
    wanted, seen = math.ceil(share * durations.total()), 0
    for step in sorted(durations):
        seen += durations[step]
        if seen >= wanted:
            return step * STEP_MS
    return math.nan


@events.test_stop.add_listener  # type: ignore[untyped-decorator] # as above
def end(**_: Any) -> None:  # noqa: ANN401 -- as above
    """Write the result."""
    seconds = time.perf_counter() - began["wall"]
    found = {
        "requests": durations.total(), "failed": counts["failed"], "seconds": seconds,
        "rps": durations.total() / seconds, "p50_ms": percentile(0.5), "p95_ms": percentile(0.95),
        "p99_ms": percentile(0.99), "busy": (time.process_time() - began["cpu"]) / seconds, "late": counts["late"],
    }  # fmt: skip
    Path(PLAN["result"]).write_text(json.dumps(found), encoding="utf-8")
