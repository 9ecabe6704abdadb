"""The deployer, made to kill itself at the point that FILE names: `python dying_deployer.py FILE`.

Otherwise it is the real program.

A point is "begin STEP" or "end STEP" of a deployment's step, or "recorded": a release is in the history, and the alias
not yet moved.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import settings
from slipway.deployer import start
from slipway.deployer.store import Store
from slipway.release import history

if TYPE_CHECKING:
    from slipway.registry.client import Registry

ARMED = Path(sys.argv[1])
STEPS: dict[int, str] = {}
begin_step, end_step, record = Store.begin_step, Store.end_step, history.record


def die(point: str) -> None:
    """Die by SIGKILL at the point that was asked for."""
    if ARMED.exists() and ARMED.read_text(encoding="utf-8") == point:
        ARMED.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def begin(store: Store, deployment: str, name: str) -> int:
    """Begin a step, and die."""
    number = begin_step(store, deployment, name)
    STEPS[number] = name
    die(f"begin {name}")
    return number


def end(store: Store, step: int, state: str, words: str) -> None:
    """Die before the end of a step is on record."""
    die(f"end {STEPS[step]}")
    end_step(store, step, state, words)


def recorded(registry: Registry, name: str, release: history.Release) -> None:
    """Record a release, and die."""
    record(registry, name, release)
    die("recorded")


Store.begin_step, Store.end_step, history.record = begin, end, recorded  # type: ignore[method-assign, assignment]
start.start(settings.load())
