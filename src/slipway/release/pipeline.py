"""One release, step by step: files, gate, image, smoke test, alias, roll out, smoke test there; or back by itself.

`make promote` and `make rollback` run it without a target, the deployer with one. Every step may be taken twice, so a
release that a kill interrupted is begun again from its first step.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError, TimedOutError
from slipway.interruption import interruptible
from slipway.registry.client import CHAMPION
from slipway.registry.connection import UnreachableError
from slipway.release import history, lock
from slipway.release.candidate import Candidacy
from slipway.release.history import Release
from slipway.release.protocols import Cancelled, Preempted
from slipway.serving import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.interruption import Interruption
    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef
    from slipway.release.candidate import Outcome
    from slipway.release.protocols import Recorder, Target
    from slipway.settings import Settings


class MovedMeanwhileError(SlipwayError):
    """@champion no longer names the version that a candidate was compared with."""


class UnexpectedError(SlipwayError):
    """A failure of this machine or of ours, such as a full disk: no verdict on a version."""


NO_VERDICT = (TimedOutError, UnreachableError, UnexpectedError)


@dataclass(frozen=True)
class Order:
    """A request to make a version champion."""

    version: int
    action: str  # PROMOTED or ROLLED_BACK, as the history has it
    by: str
    found: ModelRef | None = None  # the version, when it was resolved already
    follows: bool = False  # @champion stands for it already, and may move on
    previous: int | None = None  # the champion that an earlier attempt found
    force: bool = False  # against the gate's verdict
    why: str = ""
    again: str = "make releases"  # what to do when @champion moves meanwhile


@dataclass(frozen=True)
class Pipeline:
    """Takes versions of a model to @champion, and to a target if there is one."""

    settings: Settings
    registry: Registry
    model: ModelFolder
    holder: lock.Holder
    recorder: Recorder
    target: Target | None = None
    owner: str = "release"  # of the smoke test
    picture: Path | None = None  # where the gate's verdict is drawn
    refusals: bool = True  # whether a version that fails is recorded as refused
    prove: Callable[[Outcome], None] | None = None  # an additional test before @champion moves

    def release(self, order: Order, work: Interruption) -> str:
        """Make a version champion and roll it out; return why that was reverted, or "".

        Raises SlipwayError when it is refused, GiveWayError, Preempted or MovedMeanwhileError when somebody else goes
        first, and Cancelled: @champion is as before.
        """
        champion = self.registry.find_champion(self.model.name)
        _check_followed(order, champion)
        released = self._is_released(order, champion)
        before = self._find_way_back(order, released=released) if champion == order.version else champion
        self.recorder.note_champion(before)
        event = Release(order.action, order.version, before, order.by, "", why=order.why)
        outcome = None
        try:
            with worded():
                judged = not released and order.action == history.PROMOTED
                outcome = self._examine(order, before, work, judged=judged)
                with self.recorder.step("alias") as told:  # no end comes into the move itself
                    work.check()
                    self.recorder.check_wanted()
                    champion = self.registry.find_champion(self.model.name)
                    _check_followed(order, champion)
                    released = self._is_released(order, champion)  # somebody may have released it meanwhile
                    if not released:
                        done = replace(event, verdict=outcome.verdict, forced=outcome.forced)
                        move(self.registry, self.model.name, done, self.holder, order.again)
                    told(f"@{CHAMPION} is version {order.version}")
        except (lock.GiveWayError, MovedMeanwhileError):
            raise
        except Cancelled as words:
            if self.target and not self._is_released(order, self.registry.find_champion(self.model.name)):
                self._put_back(order.version, before, f"cancelled {words}")
            raise
        except SlipwayError as error:
            self._refuse(order, event, error, released=released, examined=outcome is not None)
            raise
        return self._roll_out(self.target, order.version, before, outcome) if self.target else ""

    def _is_released(self, order: Order, champion: int | None) -> bool:
        """Whether the version is @champion by a release, and not merely by hand."""
        if champion != order.version:
            return False
        return not self.target or self._walk()[-1:] == [order.version]

    def _find_way_back(self, order: Order, *, released: bool) -> int | None:
        """Return the predecessor of a version that is champion already, or None."""
        answering = self.target.find_version() if self.target and released else None
        ways_back = (order.previous, answering, *reversed(self._walk()))
        return next((version for version in ways_back if version not in {None, order.version}), None)

    def _walk(self) -> list[int]:
        """Return the earlier champions on record, the current one last."""
        return history.walk(history.read(self.registry, self.model.name), None)

    def _examine(self, order: Order, before: int | None, work: Interruption, *, judged: bool) -> Outcome:
        """Examine a version; one that is not released yet gives way to any rollback."""
        name = self.model.name
        candidacy = Candidacy(
            self.settings, self.registry, self.model, order.version, before, order.found, self.picture, self.owner
        )
        with lock.giving_way(work, self.registry, name, self.holder) if judged else interruptible(work):
            outcome = candidacy.examine(partial(self.recorder.step, work=work), judged=judged, force=order.force)
            if self.prove:
                self.prove(outcome)
            if self.target:  # now, as @champion should not move to a version that has no case
                case = outcome.make_case()
                outcome = replace(outcome, make_case=lambda: case)
            return outcome

    def _refuse(self, order: Order, event: Release, error: SlipwayError, *, released: bool, examined: bool) -> None:
        """Record why a version is refused, and revert @champion if it names this version already.

        A time-out, an outage and a fault of ours are no verdict, nor is what fails after the examination. What was
        released already stays, unless its predecessor answers: otherwise a server's fault would undo release after
        release.
        """
        if self.recorder.will_resume(error):
            return
        promotes = self.target or order.action == history.PROMOTED
        if promotes and not released and self._is_released(order, self.registry.find_champion(self.model.name)):
            raise Preempted("somebody else released it meanwhile") from None
        is_verdict = not (released or examined or isinstance(error, NO_VERDICT))
        if is_verdict and self.refusals:
            refused = replace(event, action=history.REFUSED, verdict=error.message, why="")
            history.record(self.registry, self.model.name, refused)
        if self.target and (not released or self.target.find_version() == event.previous):
            self._put_back(order.version, event.previous, error.message)

    def _roll_out(self, target: Target, version: int, before: int | None, outcome: Outcome) -> str:
        """Roll out the version; if that fails, roll out its predecessor again, and return why."""
        step, case = self.recorder.step, outcome.make_case()
        answered = target.find_version()
        try:
            with worded(), target.changing():
                with step("roll out") as told:
                    target.roll_out(outcome.prepared, case)
                    told(f"version {version} answers")
                with step("smoke test there") as told:
                    target.check(outcome.prepared, case)
                    told("the API answers correctly")
        except SlipwayError as error:
            reason = error.message
        else:
            return ""
        back = before or (answered if answered != version else None)  # where it was set by hand
        try:
            with worded(), step("back") as told:
                if back is None:
                    target.clear()
                elif target.find_version() != back:
                    target.roll_out(server.prepare(self.settings, f"models:/{self.model.name}/{back}"))
                told(f"version {back} answers" if back else "nothing is served: there was no earlier version")
        finally:
            self._put_back(version, before, reason, even_away=True)
        return reason

    def _put_back(self, version: int, before: int | None, reason: str, *, even_away: bool = False) -> None:
        """Move @champion back to the previous version, if it names this one.

        Without a previous version the alias stays, as set by hand; with `even_away`, set by the release, it is deleted.
        """
        name, by = self.model.name, self.holder.by
        with lock.held(self.registry, name, self.holder, lock.PATIENCE_S, lock.MOVE):
            if self.registry.find_champion(name) != version or (before is None and not even_away):
                return
            with self.recorder.step("alias back") as told:
                if before is None:
                    history.record(self.registry, name, Release(history.TAKEN_BACK, version, version, by, reason))
                    self.registry.delete_champion(name)
                    told(f"@{CHAMPION} is unset again")
                else:
                    verdict = f"instead of version {version}: {reason}"
                    history.record(self.registry, name, Release(history.PUT_BACK, before, version, by, verdict))
                    self.registry.move_champion(name, before)
                    told(f"@{CHAMPION} is version {before} again")


def move(registry: Registry, name: str, release: Release, holder: lock.Holder, again: str = "make releases") -> None:
    """Record a release, then move @champion: a record without a move can be detected, the reverse cannot.

    Raises MovedMeanwhileError when @champion was moved by somebody else meanwhile.
    """
    with lock.held(registry, name, holder, lock.PATIENCE_S, lock.MOVE):
        champion = registry.find_champion(name)
        if champion not in {release.previous, release.version}:
            now = f"to version {champion}" if champion else "away"
            raise MovedMeanwhileError(
                f"@{CHAMPION} was moved {now} by somebody else meanwhile; nothing was changed", again
            )
        history.record(registry, name, release)
        registry.move_champion(name, release.version)


@contextmanager
def worded() -> Iterator[None]:
    """Turn any exception into a SlipwayError, so that no failure skips the release's ways back."""
    try:
        yield
    except (SlipwayError, Cancelled, Preempted):
        raise
    except Exception as error:
        raise UnexpectedError(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def _check_followed(order: Order, champion: int | None) -> None:
    """Raise Cancelled if the followed alias has moved on meanwhile."""
    if order.follows and champion != order.version:
        raise Cancelled(f"@{CHAMPION} has moved on to version {champion}")
