"""The search: trials, some at a time, until the study has as many as were asked for; then the best is trained."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState
from tqdm import tqdm

from slipway import model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.registry import connection
from slipway.runtimes import locks
from slipway.settings import BUILD, ROOT
from slipway.training import causes, experiments, provenance
from slipway.training.tuning import best, picture, space, study
from slipway.training.tuning.record import Record
from slipway.training.tuning.site import Here, Site
from slipway.training.tuning.trials import SHOWN, Ended, Running, Trials

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.model_folder import ModelFolder
    from slipway.settings import Settings
    from slipway.training.tuning.study import Search

FIRST = 3  # trials that fail, with none that does not, end a search
STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}  # in MLflow


def tune(settings: Settings, trials: int, workers: int) -> None:
    """Search on this machine, as `search` does."""
    search(Here(settings), trials, workers)


def search(site: Site, trials: int, workers: int) -> None:
    """Search for the arguments with which the folder's script has the best metric, by so many trials in all.

    Then train the best and register it. What an earlier call has done counts. Raises SlipwayError when the script
    fails from the beginning.
    """
    settings = site.settings
    model = model_folder.load(settings.model_dir)
    varied = space.read(model)
    arguments = provenance.find_arguments(settings.training, model)
    if fixed := space.find_fixed(varied, shlex.split(settings.training.args)):
        words = f"TRAIN_ARGS sets {', '.join(fixed)}, which [tune] of {model.path.name}/model.toml varies"
        raise SlipwayError(words, "leave it out of one of them", USAGE)
    with site.reached() as here:
        connection.check_reachable(here)
        remarks = causes.foresee(model)
        if unknown := space.find_unknown(varied, model):
            remarks += [
                f"warning: no .py file of {model.path.name}/ mentions {', '.join(unknown)}, which [tune] varies"
            ]
        for remark in remarks:
            print(remark, file=sys.stderr, flush=True)
        experiments.ensure(here, model.name)
    lock = locks.of_folder(settings, model)
    with study.opened(settings, model, varied, arguments, workers) as found:
        ran = site.make_trials(model, lock, arguments, found, workers)
        try:
            record = Record(site, model.name, found.key)
            if len(found.finished) < trials or record.is_cut_off():
                record.open(found.finished)
                _Loop(model, found, ran, record, trials).run(workers)
            best.ensure(site, model, found)
        finally:
            ran.remove()


class _Loop:
    """One call's share of a search."""

    def __init__(self, model: ModelFolder, search: Search, ran: Trials, record: Record, trials: int) -> None:
        self._model, self._search, self._ran, self._record, self._trials = model, search, ran, record, trials
        self._running: list[Running] = []

    def run(self, workers: int) -> None:
        """Run the trials that are missing, so many at a time, and draw the search."""
        done = len(self._search.finished)
        began = f"; {done} are done" if done else ""
        print(f"searching {self._model.name}: {self._trials} trials, {workers} at a time{began}", flush=True)
        try:
            if done < self._trials:
                self._ran.prepare()
            with tqdm(total=self._trials, initial=done, unit="trial", disable=None) as bar:
                while self._fill(workers):
                    time.sleep(self._ran.pause)
                    for running in [*self._running]:
                        if ended := self._ran.look(running):
                            self._finish(running, ended, bar)
            self._record.close("FINISHED", self._describe(), self._draw())
        except BaseException as error:
            self._give_up(error)
            raise

    def _fill(self, workers: int) -> bool:
        """Start trials; return whether any runs."""
        while len(self._running) < workers and len(self._search.finished) + len(self._running) < self._trials:
            trial = self._search.ask()
            child = self._record.begin(trial.number, {name: str(value) for name, value in trial.params.items()})
            self._running.append(self._ran.start(trial, child))
        return bool(self._running)

    def _finish(self, running: Running, ended: Ended, bar: tqdm[Any]) -> None:
        """Log a trial that has ended, and then tell the study: one cut off between the two is run again."""
        trial, words = running.trial, str(ended.error.message) if ended.error else ""
        note = "\n\n".join(filter(None, [words, ended.said[-SHOWN:]]))
        self._record.end(running.child, [*trial.params], ended.logged, STATUS[ended.state], note)
        self._search.tell(trial, ended.value, ended.state, words[:SHOWN])
        self._running.remove(running)
        self._ran.forget(running)
        found = self._search.best
        if found:
            bar.set_postfix_str(f"best {self._model.metric} {found.value:.5g}", refresh=False)
        bar.update()
        result = "pruned" if ended.state == TrialState.PRUNED else words or f"{self._model.metric} {ended.value:.5g}"
        mark = ", the best so far" if found and found.number == trial.number else ""
        tqdm.write(f"trial {trial.number}  {space.say(trial.params)}: {result}{mark}")
        sys.stdout.flush()
        if ended.error and self._is_hopeless(ended):
            raise ended.error

    def _is_hopeless(self, ended: Ended) -> bool:
        good = self._search.count(TrialState.COMPLETE) + self._search.count(TrialState.PRUNED)
        return not good and (ended.is_final or self._search.count(TrialState.FAIL) >= min(FIRST, self._trials))

    def _give_up(self, error: BaseException) -> None:
        """End what runs and mark its runs. A study of failures alone is forgotten: the same command begins anew."""
        self._ran.end(self._search.lost)
        is_over = isinstance(error, SlipwayError) and not isinstance(error, connection.UnreachableError)
        with suppress(SlipwayError):  # without a server there is no run to mark
            self._record.cut_off()
            words = (
                f"stopped: {error.message}" if isinstance(error, SlipwayError) else "stopped; the same command goes on"
            )
            self._record.close("FAILED" if is_over else "KILLED", words)
        if is_over and not self._search.count(TrialState.COMPLETE):
            self._search.forget()

    def _describe(self) -> str:
        search, found = self._search, self._search.best
        counts = f"{len(search.finished)} trials, {search.count(TrialState.PRUNED)} of them pruned"
        counts += f", {search.count(TrialState.FAIL)} failed"
        return f"{counts}; best: trial {found.number}, {self._model.metric} {found.value:.5g}" if found else counts

    def _draw(self) -> Path | None:
        if self._search.best is None:
            return None
        name = f"{model_folder.plain(self._model.name)}-{self._search.key}"
        path = BUILD / "tuning" / f"{name}.png"
        picture.draw(path, f"{self._model.name}: {self._describe()}", self._search.study, self._model.metric)
        print(f"picture  {path.relative_to(ROOT)}")
        return path
