"""Runs the deployments to one target one after another, urgent ones first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from slipway import model_folder
from slipway.deployer import store
from slipway.deployer.recorder import StoreRecorder
from slipway.errors import SlipwayError
from slipway.interruption import Interruption
from slipway.registry.client import Registry
from slipway.release import history, lock
from slipway.release.pipeline import MovedMeanwhileError, Order, Pipeline, worded
from slipway.release.protocols import Cancelled, Preempted

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.deployer.store import Deployment, Store
    from slipway.release.protocols import Target
    from slipway.settings import Services, Settings

ATTEMPTS = 5  # of a deployment that keeps being interrupted
WORDS = {store.ROLL_BACK: "the rollback to", store.FOLLOW: "the move of @champion to"}


def name_owner(services: Services, target: str) -> str:
    """Return the owner's name of the deployer's smoke tests for a target."""
    return f"deployer-{services.deployer_port}-{target}"


class Worker:
    """Runs the deployments to one target."""

    def __init__(self, settings: Settings, store: Store, target: Target, holder: lock.Holder, pictures: Path) -> None:
        self._settings = settings
        self._store = store
        self._target = target
        self._holder = holder
        self._pictures = pictures
        self._halted = threading.Event()
        self._under_way: tuple[Deployment, Interruption] | None = None

    def halt(self) -> None:
        """Record nothing more: this program is ending, and the next one restarts what is under way."""
        self._halted.set()

    def cancel(self, deployment: str) -> None:
        """End the running step of a cancelled deployment."""
        if (found := self._under_way) and found[0].id == deployment:
            found[1].end(Cancelled("on request"))

    def make_way(self, urgent: Deployment) -> None:
        """End the running step of a deployment that is less urgent than a new one.

        It restarts afterwards.
        """
        if (found := self._under_way) is None:
            return
        running, work = found
        is_same = (
            running.id == urgent.id and running.action != urgent.action
        )  # it is that very version, which is released meanwhile
        is_behind = running.id != urgent.id and running.action != store.ROLL_BACK
        if urgent.action != store.DEPLOY and (is_same or is_behind):
            work.end(Preempted(f"{WORDS[urgent.action]} version {urgent.version} takes priority"))

    def run(self, deployment: Deployment) -> bool:
        """Run a deployment to its end; return False if it has to wait for the tracking server."""
        work = Interruption()
        recorder = StoreRecorder(self._settings, self._store, deployment, self._halted)
        self._under_way = (deployment, work)
        for each in self._store.list():  # that came just as this one was begun
            is_urgent = store.RANKS[each.action] < store.RANKS[deployment.action]
            if is_urgent and each.state == store.PENDING and each.target == deployment.target:
                self.make_way(each)
        try:
            if deployment.attempts > ATTEMPTS:
                raise SlipwayError(f"it was interrupted {ATTEMPTS} times")  # noqa: TRY301 -- as any reason
            with worded():
                reason = self._release(deployment, recorder, work)
                state = store.BACK if reason else store.DONE
        except Cancelled as cancelled:
            state, reason = store.CANCELLED, str(cancelled)
        except (Preempted, lock.GiveWayError, MovedMeanwhileError) as error:
            words = error.message if isinstance(error, SlipwayError) else str(error)
            self._store.put_back(deployment.id, f"waits: {words}")
            print(f"== {deployment.model} on {deployment.target}: waits, {words}", flush=True)
            return True
        except SlipwayError as error:
            state, reason = store.FAILED, error.message
            if recorder.will_resume(error):
                state, reason = store.PENDING, f"waits for the tracking server: {error.message}"
        finally:
            self._under_way = None
        self._store.end(deployment.id, state, reason)
        print(f"== {deployment.model} on {deployment.target}: {state}{f', {reason}' if reason else ''}", flush=True)
        return state != store.PENDING

    def _release(self, deployment: Deployment, recorder: StoreRecorder, work: Interruption) -> str:
        """Release a version; an unreleased one waits while anybody rolls back."""
        settings, model = self._settings, model_folder.load(self._settings.model_dir)
        registry = Registry.connect(settings)
        owner, picture = name_owner(settings.services, self._target.name), self._pictures / f"{deployment.id}.png"
        pipeline = Pipeline(settings, registry, model, self._holder, recorder, self._target, owner, picture)
        action = history.ROLLED_BACK if deployment.action == store.ROLL_BACK else history.PROMOTED
        follows = deployment.action == store.FOLLOW
        order = Order(deployment.version, action, deployment.by, follows=follows, previous=deployment.previous)
        if deployment.action == store.ROLL_BACK:
            with lock.held(registry, model.name, self._holder, lock.PATIENCE_S, lock.ROLLBACK):
                return pipeline.release(order, work)
        while deployment.action == store.DEPLOY and (by := lock.find_rollback(registry, model.name, self._holder)):
            self._store.note(deployment.id, f"waits: {by} is rolling back")
            work.check()
            time.sleep(lock.LOOK_S)
        return pipeline.release(order, work)
