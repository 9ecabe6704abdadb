"""What one run measures, from QUICK, SERVERS, CASES, ROUNDS and SECONDS."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from cases import CASES, QUICK, WAYS, Case
from load import Bodies
from servers import MODELS, SERVERS, Server

from slipway.errors import SlipwayError

FEW = ("us", "off", "mlflow", "floor", "constant")  # the servers of a QUICK run
MOST = 600  # rounds, and seconds of one


@dataclass(frozen=True)
class Plan:
    """The servers and cases, and how thoroughly they are measured."""

    servers: list[Server]
    cases: list[Case]
    rounds: int
    seconds: int  # of one round
    starts: int
    cores: tuple[int, int]  # the server's and the load's
    only_ways: bool = False  # whether nothing is measured, and our ways are looked at


def choose() -> Plan:
    """Return the plan that the environment asks for.

    Raises SlipwayError when it names nothing there is, or when there is one core only.
    """
    quick = os.environ.get("QUICK", "") not in ("", "0")
    names = os.environ.get("SERVERS", "").split() or (list(FEW) if quick else list(SERVERS))
    beginnings = tuple(os.environ.get("CASES", "").split()) or (QUICK if quick else ("",))
    only_ways = beginnings == ("ways",)
    if only_ways:
        names, beginnings = ["us"], ("",)
    names = list(SERVERS) if names == ["all"] else names
    cases = [case for case in CASES if case.key.startswith(beginnings)]
    if not cases or {*names} - {*SERVERS}:
        keys = " ".join(case.key for case in CASES)
        known = f"SERVERS from {' '.join(SERVERS)}, or all; CASES from {keys}, or beginnings of these; CASES=ways"
        raise SlipwayError("SERVERS or CASES names what is not there", known)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        raise SlipwayError(
            "this process may use one core only", "a machine with two: one for the server, one for the load"
        )
    rounds = _read("ROUNDS", 1 if quick else 3)
    servers, seconds = [SERVERS[name] for name in names], _read("SECONDS", 1)
    own, load = cores[1], cores[0]  # the first core has the interrupts too
    return Plan(servers, cases, rounds, seconds, min(rounds, 3), (own, load), only_ways)


def _read(name: str, default: int) -> int:
    given = os.environ.get(name, "").strip() or str(default)
    if not (given.isascii() and given.isdigit() and 0 < int(given) <= MOST):
        raise SlipwayError(f"{name} is {given!r}", f"a whole number from 1 to {MOST}")
    return int(given)


def takes_part(server: Server, case: Case) -> bool:
    """Whether a server is measured in a case: it speaks the body and serves the model.

    The constant is measured where its bar stands, and ours without shortcuts where it has some.
    """
    if server.name == "off" and WAYS[case.model] != "shortcut":
        return False
    if server.name == "constant":
        return (case.model, case.rows, case.body) == ("elasticnet", 1, "json")
    return case.body in server.bodies and (server.pyfunc or case.model != "pyfunc")


def find_bodies(server: Server, case: Case) -> Bodies:
    """Return what a server is sent in a case, and the right answers."""
    form, path = server.bodies[case.body]
    folder = MODELS / case.model
    right = None if server.name == "constant" else json.loads((folder / f"right-{case.rows}").read_text())
    return Bodies(sorted((folder / f"{form}-{case.rows}").iterdir()), path, right)
