"""One release at a time: a lock in the registry itself, so that it holds between machines.

The one thing that a registry makes at most once is a registered model's name, so the lock is a registered model
without versions, there for as long as the release takes.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway import registry
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

LIMIT = 900  # s; whoever holds the lock longer has died on a machine that we cannot see
GONE = "RESOURCE_DOES_NOT_EXIST"
WORDS = "A release is under way. Slipway removes this by itself; it holds no versions."


@dataclass(frozen=True)
class Holder:
    """Who releases: `by` for people, `process` to tell whether it still lives ("host/pid", or a name that survives a restart)."""

    by: str
    process: str

    def is_gone(self, other: Holder) -> bool:
        """Whether `other` is an earlier life of ours, or a dead process of this machine."""
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
def held(client: MlflowClient, name: str, holder: Holder, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a model's releases; wait `patience` seconds for another's to end.

    Raises SlipwayError, which names the other, when it does not.
    """
    lock = f"{name}{registry.LOCK}"
    deadline = time.monotonic() + patience
    while not _take(client, lock, holder):
        model = registry.find(client.get_registered_model, lock)
        if model is None:  # it ended just now
            time.sleep(0.05)
            continue
        other = Holder(model.tags.get("by", "somebody"), model.tags.get("process", ""))
        since = time.time() - int(model.creation_timestamp or 0) / 1000
        if since > LIMIT or holder.is_gone(other):
            _remove(client, lock, other)
        elif time.monotonic() > deadline:
            raise SlipwayError(
                f"{other.by} is releasing {name}, since {max(since, 0):.0f} s; two at once are not", "the same again, a little later"
            )
        else:
            time.sleep(0.5)
    try:
        yield
    finally:
        with suppress(Exception):  # a registry that does not answer now: the lock is seen to be a dead one's
            _remove(client, lock, holder)


def _take(client: MlflowClient, lock: str, holder: Holder) -> bool:
    try:
        client.create_registered_model(lock, {"by": holder.by, "process": holder.process}, WORDS)
    except Exception as error:
        if getattr(error, "error_code", "") in {"RESOURCE_ALREADY_EXISTS", GONE}:  # gone: while MLflow looked which one exists already
            return False
        raise
    return True


def _remove(client: MlflowClient, lock: str, holder: Holder) -> None:
    """Remove the lock, if it is that holder's: who found it stale may be late."""
    model = registry.find(client.get_registered_model, lock)
    if model is None or model.tags.get("process", "") != holder.process:
        return
    try:
        client.delete_registered_model(lock)
    except Exception as error:
        if getattr(error, "error_code", "") != GONE:
            raise


def lives(pid: int) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
