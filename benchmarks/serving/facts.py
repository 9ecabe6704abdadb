"""What a measurement must say about itself: machine, date, versions, command."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments import HERE

from slipway.settings import ROOT, VERSION

if TYPE_CHECKING:
    from plan import Plan

VARIABLES = ("QUICK", "SERVERS", "CASES")


def gather(plan: Plan) -> dict[str, Any]:
    """Return the facts."""
    given = " ".join(f'{name}="{os.environ[name]}"' for name in VARIABLES if os.environ.get(name))
    return {
        "machine": f"{_name_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
        "command": f"make bench_serving {given}".strip(),
        "versions": {"us": f"{VERSION} ({_name_commit()})"}
        | {
            server.name: _find_version(server.environment)
            for server in plan.servers
            if server.environment and server.name != "constant"
        },
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "starts": plan.starts,
    }


def _name_processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _name_commit() -> str:
    completed = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return completed.stdout.strip() or "no git"


def _find_version(environment: str) -> str:
    """Return the version that a peer's file pins; the floor is uvicorn's."""
    name = "uvicorn" if environment == "floor" else environment
    pins = (HERE / "peers" / f"{environment}.txt").read_text().splitlines()
    return next(pin.partition("==")[2] for pin in pins if pin.startswith(f"{name}=="))
