"""Records each step of a deployment in the store as it begins and ends, so that a restart can continue."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.interruption import interruptible
from slipway.registry import connection
from slipway.release import lock
from slipway.release.protocols import Cancelled, Preempted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from slipway.deployer.store import Deployment, Store
    from slipway.interruption import Interruption
    from slipway.settings import Settings

HICCUPS = 900  # s of a tracking server that answers, and then does not


@dataclass(frozen=True)
class StoreRecorder:
    """Records a deployment's steps in the store, until the program ends."""

    settings: Settings
    store: Store
    deployment: Deployment
    halted: threading.Event  # nothing more is recorded: this program ends, and the next takes up what is under way

    @contextmanager
    def step(self, name: str, work: Interruption | None = None) -> Iterator[Callable[[str], None]]:
        """Open a step; a step of `work` can be ended from outside, with the programs that it runs."""
        if work:
            self.check_wanted()
            work.check()
        print(f"== {self.deployment.model}: {name}", flush=True)
        number, said = self.store.begin_step(self.deployment.id, name), [""]
        try:
            with interruptible(work) if work else nullcontext():
                yield lambda words: said.__setitem__(0, words)
        except BaseException as error:
            while self.halted.is_set():  # it fails because we end
                time.sleep(1)
            state = "interrupted" if isinstance(error, Preempted | lock.GiveWayError) else "failed"
            if isinstance(error, Cancelled):
                state = "cancelled"
            words = error.message if isinstance(error, SlipwayError) else str(error) or type(error).__name__
            self.store.end_step(number, state, words)
            raise
        self.store.end_step(number, "done", said[0])

    def note_champion(self, version: int | None) -> None:
        """Record the champion that the deployment would replace: after a restart the alias may name this version."""
        self.store.set_previous(self.deployment.id, version)

    def check_wanted(self) -> None:
        """Raise Cancelled if somebody cancelled the deployment; from the step "alias" on the store refuses that."""
        if (present := self.store.get(self.deployment.id)) and present.cancel:
            raise Cancelled("on request")

    def will_resume(self, error: SlipwayError) -> bool:
        """Whether the deployment waits for the tracking server, and restarts when it is back."""
        try:
            connection.check_reachable(self.settings)
        except SlipwayError:
            return True
        return isinstance(error, connection.UnreachableError) and time.time() - self.deployment.created < HICCUPS
