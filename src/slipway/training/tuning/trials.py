"""Trials of a search: the folder's script with other arguments, in its environment, with a store of its own each."""

from __future__ import annotations

import math
import shutil
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from slipway import runtimes, shell
from slipway.errors import USAGE, SlipwayError
from slipway.runtimes.base import STORE, Script
from slipway.training import causes, provenance
from slipway.training.tuning import space, store

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from pathlib import Path

    from optuna.trial import Trial

    from slipway.model_folder import ModelFolder
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

LOOK_S = 0.1  # between two looks at the trials that run
DENSE = 64  # steps that are all compared; beyond, half as many of each doubling
SHOWN = 2000  # characters of a failed trial's last lines
OUTPUT = 16_384  # bytes of its output that are read
ALONE = dict.fromkeys(  # what numerical libraries and joblib make threads and processes by
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)


@dataclass
class Running:
    """A trial whose script runs."""

    trial: Trial
    child: str  # its run's id
    folder: Path
    began: float
    changed: float = 0.0  # when its store was written to, as far as it was read
    reported: set[int] = field(default_factory=set)  # steps


@dataclass(frozen=True)
class Ended:
    """How a trial ended."""

    state: TrialState
    logged: store.Logged
    value: float | None = None
    error: SlipwayError | None = None
    said: str = ""  # last, by a script that failed
    is_final: bool = False  # whether every other trial would fail in the same way


