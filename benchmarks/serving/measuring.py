"""The measurements: starts and memory, the cases, the workers.

Figures are medians of the rounds: neither a disturbed round counts, nor a lucky one.
"""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any

from cases import Case
from load import measure
from plan import find_bodies, takes_part
from processes import find_sharers, measure_memory
from report import describe
from servers import SERVERS, Running
from ways import find_way

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from plan import Plan
    from servers import Server

CONVERSATION = 1000  # requests before the memory is read
ONE_ROW = Case("elasticnet", 1, 64)
SPREAD = Case(
    "forest", 100, 16
)  # work enough that the load's own share of two cores, and half the rows in a batch, do not decide
LARGE = 10_000  # rows: few such requests fit in a round, which then takes twice as long
Results = dict[str, Any]


def measure_starts(plan: Plan, results: Results) -> None:
    """Start each server several times, alone and with its files in the system's cache; then measure its memory."""
    for server in plan.servers:
        try:
            tries, memory = _start_again(plan, server)
        except SlipwayError as error:
            results["cold"][server.name] = results["memory"][server.name] = {"void": error.message}
            print(f"{server.title}: {error.message}", flush=True)
            continue
        results["cold"][server.name] = {"s": median(tries), "tries": tries}
        results["memory"][server.name] = memory
        print(f"{server.title}: {median(tries):.2f} s to the first right answer, {memory['MB']:.0f} MB", flush=True)


def _start_again(plan: Plan, server: Server) -> tuple[list[float], Results]:
    """Return the seconds of each start but the first, which fills the cache, and the memory after the last."""
    bodies, tries, memory = find_bodies(server, ONE_ROW), [], {}
    for start in range(plan.starts + 1):
        with ExitStack() as stack:
            running = Running(server, ONE_ROW.model, batch=ONE_ROW.clients, core=plan.cores[0])
            stack.callback(running.stop)
            tries.append(running.wait(bodies))
            if start == plan.starts:
                for request in range(CONVERSATION):
                    if fault := bodies.check_one(running.port, request % len(bodies.files)):
                        raise SlipwayError(fault)
                sharers = find_sharers(running.process.pid, server.libraries)
                memory = {"MB": measure_memory(running.process.pid), "sharers": sharers}
    return tries[1:], memory


def measure_cases(plan: Plan, results: Results) -> None:
    """Measure the cases, model by model: all servers of a model are there, and each round wakes one after the other."""
    done = 0
    for model in dict.fromkeys(case.model for case in plan.cases):
        with ExitStack() as stack:
            started: dict[tuple[str, int], Running | str] = {}
            for case in (case for case in plan.cases if case.model == model):
                done += 1
                print(f"[{done} of {len(plan.cases)}] {case.title}", flush=True)
                figures = results["cases"][case.key] = {}
                ready = {}
                for server in (server for server in plan.servers if takes_part(server, case)):
                    mode = (server.name, case.batch if server.batches else 1)
                    if mode not in started:
                        started[mode] = _start(plan, stack, server, case)
                    running = started[mode]
                    if server.name == "us" and isinstance(running, Running):
                        results["ways"][model] = find_way(running)
                    fault = running if isinstance(running, str) else _check(running, case)
                    if isinstance(running, Running) and not fault:
                        ready[server.name] = running
                    else:
                        figures[server.name] = {"void": fault}
                figures |= _race(plan, case, ready, plan.cores[1])
                for name, result in figures.items():
                    print(f"    {SERVERS[name].title}: {describe(result)}", flush=True)


def _start(plan: Plan, stack: ExitStack, server: Server, case: Case) -> Running | str:
    """Return a server that answers, or why it does not."""
    running = Running(server, case.model, batch=case.batch, core=plan.cores[0])
    stack.callback(running.stop)
    try:
        with running.awake():
            running.wait(find_bodies(server, Case(case.model, 1, 1)))
    except SlipwayError as error:
        return error.message
    return running


def _check(running: Running, case: Case) -> str:
    with running.awake():
        return find_bodies(running.server, case).check(running.port)


def _race(plan: Plan, case: Case, ready: dict[str, Running], core: int | None) -> Results:
    """Measure servers in turns, round after round, and return each one's medians."""
    seconds = plan.seconds * (2 if case.rows == LARGE else 1)
    rounds: dict[str, list[Results]] = {name: [] for name in ready}
    for _ in range(plan.rounds):
        for name, running in ready.items():
            bodies = find_bodies(running.server, case)
            with running.awake():
                result = measure(bodies, running.port, case.clients, seconds, core)
                if fault := bodies.check_one(running.port):  # also has it finish what wrk no longer waited for
                    result["void"] = f"{fault} afterwards"
            rounds[name].append(result)
    return {name: _sum_up(measured) for name, measured in rounds.items()}


def _sum_up(measured: list[Results]) -> Results:
    """Return the medians; a void round makes all void."""
    for one in measured:
        if "void" in one:
            return {"void": one["void"], "rounds": measured}
    return {**{figure: median(one[figure] for one in measured) for figure in ("rps", "p50", "p99")}, "rounds": measured}


def measure_workers(plan: Plan, results: Results) -> None:
    """Measure ours with two workers and with one, neither they nor the load bound to a core."""
    with ExitStack() as stack:
        ready = {}
        for name, workers in (("us", 2), ("one", 1)):
            running = Running(SERVERS["us"], SPREAD.model, given={"SCORING_WORKERS": str(workers)})
            stack.callback(running.stop)
            with running.awake():
                running.wait(find_bodies(SERVERS["us"], SPREAD))
            ready[name] = running
        results["workers"] = _race(plan, SPREAD, ready, None)
    for name, words in (("one", "1 worker"), ("us", "2 workers")):
        print(f"Slipway, {words}: {describe(results['workers'][name])}", flush=True)
