"""The smoke test before a release.

The real image in a throwaway container (or a process), its API tested, its latency measured.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import requests

from slipway import model_folder, ports, runtimes, shell
from slipway.errors import SlipwayError, TimedOutError, time_out
from slipway.runtimes import containers, prediction_log
from slipway.serving import api_test, example
from slipway.settings import BUILD

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

WARM, TIMED = 5, 50  # requests
JSON = {"Content-Type": "application/json"}
MEASUREMENTS = 3  # of a latency that is too high; the best counts


def run(
    settings: Settings, prepared: Prepared, owner: str = "release", bound: float | None = None
) -> tuple[api_test.Case, float]:
    """Serve a model privately and test its API; return the case, and the p95 of its latency.

    The latency is that of one row, from one client, in ms; above `bound` it is measured again, and the best counts:
    other programs slow a server down, and none makes it quicker. An `owner` has one trial of a model at a time.

    Raises SlipwayError, with what the server or the test said, when it fails. Nothing of it is left, and nothing of an
    earlier trial that was killed.
    """
    name, log = _places(settings, prepared.model.name, owner)
    port = ports.find_free()
    plain = {key: value for key, value in settings.serving.scoring.items() if key not in containers.SCORING_FILES} | {
        "SCORING_WORKERS": "1"
    }
    url = runtimes.of(settings).address(name, port)
    settings = prediction_log.without(settings)
    alone = replace(settings, serving=replace(settings.serving, port=port, url=url, scoring=plain))
    log.parent.mkdir(parents=True, exist_ok=True)
    clear(settings, prepared.model.name, owner)
    process = runtimes.of(alone).start_trial(prepared, name, log)
    try:
        with shell.running(process, log):
            case = api_test.examine(alone, prepared, lambda: process.poll() is None)
            return case, _measure_well(case, process, bound)
    except SlipwayError as error:
        failed = "'s smoke test: " if isinstance(error, TimedOutError) else " failed its smoke test: "
        raise error.within(f"{prepared.model.uri}{failed}") from None
    finally:
        clear(settings, prepared.model.name, owner)


def _measure_well(case: api_test.Case, process: subprocess.Popen[bytes], bound: float | None) -> float:
    best = _measure(case, process, bound)
    for _ in range(MEASUREMENTS - 1):
        if bound is None or best <= bound:
            break
        best = min(best, _measure(case, process, bound))
    return best


def _measure(case: api_test.Case, process: subprocess.Popen[bytes], bound: float | None) -> float:
    """Return the p95 of the latency in ms; of fewer requests, once so many were above `bound` that it is.

    NaN where there are no rows to send.
    """
    if case.request is None:
        return math.nan
    row = example.cut(case.request, 1)
    taken: list[float] = []
    too_many = TIMED - int(TIMED * 0.95)
    with requests.Session() as session:
        for _ in range(WARM + TIMED):
            started = time.perf_counter()
            try:
                answer = session.post(
                    f"{case.url}/invocations", data=json.dumps(row), headers=JSON, timeout=case.seconds
                )
            except requests.Timeout:
                raise time_out(f"{case.url} did not answer", case.seconds, "REQUEST_TIMEOUT") from None
            except requests.RequestException as error:
                ended = "" if process.poll() is None else f"; the server ended with exit code {process.poll()}"
                raise SlipwayError(f"a request failed: {type(error).__name__}{ended}") from None
            if not answer.ok and not taken and row != case.request:  # it takes so many rows, and no fewer
                row = case.request
                continue
            if not answer.ok:
                raise SlipwayError(f"a request was answered with {answer.status_code}")
            taken.append((time.perf_counter() - started) * 1000)
            if bound is not None and sum(each > bound for each in taken[WARM:]) >= too_many:
                break
    return sorted(taken[WARM:])[int(len(taken[WARM:]) * 0.95)]


def clear(settings: Settings, model: str | None, owner: str = "release") -> None:
    """Remove the container of an owner's trial of a model; or its process, when the one who started it was killed."""
    runtimes.of(settings).clear_trial(*_places(settings, model, owner))


def _places(settings: Settings, model: str | None, owner: str) -> tuple[str, Path]:
    name = f"{settings.services.project}-trial-{model_folder.plain(model or 'model')}-{owner}"
    return name, BUILD / "trials" / f"{name}.log"
