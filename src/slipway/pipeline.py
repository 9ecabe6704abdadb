"""One deployment, step by step: files, gate, image, smoke test, alias, roll out, smoke test there; or back by itself.

Every step may be taken twice, so a deployment that a kill interrupted is taken again from its first step.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway import deployments, folder, history, mutex, registry, serving
from slipway.errors import SlipwayError
from slipway.history import Release
from slipway.release import Candidacy, Outcome, Step, move

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.deployments import Deployment, Store
    from slipway.settings import Settings
    from slipway.targets import Target

PATIENCE = 60  # s for somebody else's release to end
ATTEMPTS = 5  # of a deployment that is interrupted again and again
WAITS = 900  # s for the tracking server to come back


class Cancelled(Exception):  # noqa: N818 -- no error
    """Somebody asked for the end of the deployment."""


class Pipeline:
    """Takes deployments to one target."""

    def __init__(self, settings: Settings, store: Store, target: Target, holder: mutex.Holder, pictures: Path) -> None:
        self._settings = settings
        self._store = store
        self._target = target
        self._holder = holder
        self._pictures = pictures
        self._halted = threading.Event()

    def halt(self) -> None:
        """Have nothing more be recorded: this program ends, and the next takes up what is under way."""
        self._halted.set()

    def run(self, deployment: Deployment) -> bool:
        """Take a deployment to its end; return False when it has to wait for the tracking server."""
        try:
            if deployment.attempts > ATTEMPTS:
                raise SlipwayError(f"it was interrupted {ATTEMPTS} times")  # noqa: TRY301 -- as any reason
            state, reason = self._release(deployment)
        except Cancelled:
            state, reason = deployments.CANCELLED, "on request"
        except SlipwayError as error:
            state, reason = deployments.FAILED, error.message
            if self._must_wait() and time.time() - deployment.created < WAITS:
                state, reason = deployments.PENDING, f"waits for the tracking server: {error.message}"
        except Exception as error:  # noqa: BLE001 -- whatever a step raises ends its deployment, and not the deployer
            state, reason = deployments.FAILED, f"{type(error).__name__}: {error}".splitlines()[0]
        self._store.end(deployment.id, state, reason)
        print(f"== {deployment.model} on {deployment.target}: {state}{f', {reason}' if reason else ''}", flush=True)
        return state != deployments.PENDING

    def _release(self, deployment: Deployment) -> tuple[str, str]:
        settings, model = self._settings, folder.load(self._settings.model_dir)
        client = registry.connect(settings)
        with registry.translated_errors(), mutex.held(client, model.name, self._holder, PATIENCE):
            champion = registry.find_champion(client, model.name)
            if deployment.action == deployments.FOLLOW and champion != deployment.version:
                return deployments.CANCELLED, f"@{registry.CHAMPION} has moved on to version {champion}"
            past = history.read(client, model.name)
            before = champion if champion != deployment.version else next(iter(history.walk(past, champion)[-2:-1]), None)
            on_record = champion == deployment.version and history.walk(past, None)[-1:] == [champion]
            self._store.set_previous(deployment.id, before)
            candidacy = Candidacy(settings, client, model, deployment.version, before, self._pictures / f"{deployment.id}.png")
            event = Release(history.PROMOTED, deployment.version, before, deployment.by, "")
            if deployment.action == deployments.ROLL_BACK:
                event = replace(event, action=history.ROLLED_BACK)
            try:
                outcome = candidacy.examine(self._step(deployment), judged=not on_record and event.action == history.PROMOTED)
                with self._step(deployment)("alias") as told:
                    if not on_record:
                        move(client, model, replace(event, verdict=outcome.verdict))
                    told(f"@{registry.CHAMPION} is version {deployment.version}")
            except SlipwayError as error:
                if self._must_wait():
                    raise
                history.record(client, model.name, replace(event, action=history.REFUSED, verdict=error.message))
                if before is not None:  # else it was set by hand, and there is nothing to set it to
                    self._put_back(deployment, candidacy, error.message)
                raise
            return self._roll_out(deployment, candidacy, outcome)

    def _roll_out(self, deployment: Deployment, candidacy: Candidacy, outcome: Outcome) -> tuple[str, str]:
        step = self._step(deployment, cancellable=False)
        try:
            with step("roll out") as told:
                self._target.roll_out(outcome.prepared)
                told(f"version {deployment.version} answers")
            with step("smoke test there") as told:
                self._target.check(outcome.prepared, outcome.case)
                told("the API does what it should")
        except SlipwayError as error:
            reason = error.message
        else:
            return deployments.DONE, ""
        with step("back") as told:
            before = candidacy.champion
            if before is None:
                self._target.clear()
            elif self._target.find_version() != before:
                self._target.roll_out(serving.prepare(self._settings, f"models:/{candidacy.model.name}/{before}"))
            told(f"version {before} answers" if before else "nothing answers: there was no version before")
        self._put_back(deployment, candidacy, reason)
        return deployments.BACK, reason

    def _put_back(self, deployment: Deployment, candidacy: Candidacy, reason: str) -> None:
        """Have @champion stand for the version before again, when it stands for this one."""
        client, name, before = candidacy.client, candidacy.model.name, candidacy.champion
        if registry.find_champion(client, name) != deployment.version:
            return
        with self._step(deployment, cancellable=False)("alias back") as told:
            if before is None:
                client.delete_registered_model_alias(name, registry.CHAMPION)
            else:
                verdict = f"instead of version {deployment.version}: {reason}"
                history.record(client, name, Release(history.PUT_BACK, before, deployment.version, self._holder.by, verdict))
                client.set_registered_model_alias(name, registry.CHAMPION, str(before))
            told(f"@{registry.CHAMPION} is version {before} again" if before else f"there is no @{registry.CHAMPION} again")

    def _must_wait(self) -> bool:
        try:
            registry.check_reachable(self._settings)
        except SlipwayError:
            return True
        return False

    def _step(self, deployment: Deployment, *, cancellable: bool = True) -> Step:
        @contextmanager
        def step(name: str) -> Iterator[Callable[[str], None]]:
            present = self._store.get(deployment.id)
            if cancellable and present and present.cancel:
                raise Cancelled
            print(f"== {deployment.model}: {name}", flush=True)
            number, said = self._store.begin_step(deployment.id, name), [""]
            try:
                yield lambda words: said.__setitem__(0, words)
            except BaseException as error:
                while self._halted.is_set():  # it fails because we end
                    time.sleep(1)
                self._store.end_step(number, "failed", error.message if isinstance(error, SlipwayError) else type(error).__name__)
                raise
            self._store.end_step(number, "done", said[0])

        return step