class Trials:
    """Starts, watches and ends trials: here as programs of this machine."""

    pause = LOOK_S  # between two looks at all

    def __init__(  # noqa: PLR0913, PLR0917 -- what a trial is made of
        self,
        settings: Settings,
        model: ModelFolder,
        lock: Lock,
        arguments: list[str],
        key: str,
        workers: int,
        place: Path,
    ) -> None:
        self._settings, self._model, self._lock, self._arguments = settings, model, lock, arguments
        self._runtime = runtimes.of(settings)
        self._variables = (ALONE if workers > 1 else {}) | provenance.write_variables(model)
        self._place = place
        self._name = f"{settings.services.project}-tune-{key}"
        self._processes: dict[int, subprocess.Popen[bytes]] = {}  # by the numbers of trials

    def note(self, what: object) -> Path:
        """Return where the process of a trial, or of the training of the best, is noted."""
        return self._place / f"{self._name}-{what}.pid"

    def note_down(self, what: object) -> Path:
        """Return a note that is there before its process, or its container, is."""
        note = self.note(what)
        note.touch()
        return note

    def clear(self, lost: list[int]) -> None:
        """End what a search that was killed left running, of whatever study, and begin with an empty folder."""
        self.kill(["store", "best", *lost])
        for note in self._place.glob("*.pid"):
            self._runtime.clear_script(note)
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)

    def kill(self, names: Iterable[object]) -> None:
        """End the scripts of trials, and the containers that they run in, whoever started them."""
        for name in names:
            self._runtime.clear_script(self.note(name))

    def prepare(self) -> None:
        """Make the store that each trial gets a copy of: its tables take seconds. Raises SlipwayError if it cannot."""
        process = self._start("store", store.MAKE)
        try:
            if process.wait() != 0:
                words = shell.quote(self._read_output(self._place / "store"))
                raise SlipwayError(f"MLflow, as {self._model.script} would use it, cannot make a store: {words}")
        finally:
            self._end(process, self.note("store"))

    def start(self, trial: Trial, child: str) -> Running:
        """Start a trial with its values."""
        folder = self._make_folder(trial)
        shutil.copyfile(self._place / "store" / STORE, folder / STORE)
        process = self._start(str(trial.number), self._command(trial))
        self._processes[trial.number] = process
        if trial.number == 0:
            shell.echo(process.args)  # type: ignore[arg-type] # a list
        return Running(trial, child, folder, time.monotonic())

    def look(self, running: Running) -> Ended | None:
        """Return how a trial has ended; end it if it takes too long, or is worse than others were at its step."""
        process, note = self._processes[running.trial.number], self.note(running.trial.number)
        if (code := process.poll()) is not None:
            return self._judge(running, code)
        if time.monotonic() > running.began + self._settings.training.trial_timeout:
            self._end(process, note)
            return self._time_out(running)
        if self._is_worse(running):
            self._end(process, note)
            return Ended(TrialState.PRUNED, self._read(running))
        return None

    def end(self, lost: list[int]) -> None:
        """End all that runs, and what was cut off as it began."""
        for number, process in self._processes.items():
            self._end(process, self.note(number))
        self.kill(lost)

    def _end(self, process: subprocess.Popen[bytes], note: Path) -> None:
        """End a script, and the container that it runs in."""
        shell.stop(process)
        self._runtime.clear_script(note)

    def forget(self, running: Running) -> None:
        """Delete a trial's store, and all that its script wrote to it."""
        del self._processes[running.trial.number]
        self.note(running.trial.number).unlink(missing_ok=True)
        shutil.rmtree(running.folder, ignore_errors=True)

    def remove(self) -> None:
        """Delete the folder of the trials."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _make_folder(self, trial: Trial) -> Path:
        folder = self._place / str(trial.number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def _command(self, trial: Trial) -> list[str]:
        """Return the script with a trial's arguments."""
        return [self._model.script, *self._arguments, *space.write(trial.params)]

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        folder = self._place / name
        folder.mkdir(exist_ok=True)
        script = Script(command, self._lock, variables=self._variables, store=folder, note=self.note_down(name))
        return self._runtime.start_script(self._model, script, self._place / f"{name}.log")

    def _is_worse(self, running: Running) -> bool:
        """Report a metric's new steps to the study; return whether its pruner gives the trial up.

        What is logged once is no step: the script is about to end.
        """
        try:
            changed = (running.folder / STORE).stat().st_mtime
        except OSError:
            return False
        if changed == running.changed:
            return False
        running.changed = changed
        try:
            steps = store.read(running.folder, self._model.metric, only=True).list_steps(self._model.metric)
        except sqlite3.Error:  # another look will do
            return False
        for place, (step, value) in enumerate(steps):
            if step >= 0 and step not in running.reported and is_compared(place) and math.isfinite(value):
                running.trial.report(value, step)
                running.reported.add(step)
        return len(steps) > 1 and running.trial.should_prune()

    def _time_out(self, running: Running) -> Ended:
        limit = self._settings.training.trial_timeout
        words = f"{self._model.script} did not end within {limit} s (TRIAL_TIMEOUT)"
        error = SlipwayError(words, f"TRIAL_TIMEOUT={2 * limit} with the same command")
        return Ended(TrialState.FAIL, self._read(running), error=error, said=self._read_output(running.folder))

    def _judge(self, running: Running, code: int) -> Ended:
        metric, script = self._model.metric, self._model.script
        if code != 0:
            logged = self._read(running)
            said = self._read_output(running.folder)
            error = self._explain(code, said)
            is_final = code == USAGE or bool(causes.MISSING.search(said))
            return Ended(TrialState.FAIL, logged, error=error, said=said, is_final=is_final)
        try:
            logged = store.read(running.folder, metric)
        except sqlite3.Error as failure:
            error = SlipwayError(f"cannot read what {script} logged: {failure}")
            return Ended(TrialState.FAIL, store.Logged(), error=error)
        value = logged.find(metric)
        if value is None:
            there = ", ".join(logged.names) or "none"
            error = SlipwayError(f"{script} did not log the metric {metric!r} of model.toml; it logged: {there}")
            return Ended(TrialState.FAIL, logged, error=error, is_final=True)
        if not math.isfinite(value):
            return Ended(TrialState.FAIL, logged, error=SlipwayError(f"{script} logged {metric} {value}"))
        return Ended(TrialState.COMPLETE, logged, value)

    def _explain(self, code: int, said: str) -> SlipwayError:
        return causes.explain(self._settings, self._model, code, said)

    def _read(self, running: Running) -> store.Logged:
        """Return what a trial that failed, or was given up, has logged, as far as that can be read."""
        try:
            return store.read(running.folder, self._model.metric)
        except sqlite3.Error:
            return store.Logged()

    @staticmethod
    def _read_output(folder: Path) -> str:
        """Return the end of what a trial's script printed."""
        with folder.with_name(f"{folder.name}.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - OUTPUT))
            return log.read().decode("utf-8", "replace")


def is_compared(place: int) -> bool:
    """Whether the n-th step of a trial is reported: a database takes no ten thousand of them in time (pure)."""
    return place < DENSE or place % (1 << (place.bit_length() - DENSE.bit_length() + 1)) == 0
