"""The processes of a server, as Linux shows them in /proc: its family, its memory, and who shares its libraries."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from slipway.errors import SlipwayError

LIBRARY = ".so"

if sys.platform != "linux":
    raise SlipwayError(
        "the serving benchmark needs Linux: it binds processes to cores and reads their memory from /proc"
    )


def find_family(ancestor: int) -> list[int]:
    """Return the ids of a process and of all that it started, directly or not."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def measure_memory(ancestor: int) -> float:
    """Return the MB of a server's processes: what they share with each other or with others counts in parts (PSS)."""
    kilobytes = 0
    for pid in find_family(ancestor):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def find_sharers(ancestor: int, environment: Path) -> int:
    """Return how many other processes have libraries of a server's environment in memory: each makes its PSS less."""
    family = {*find_family(ancestor), os.getpid()}
    prefix, found = f"{environment.resolve()}{os.sep}", 0
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if int(entry.name) not in family:
                mapped = (entry / "maps").read_text(errors="replace").splitlines()
                found += any(prefix in line and LIBRARY in line for line in mapped)
    return found
