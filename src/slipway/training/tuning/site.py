"""Where a search runs its trials and keeps its runs: this machine here, a cluster in slipway.kubernetes.tuning."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from slipway.settings import BUILD
from slipway.training import sessions, train
from slipway.training.tuning.trials import Trials

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mlflow.entities.model_registry import ModelVersion

    from slipway.model_folder import ModelFolder
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings, Training
    from slipway.training.tuning.study import Search


class Site(Protocol):
    """Where trials run, their runs are logged, and the best is trained."""

    @property
    def settings(self) -> Settings:
        """The settings; a study belongs to their tracking address."""

    def reached(self) -> AbstractContextManager[Settings]:
        """Yield settings by which this machine reaches the tracking server. Raises SlipwayError if it does not."""

    def make_trials(self, model: ModelFolder, lock: Lock, arguments: list[str], search: Search, workers: int) -> Trials:
        """Return what runs a search's trials, and has ended, or follows, what an earlier call left running."""

    def is_training(self, model: ModelFolder, session: str) -> bool:
        """Whether a training of the session goes on, though the call that began it was cut off."""

    def train(self, given: Training, model: ModelFolder, session: str, *, began_again: bool) -> ModelVersion:
        """Train with what is given, and register it, once; with `began_again` after a training that was cut off."""

    def suggest(self, uri: str) -> str:
        """Return the command that comes next for a version that is registered."""


class Here:
    """The site that is this machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._trials: Trials | None = None

    def reached(self) -> AbstractContextManager[Settings]:
        """Yield the settings as they are."""
        return nullcontext(self.settings)

    def make_trials(self, model: ModelFolder, lock: Lock, arguments: list[str], search: Search, workers: int) -> Trials:
        """Return trials as programs of this machine, once those that an earlier call left running have ended."""
        place = BUILD / "tuning" / search.place
        self._trials = Trials(self.settings, model, lock, arguments, search.key, workers, place)
        self._trials.clear(search.lost)
        return self._trials

    def is_training(self, model: ModelFolder, session: str) -> bool:  # noqa: ARG002 -- what goes on was ended
        """No: what an earlier call left running has been ended."""
        return False

    def train(self, given: Training, model: ModelFolder, session: str, *, began_again: bool) -> ModelVersion:  # noqa: ARG002 -- the folder is in the settings
        """Train as make train_model does."""
        settings = replace(self.settings, training=given)
        note = self._trials.note_down("best") if self._trials else None
        sessions.end_runs(settings, session)
        version = train.train(settings, session=session, note=note)
        if began_again:
            sessions.forget_lost(settings, session)
        return version

    def suggest(self, uri: str) -> str:
        """Return the command that promotes it."""
        return f"make promote MODEL={shlex.quote(uri)}"
