"""What one run measures, from QUICK, SERVERS and CASES."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from cases import CASES, QUICK, Case
from load import Bodies
from servers import MODELS, SERVERS, Server

from slipway.errors import SlipwayError


@dataclass(frozen=True)
class Plan:
    """The servers and cases, and how thoroughly they are measured."""

    servers: list[Server]
    cases: list[Case]
    rounds: int
    seconds: int  # of one round
    starts: int
    cores: tuple[int, int]  # the server's and the load's


def choose() -> Plan:
    """Return the plan that the environment asks for.

    Raises SlipwayError when it names nothing there is, or when there is one core only.
    """
    quick = os.environ.get("QUICK", "") not in ("", "0")
    names = os.environ.get("SERVERS", "").split() or (["us", "mlflow", "floor", "constant"] if quick else list(SERVERS))
    beginnings = tuple(os.environ.get("CASES", "").split()) or (QUICK if quick else ("",))
    names = list(SERVERS) if names == ["all"] else names
    cases = [case for case in CASES if case.key.startswith(beginnings)]
    if not cases or {*names} - {*SERVERS}:
        keys = " ".join(case.key for case in CASES)
        known = f"SERVERS from {' '.join(SERVERS)}, or all; CASES from {keys}, or beginnings of these"
        raise SlipwayError("SERVERS or CASES names what is not there", known)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        raise SlipwayError(
            "this process may use one core only", "a machine with two: one for the server, one for the load"
        )
    rounds, seconds, starts = (1, 1, 1) if quick else (3, 2, 3)
    return Plan(
        [SERVERS[name] for name in names], cases, rounds, seconds, starts, (cores[1], cores[0])
    )  # the first core has the interrupts too


def takes_part(server: Server, case: Case) -> bool:
    """Whether a server is measured in a case: it speaks the body and serves the model.

    The constant is measured where its bar stands.
    """
    if server.name == "constant":
        return (case.model, case.rows, case.body) == ("elasticnet", 1, "json")
    return case.body in server.bodies and (server.pyfunc or case.model != "pyfunc")


def find_bodies(server: Server, case: Case) -> Bodies:
    """Return what a server is sent in a case, and the right answers."""
    form, path = server.bodies[case.body]
    folder = MODELS / case.model
    right = None if server.name == "constant" else json.loads((folder / f"right-{case.rows}").read_text())
    return Bodies(sorted((folder / f"{form}-{case.rows}").iterdir()), path, right)
