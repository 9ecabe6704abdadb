"""What a measurement must say about itself: machine, date, versions, command."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environments import OURS, find_pins

from slipway.bootstrap import docker_cli
from slipway.settings import ROOT, VERSION

if TYPE_CHECKING:
    from plan import Plan

LABEL = "io.slipway.model.name"  # of a served image
VARIABLES = ("QUICK", "SERVERS", "CASES", "ROUNDS", "SECONDS", "OPENBLAS_CORETYPE")


def gather(plan: Plan) -> dict[str, Any]:
    """Return the facts."""
    given = " ".join(f'{name}="{os.environ[name]}"' for name in VARIABLES if os.environ.get(name))
    return {
        "machine": f"{name_processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}",
        "coretype": os.environ.get("OPENBLAS_CORETYPE", ""),
        "date": time.strftime("%Y-%m-%d"),
        "command": f"make bench_serving {given}".strip(),
        "versions": {"us": f"{VERSION} ({_name_commit()})"}
        | {
            server.name: _find_version(server.environment)
            for server in plan.servers
            if server.environment != OURS and server.name != "constant"
        },
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "starts": plan.starts,
    }


def name_processor() -> str:
    """Return the processor's model."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def find_image(name: str) -> dict[str, Any]:
    """Return the tag and the MB of the newest served image of a registered model's name; {} where there is none."""
    listed = _ask("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"label={LABEL}={name}")
    tag = listed.partition("\n")[0]  # the newest comes first
    size = _ask(*docker_cli.measure_image(tag)) if tag else ""
    return {"tag": tag, "MB": int(size) / 1e6} if size.isdigit() else {}


def _ask(*command: str) -> str:
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no Docker


def _name_commit() -> str:
    return _ask("git", "-C", str(ROOT), "describe", "--always", "--dirty") or "no git"


def _find_version(environment: str) -> str:
    """Return the version that a peer's file pins; the floor is uvicorn's."""
    name = "uvicorn" if environment == "floor" else environment
    pins = find_pins(environment).read_text().splitlines()
    return next(pin.partition("==")[2] for pin in pins if pin.startswith(f"{name}=="))
