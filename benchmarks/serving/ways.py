"""The way by which ours predicts with each model, also as if the processor were another.

CASES=ways: no load, a table.
"""

from __future__ import annotations

import http.client
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cases import MODELS, WAYS, Case
from facts import name_processor
from plan import find_bodies
from servers import SERVERS, Running

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from plan import Plan

Way = dict[str, str]
KERNEL = "OPENBLAS_CORETYPE"  # which processor's arithmetic OpenBLAS shall use: it adds in another order
OWN = "its own"
CURE = "find out why, or take the model's bars away: a figure of a longer way says nothing"
KERNELS = {"Haswell": "avx2", "Zen": "avx2", "SkylakeX": "avx512f"}  # and what they need of the real one


def find_way(running: Running) -> Way:
    """Return by which way our server predicts, and why not by a shorter one."""
    with running.awake():
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        try:
            connection.request("GET", "/model.json")
            return dict(json.loads(connection.getresponse().read())["way"]["predict"])
        finally:
            connection.close()


def check(ways: dict[str, Way]) -> None:
    """Raise SlipwayError for models that took another way than the one that the bars are about."""
    wrong = [
        f"{MODELS[model]} takes the way {_describe(way)}, not {WAYS[model]}"
        for model, way in ways.items()
        if way["name"] != WAYS[model]
    ]
    if wrong:
        raise SlipwayError("; ".join(wrong), CURE)


def _describe(way: Way) -> str:
    return f"{way['name']} ({way['why']})" if way["why"] else way["name"]


def compare_kernels(plan: Plan) -> None:
    """Start ours with each model on each kernel, check its answers, and print the ways; raise as `check` does."""
    has = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    print(f"{name_processor()}; the kernels are OpenBLAS's", flush=True)
    faults = []
    for kernel, need in ((os.environ.get(KERNEL, ""), ""), *KERNELS.items()):
        if need and need not in has:
            print(f"{kernel}: this processor has no {need}", flush=True)
            continue
        try:
            check(_try_kernel(plan, kernel))
        except SlipwayError as error:
            faults.append(f"{kernel or OWN}: {error.message}")
    if faults:
        raise SlipwayError("\n".join(faults), CURE)


def _try_kernel(plan: Plan, kernel: str) -> dict[str, Any]:
    ways: dict[str, Way] = {}
    server = SERVERS["us"]
    for model in dict.fromkeys(case.model for case in plan.cases):
        with ExitStack() as stack:
            running = Running(server, model, core=plan.cores[0], given={KERNEL: kernel} if kernel else {})
            stack.callback(running.stop)
            running.wait(find_bodies(server, Case(model, 1, 1)))
            fault = find_bodies(server, Case(model, 100, 16)).check(running.port)
            ways[model] = find_way(running)
            print(f"{kernel or OWN}: {MODELS[model]}: {_describe(ways[model])}", flush=True)
            if fault:
                raise SlipwayError(f"{MODELS[model]}: {fault}")
    return ways
