"""Facts about this machine. Standard library only, Python 3.8 or later: it runs before anything is installed."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.bootstrap.venv import GIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEADLINE = 10.0  # s; an engine that hangs must not hold up the rest
NOT_FOUND, NO_ANSWER = 127, 124  # exit codes, as a shell and timeout(1) give them


@dataclass(frozen=True)
class Answer:
    """What a program said: its exit code, stdout, stderr, and when it was asked and answered (s since 1970)."""

    code: int
    words: str = ""
    error: str = ""
    asked: float = 0.0
    answered: float = 0.0


def ask(command: Sequence[str], timeout: float = DEADLINE) -> Answer:
    """Run a program silently and return its answer; one that hangs is ended with all its children."""
    asked = time.time()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        return Answer(NOT_FOUND, error=str(error))
    try:
        words, error_words = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Answer(NO_ANSWER, error=f"no answer within {timeout:.0f} s")
    return Answer(process.returncode, words.strip(), error_words.strip(), asked, time.time())


def ask_all(commands: Mapping[str, Sequence[str]]) -> dict[str, Answer]:
    """Ask several programs at the same time."""
    with ThreadPoolExecutor(max_workers=max(1, len(commands))) as pool:
        return dict(zip(commands, pool.map(ask, commands.values())))  # noqa: B905 -- strict= is Python 3.10's


def name_server(port: int) -> str:
    """Return the Server header of what answers HTTP on a port of 127.0.0.1, or nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/")
        return connection.getresponse().getheader("Server") or ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def measure_memory() -> int | None:
    """Return the memory that programs can still have, in bytes (macOS: all there is).

    None when this system does not say.
    """
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        words = ask(["sysctl", "-n", "hw.memsize"]).words
        return int(words) if words.isdigit() else None
    return int(found.group(1)) * 1024 if found else None


def find_existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110 -- Path.exists raises where we may not look


def measure_disks(folders: Mapping[str, Path]) -> dict[str, int]:
    """Return the free bytes under each named folder, one name for each file system."""
    free: dict[int, tuple[str, int]] = {}
    for name, folder in folders.items():
        existing = find_existing(folder)
        free.setdefault(existing.stat().st_dev, (name, shutil.disk_usage(existing).free))
    return dict(free.values())


def count_certificates(path: Path) -> int:
    """Return how many certificates a PEM file holds; a folder of certificates counts as one.

    Raises OSError (ssl.SSLError is one) for a file that cannot be read or is not PEM.
    """
    import ssl  # noqa: PLC0415 -- a Python built without it must get as far as the check that says so

    if path.is_dir():
        return 1
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(path))
    return context.cert_store_stats()["x509"]


def find_newest(root: Path) -> float:
    """Return the time of the newest commit or file at the top of a checkout, in s since 1970."""
    commit = ask([*GIT, "-C", str(root), "log", "-1", "--format=%ct"]).words
    return max(
        [
            float(commit) if commit.isdigit() else 0.0,
            *(entry.stat().st_mtime for entry in root.iterdir() if entry.is_file()),
        ]
    )
