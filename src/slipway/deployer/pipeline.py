"""One deployment, step by step: files, gate, image, smoke test, alias, roll out, smoke test there; or back by itself.

Every step may be taken twice, so a deployment that a kill interrupted is taken again from its first step.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway import model_folder
from slipway.deployer import store
from slipway.deployer.steps import Cancelled, Preempted, Steps, worded
from slipway.errors import SlipwayError, TimedOutError
from slipway.interruption import Interruption, interruptible
from slipway.registry import client as registry
from slipway.release import history, lock, promote
from slipway.release.candidate import Candidacy
from slipway.release.history import Release
from slipway.serving import server

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

    from slipway.deployer.store import Deployment, Store
    from slipway.deployer.targets import Target
    from slipway.release.candidate import Outcome
    from slipway.serving.api_test import Case
    from slipway.settings import Settings

HICCUPS = 900  # s of a tracking server that answers, and then does not
ATTEMPTS = 5  # of a deployment that is interrupted again and again
WORDS = {store.ROLL_BACK: "the rollback to", store.FOLLOW: "the way of @champion to"}


def name_owner(settings: Settings, target: str) -> str:
    """Return whose smoke tests those of the deployer for a target are."""
    return f"deployer-{settings.deployer_port}-{target}"


class Pipeline:
    """Takes deployments to one target."""

    def __init__(self, settings: Settings, store: Store, target: Target, holder: lock.Holder, pictures: Path) -> None:
        self._settings = settings
        self._store = store
        self._target = target
        self._holder = holder
        self._pictures = pictures
        self._steps = Steps(store)
        self._under_way: tuple[Deployment, Interruption] | None = None

    def halt(self) -> None:
        """Have nothing more be recorded: this program ends, and the next takes up what is under way."""
        self._steps.halt()

    def cancel(self, deployment: str) -> None:
        """End the running step of a deployment that was cancelled."""
        if (found := self._under_way) and found[0].id == deployment:
            found[1].end(Cancelled("on request"))

    def make_way(self, urgent: Deployment) -> None:
        """End the running step of what is less urgent than a deployment that is to come.

        It is taken up again after that.
        """
        if (found := self._under_way) is None:
            return
        running, work = found
        is_same = (
            running.id == urgent.id and running.action != urgent.action
        )  # it is that very version, which is released meanwhile
        is_behind = running.id != urgent.id and running.action != store.ROLL_BACK
        if urgent.action != store.DEPLOY and (is_same or is_behind):
            work.end(Preempted(f"{WORDS[urgent.action]} version {urgent.version} goes first"))

    def run(self, deployment: Deployment) -> bool:
        """Take a deployment to its end; return False when it has to wait for the tracking server."""
        work = Interruption()
        self._under_way = (deployment, work)
        for each in self._store.list():  # that came just as this one was begun
            is_urgent = store.RANKS[each.action] < store.RANKS[deployment.action]
            if is_urgent and each.state == store.PENDING and each.target == deployment.target:
                self.make_way(each)
        try:
            if deployment.attempts > ATTEMPTS:
                raise SlipwayError(f"it was interrupted {ATTEMPTS} times")  # noqa: TRY301 -- as any reason
            with worded():
                state, reason = self._release(deployment, work)
        except Cancelled as words:
            state, reason = store.CANCELLED, str(words)
        except Preempted as words:
            self._store.put_back(deployment.id, f"waits: {words}")
            print(f"== {deployment.model} on {deployment.target}: waits, {words}", flush=True)
            return True
        except SlipwayError as error:
            state, reason = store.FAILED, error.message
            if self._must_wait(deployment, error):
                state, reason = store.PENDING, f"waits for the tracking server: {error.message}"
        finally:
            self._under_way = None
        self._store.end(deployment.id, state, reason)
        print(f"== {deployment.model} on {deployment.target}: {state}{f', {reason}' if reason else ''}", flush=True)
        return state != store.PENDING

    def _release(self, deployment: Deployment, work: Interruption) -> tuple[str, str]:
        settings, model = self._settings, model_folder.load(self._settings.model_dir)
        client = registry.connect(settings)
        if deployment.action == store.ROLL_BACK:
            with lock.held(client, model.name, self._holder, promote.PATIENCE_S, lock.ROLLBACK):
                return self._take(deployment, client, work)
        while deployment.action == store.DEPLOY and (by := lock.find_rollback(client, model.name, self._holder)):
            self._store.note(deployment.id, f"waits: {by} is rolling back")
            work.check()
            time.sleep(lock.LOOK_S)
        return self._take(deployment, client, work)

    def _take(self, deployment: Deployment, client: MlflowClient, work: Interruption) -> tuple[str, str]:
        settings, model = self._settings, model_folder.load(self._settings.model_dir)
        champion = registry.find_champion(client, model.name)
        self._check_followed(deployment, client)
        on_record = self._is_on_record(deployment, client)
        before = (
            self._find_way_back(deployment, client, on_record=on_record) if champion == deployment.version else champion
        )
        self._store.set_previous(deployment.id, before)
        picture = self._pictures / f"{deployment.id}.png"
        owner = name_owner(settings, self._target.name)
        candidacy = Candidacy(settings, client, model, deployment.version, before, picture, owner)
        action = history.ROLLED_BACK if deployment.action == store.ROLL_BACK else history.PROMOTED
        event = Release(action, deployment.version, before, deployment.by, "")
        try:
            with worded():
                outcome, case = self._examine(
                    deployment, candidacy, work, judged=not on_record and action == history.PROMOTED
                )
                with self._steps.of(deployment, None)("alias") as told:  # no end comes into the move itself
                    self._check_wanted(deployment, work)
                    self._check_followed(deployment, client)
                    on_record = self._is_on_record(deployment, client)  # somebody may have released it meanwhile
                    if not on_record:
                        promote.move(client, model, replace(event, verdict=outcome.verdict), self._holder)
                    told(f"@{registry.CHAMPION} is version {deployment.version}")
        except promote.MovedMeanwhileError as error:
            raise Preempted(error.message) from None
        except Cancelled as words:
            if not self._is_on_record(deployment, client):
                self._put_back(deployment, candidacy, f"cancelled {words}")
            raise
        except SlipwayError as error:
            if self._must_wait(deployment, error):
                raise
            if not on_record and self._is_on_record(deployment, client):
                raise Preempted("somebody else released it meanwhile") from None
            if not (on_record or isinstance(error, (TimedOutError, registry.UnreachableError))):  # those are no verdict
                history.record(client, model.name, replace(event, action=history.REFUSED, verdict=error.message))
            # What was released already stays, unless the one before answers: or a server's fault would undo release
            # after release.
            if not on_record or self._target.find_version() == before:
                self._put_back(deployment, candidacy, error.message)
            raise
        return self._roll_out(deployment, candidacy, outcome, case)

    def _find_way_back(self, deployment: Deployment, client: MlflowClient, *, on_record: bool) -> int | None:
        """Return the champion before a version that is champion already.

        Of any other it is the champion, and none is none.
        """
        way = history.walk(history.read(client, deployment.name), None)  # as it is on record
        ways_back = (deployment.previous, self._target.find_version() if on_record else None, *reversed(way))
        return next((version for version in ways_back if version not in {None, deployment.version}), None)

    def _examine(
        self, deployment: Deployment, candidacy: Candidacy, work: Interruption, *, judged: bool
    ) -> tuple[Outcome, Case]:
        """Take a version through its examination; one that is not released gives way to a rollback, whoever does it."""
        client, name = candidacy.client, candidacy.model.name
        try:
            with lock.giving_way(work, client, name, self._holder) if judged else interruptible(work):
                outcome = candidacy.examine(self._steps.of(deployment, work), judged=judged)
                return outcome, outcome.make_case()
        except lock.GiveWayError as error:
            raise Preempted(error.message) from None

    def _is_on_record(self, deployment: Deployment, client: MlflowClient) -> bool:
        """Whether the version is @champion by a release, and not by hand alone."""
        if registry.find_champion(client, deployment.name) != deployment.version:
            return False
        return history.walk(history.read(client, deployment.name), None)[-1:] == [deployment.version]

    def _roll_out(self, deployment: Deployment, candidacy: Candidacy, outcome: Outcome, case: Case) -> tuple[str, str]:
        step = self._steps.of(deployment, None)
        answered = self._target.find_version()
        try:
            with worded(), self._target.changing():
                with step("roll out") as told:
                    self._target.roll_out(outcome.prepared, case)
                    told(f"version {deployment.version} answers")
                with step("smoke test there") as told:
                    self._target.check(outcome.prepared, case)
                    told("the API does what it should")
        except SlipwayError as error:
            reason = error.message
        else:
            return store.DONE, ""
        before = candidacy.champion or (
            answered if answered != deployment.version else None
        )  # where it was set by hand
        try:
            with worded(), step("back") as told:
                if before is None:
                    self._target.clear()
                elif self._target.find_version() != before:
                    self._target.roll_out(server.prepare(self._settings, f"models:/{candidacy.model.name}/{before}"))
                told(f"version {before} answers" if before else "nothing is served: there was no version before")
        finally:
            self._put_back(deployment, candidacy, reason, even_away=True)
        return store.BACK, reason

    def _check_wanted(self, deployment: Deployment, work: Interruption) -> None:
        """Have the store refuse to cancel from here on; raise what came before: Cancelled, or why it waits."""
        work.check()
        if (present := self._store.get(deployment.id)) and present.cancel:
            raise Cancelled("on request")

    def _check_followed(self, deployment: Deployment, client: MlflowClient) -> None:
        """Raise Cancelled when the alias that is followed was moved on meanwhile."""
        champion = registry.find_champion(client, deployment.name)
        if deployment.action == store.FOLLOW and champion != deployment.version:
            raise Cancelled(f"@{registry.CHAMPION} has moved on to version {champion}")

    def _put_back(self, deployment: Deployment, candidacy: Candidacy, reason: str, *, even_away: bool = False) -> None:
        """Have @champion stand for the version before again, when it stands for this one.

        Without one it stays, as it was set by hand; or goes, with `even_away`, when the deployment had set it.
        """
        client, name, before = candidacy.client, candidacy.model.name, candidacy.champion
        with lock.held(client, name, self._holder, promote.PATIENCE_S, lock.MOVE):
            if registry.find_champion(client, name) != deployment.version or (before is None and not even_away):
                return
            with self._steps.of(deployment, None)("alias back") as told:
                if before is None:
                    version = deployment.version
                    history.record(client, name, Release(history.TAKEN_BACK, version, version, self._holder.by, reason))
                    client.delete_registered_model_alias(name, registry.CHAMPION)
                else:
                    verdict = f"instead of version {deployment.version}: {reason}"
                    history.record(
                        client, name, Release(history.PUT_BACK, before, deployment.version, self._holder.by, verdict)
                    )
                    client.set_registered_model_alias(name, registry.CHAMPION, str(before))
                told(
                    f"@{registry.CHAMPION} is version {before} again"
                    if before
                    else f"there is no @{registry.CHAMPION} again"
                )

    def _must_wait(self, deployment: Deployment, error: SlipwayError) -> bool:
        try:
            registry.check_reachable(self._settings)
        except SlipwayError:
            return True
        return isinstance(error, registry.UnreachableError) and time.time() - deployment.created < HICCUPS
