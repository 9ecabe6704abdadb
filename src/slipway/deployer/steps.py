"""The steps of a deployment: each on record as it begins and ends, and such that another thread can end it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.interruption import interruptible
from slipway.registry import client as registry
from slipway.release import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slipway.deployer.store import Deployment, Store
    from slipway.interruption import Interruption
    from slipway.release.candidate import Step


class Cancelled(Exception):  # no error
    """Somebody asked for the end of the deployment."""


class Preempted(Exception):  # no error
    """Something more urgent goes first; the deployment is taken up after it, from its first step."""


class Steps:
    """Opens steps, until the program ends."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._halted = threading.Event()

    def halt(self) -> None:
        """Have nothing more be recorded: this program ends, and the next takes up what is under way."""
        self._halted.set()

    def of(self, deployment: Deployment, work: Interruption | None) -> Step:
        """Return what opens a step.

        One that is part of `work` can be ended from outside, and the programs that it runs with it.
        """

        @contextmanager
        def step(name: str) -> Iterator[Callable[[str], None]]:
            if work:
                present = self._store.get(deployment.id)
                if present and present.cancel:
                    raise Cancelled("on request")
                work.check()
            print(f"== {deployment.model}: {name}", flush=True)
            number, said = self._store.begin_step(deployment.id, name), [""]
            try:
                with interruptible(work) if work else nullcontext():
                    yield lambda words: said.__setitem__(0, words)
            except BaseException as error:
                while self._halted.is_set():  # it fails because we end
                    time.sleep(1)
                state = "interrupted" if isinstance(error, Preempted | lock.GiveWayError) else "failed"
                if isinstance(error, Cancelled):
                    state = "cancelled"
                words = error.message if isinstance(error, SlipwayError) else str(error) or type(error).__name__
                self._store.end_step(number, state, words)
                raise
            self._store.end_step(number, "done", said[0])

        return step


@contextmanager
def worded() -> Iterator[None]:
    """Turn whatever is raised into an error in words, so that nothing ends a deployment past its ways back."""
    try:
        with registry.translated_errors():
            yield
    except (SlipwayError, Cancelled, Preempted):
        raise
    except Exception as error:
        raise SlipwayError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
