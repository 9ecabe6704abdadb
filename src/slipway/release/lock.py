"""Locks in the registry itself, so that they hold across machines.

One promotion at a time, one rollback, one move of the alias.

The registry guarantees uniqueness only for names of registered models, so a lock is a registered model without
versions that exists while the work runs. A rollback does not wait for a promotion: a promotion checks whether
a rollback is under way.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.interruption import interruptible
from slipway.model_folder import LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slipway.interruption import Interruption
    from slipway.registry.client import Registry

PROMOTION, ROLLBACK, MOVE = "", "..rollback", "..move"  # what a lock is for; no model's name has two dots in a row
LOOK_S = 1.0  # between two looks for a rollback, one cheap call each
RENEW_S = 60.0  # between two signs of life of who holds a lock, however long that takes
LIMIT = 900  # s without a sign: whoever holds the lock has died on a machine that we cannot see
PATIENCE_S = 60.0  # for another rollback, or another's move of the alias, to end
MOVE_LIMIT = 120  # s; a move of the alias takes two calls
WORDS = "A release is under way. Slipway removes this by itself; it holds no versions."


class GiveWayError(SlipwayError):
    """Work on a candidate was interrupted for something more urgent; this is no verdict on the version."""


@dataclass(frozen=True)
class Holder:
    """Who releases.

    `by` is for people, `process` tells whether it is still alive ("host/pid", or a name that survives a restart).
    """

    by: str
    process: str

    def is_gone(self, other: Holder) -> bool:
        """Whether `other` is an earlier run of this program, or a dead process on this machine."""
        host, _, pid = other.process.partition("/")
        return other.process == self.process or (host == socket.gethostname() and pid.isdigit() and not lives(int(pid)))


def identify_caller() -> Holder:
    """Return who runs this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an id without a name
        user = "unknown"
    return Holder(f"{user}@{socket.gethostname()}", f"{socket.gethostname()}/{os.getpid()}")


@contextmanager
def held(registry: Registry, name: str, holder: Holder, patience: float = 0.0, what: str = PROMOTION) -> Iterator[None]:
    """Hold one of a model's locks; wait up to `patience` seconds for another holder, and print that.

    Raises SlipwayError, naming the other holder, if it does not finish.
    """
    lock = f"{name}{what}{LOCK}"
    deadline = time.monotonic() + patience
    said = False
    while not _take(registry, lock, holder):
        found = _find(registry, lock)
        if found is None:  # it ended just now
            time.sleep(0.05)
            continue
        other, since, silent = found
        if silent > (MOVE_LIMIT if what == MOVE else LIMIT) or holder.is_gone(other):
            _remove(registry, lock, other)
        elif time.monotonic() > deadline:
            words = (
                f"{other.by} has been releasing {name} for {max(since, 0):.0f} s; only one release can run at a time"
            )
            raise SlipwayError(words, "the same command again, a little later")
        else:
            if not said and what != MOVE:
                print(f"waiting for {other.by}, who is releasing {name}, at most {patience:.0f} s", flush=True)
                said = True
            time.sleep(0.2)
    try:
        with _every(RENEW_S, lambda: _renew(registry, lock, holder)):
            yield
    finally:
        with suppress(Exception):  # a registry that does not answer now: the lock is seen to be a dead one's
            _remove(registry, lock, holder)


def find_rollback(registry: Registry, name: str, holder: Holder) -> str:
    """Return who is rolling a model back now, or ""."""
    found = _find(registry, f"{name}{ROLLBACK}{LOCK}")
    return found[0].by if found and found[2] <= LIMIT and not holder.is_gone(found[0]) else ""


@contextmanager
def giving_way(work: Interruption, registry: Registry, name: str, holder: Holder) -> Iterator[None]:
    """Run work on a candidate; end it with GiveWayError as soon as somebody rolls the model back."""

    def look() -> None:
        if work.reason is None and (by := find_rollback(registry, name, holder)):
            work.end(GiveWayError(f"{by} is rolling {name} back, which takes priority"))

    with _every(LOOK_S, look), interruptible(work):
        yield


def free(registry: Registry, name: str, processes: str) -> None:
    """Remove a model's locks whose holders' names begin with `processes` and are known to be gone."""
    for what in (PROMOTION, ROLLBACK, MOVE):
        lock = f"{name}{what}{LOCK}"
        if (found := _find(registry, lock)) and found[0].process.startswith(processes):
            _remove(registry, lock, found[0])


@contextmanager
def _every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something periodically during a block; a failure is ignored, as the next time may succeed."""
    ended = threading.Event()

    def go() -> None:
        while not ended.wait(seconds):
            with suppress(Exception):
                act()

    threading.Thread(target=go, daemon=True, name="beside a release").start()
    try:
        yield
    finally:
        ended.set()


def _renew(registry: Registry, lock: str, holder: Holder) -> None:
    if (found := _find(registry, lock)) and found[0].process == holder.process:
        registry.describe_model(lock, WORDS)


def _find(registry: Registry, lock: str) -> tuple[Holder, float, float] | None:
    """Return who holds a lock, for how many seconds, and the seconds since its last renewal."""
    model = registry.find_model(lock)
    if model is None:
        return None
    holder = Holder(model.tags.get("by", "somebody"), model.tags.get("process", ""))
    made, renewed = int(model.creation_timestamp or 0), int(model.last_updated_timestamp or 0)
    return holder, time.time() - made / 1000, time.time() - max(made, renewed) / 1000


def _take(registry: Registry, lock: str, holder: Holder) -> bool:
    return registry.create_model(lock, {"by": holder.by, "process": holder.process}, WORDS)


def _remove(registry: Registry, lock: str, holder: Holder) -> None:
    """Remove the lock if that holder still has it: somebody else may have taken it over."""
    model = registry.find_model(lock)
    if model is not None and model.tags.get("process", "") == holder.process:
        registry.delete_model(lock)


def lives(pid: int) -> bool:
    """Whether a process on this machine is alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
