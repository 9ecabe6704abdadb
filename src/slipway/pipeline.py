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
from slipway.errors import SlipwayError, TimedOutError
from slipway.history import Release
from slipway.release import Candidacy, Outcome, Step, move

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow import MlflowClient

    from slipway.deployments import Deployment, Store
    from slipway.settings import Settings
    from slipway.targets import Target

PATIENCE = 60  # s for somebody else's release to end
HICCUPS = 900  # s of a tracking server that answers, and then does not
ATTEMPTS = 5  # of a deployment that is interrupted again and again


class Cancelled(Exception):  # noqa: N818 -- no error
    """Somebody asked for the end of the deployment."""


def name_owner(settings: Settings) -> str:
    """Return whose smoke tests the deployer's are."""
    return f"deployer-{settings.deployer_port}"


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
            with _worded():
                state, reason = self._release(deployment)
        except Cancelled as words:
            state, reason = deployments.CANCELLED, str(words)
        except SlipwayError as error:
            state, reason = deployments.FAILED, error.message
            if self._must_wait(deployment, error):
                state, reason = deployments.PENDING, f"waits for the tracking server: {error.message}"
        self._store.end(deployment.id, state, reason)
        print(f"== {deployment.model} on {deployment.target}: {state}{f', {reason}' if reason else ''}", flush=True)
        return state != deployments.PENDING

    def _release(self, deployment: Deployment) -> tuple[str, str]:
        settings, model = self._settings, folder.load(self._settings.model_dir)
        client = registry.connect(settings)
        with mutex.held(client, model.name, self._holder, PATIENCE):
            champion = registry.find_champion(client, model.name)
            if deployment.action == deployments.FOLLOW and champion != deployment.version:
                raise Cancelled(f"@{registry.CHAMPION} has moved on to version {champion}")
            way = history.walk(history.read(client, model.name), None)  # as it is on record
            on_record = champion == deployment.version and way[-1:] == [champion]
            ways_back = (deployment.previous, champion, self._target.find_version() if on_record else None, *reversed(way))
            before = next((version for version in ways_back if version not in {None, deployment.version}), None)
            self._store.set_previous(deployment.id, before)
            picture = self._pictures / f"{deployment.id}.png"
            candidacy = Candidacy(settings, client, model, deployment.version, before, picture, name_owner(settings))
            action = history.ROLLED_BACK if deployment.action == deployments.ROLL_BACK else history.PROMOTED
            event = Release(action, deployment.version, before, deployment.by, "")
            try:
                with _worded():
                    outcome = candidacy.examine(self._step(deployment), judged=not on_record and action == history.PROMOTED)
                    with self._step(deployment)("alias") as told:
                        self._check_followed(deployment, client)
                        if not on_record:
                            move(client, model, replace(event, verdict=outcome.verdict))
                        told(f"@{registry.CHAMPION} is version {deployment.version}")
            except Cancelled as words:
                if not on_record:
                    self._put_back(deployment, candidacy, f"cancelled {words}")
                raise
            except SlipwayError as error:
                if self._must_wait(deployment, error):
                    raise
                if not (on_record or isinstance(error, (TimedOutError, registry.UnreachableError))):  # those are no verdict
                    history.record(client, model.name, replace(event, action=history.REFUSED, verdict=error.message))
                # What was released already stays, unless the one before answers: or a server's fault would undo release after release.
                if not on_record or self._target.find_version() == before:
                    self._put_back(deployment, candidacy, error.message)
                raise
            return self._roll_out(deployment, candidacy, outcome)

    def _roll_out(self, deployment: Deployment, candidacy: Candidacy, outcome: Outcome) -> tuple[str, str]:
        step = self._step(deployment, cancellable=False)
        answered = self._target.find_version()
        try:
            with _worded():
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
        before = candidacy.champion or (answered if answered != deployment.version else None)  # where it was set by hand
        try:
            with _worded(), step("back") as told:
                if before is None:
                    self._target.clear()
                elif self._target.find_version() != before:
                    self._target.roll_out(serving.prepare(self._settings, f"models:/{candidacy.model.name}/{before}"))
                told(f"version {before} answers" if before else "nothing answers: there was no version before")
        finally:
            self._put_back(deployment, candidacy, reason, even_away=True)
        return deployments.BACK, reason

    def _check_followed(self, deployment: Deployment, client: MlflowClient) -> None:
        """Raise Cancelled when the alias that is followed was moved on meanwhile."""
        champion = registry.find_champion(client, deployment.name)
        if deployment.action == deployments.FOLLOW and champion != deployment.version:
            raise Cancelled(f"@{registry.CHAMPION} has moved on to version {champion}")

    def _put_back(self, deployment: Deployment, candidacy: Candidacy, reason: str, *, even_away: bool = False) -> None:
        """Have @champion stand for the version before again, when it stands for this one.

        Without one it stays, as it was set by hand; or goes, with `even_away`, when the deployment had set it.
        """
        client, name, before = candidacy.client, candidacy.model.name, candidacy.champion
        if registry.find_champion(client, name) != deployment.version or (before is None and not even_away):
            return
        with self._step(deployment, cancellable=False)("alias back") as told:
            if before is None:
                client.delete_registered_model_alias(name, registry.CHAMPION)
            else:
                verdict = f"instead of version {deployment.version}: {reason}"
                history.record(client, name, Release(history.PUT_BACK, before, deployment.version, self._holder.by, verdict))
                client.set_registered_model_alias(name, registry.CHAMPION, str(before))
            told(f"@{registry.CHAMPION} is version {before} again" if before else f"there is no @{registry.CHAMPION} again")

    def _must_wait(self, deployment: Deployment, error: SlipwayError) -> bool:
        try:
            registry.check_reachable(self._settings)
        except SlipwayError:
            return True
        return isinstance(error, registry.UnreachableError) and time.time() - deployment.created < HICCUPS

    def _step(self, deployment: Deployment, *, cancellable: bool = True) -> Step:
        @contextmanager
        def step(name: str) -> Iterator[Callable[[str], None]]:
            present = self._store.get(deployment.id)
            if cancellable and present and present.cancel:
                raise Cancelled("on request")
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


@contextmanager
def _worded() -> Iterator[None]:
    """Turn whatever is raised into an error in words, so that nothing ends a deployment past its ways back."""
    try:
        with registry.translated_errors():
            yield
    except (SlipwayError, Cancelled):
        raise
    except Exception as error:
        raise SlipwayError(f"{type(error).__name__}: {error}".splitlines()[0]) from error
