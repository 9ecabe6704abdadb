"""A search in MLflow: a parent run with the picture, and a child run a trial, with what its script logged."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from slipway.registry.run_log import RunLog
from slipway.training.provenance import name_user
from slipway.training.sessions import PARENT_TAG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from slipway.training.tuning.site import Site
    from slipway.training.tuning.store import Logged

STUDY_TAG = "slipway.study"  # of the runs of a search, and of the version of its best trial
TRIAL_TAG = "slipway.trial"  # the trial's number
NOTE_TAG = "mlflow.note.content"  # what the UI shows as a run's description


class Record:
    """The runs of one study."""

    def __init__(self, site: Site, experiment: str, study: str) -> None:
        self._site, self._experiment, self._study = site, experiment, study
        self.parent = ""

    @contextmanager
    def _log(self) -> Iterator[RunLog]:
        """Yield what logs runs where the site keeps them, which may be reached for a while only."""
        with self._site.reached() as settings:
            yield RunLog.connect(settings)

    def open(self, trials: Collection[int]) -> None:
        """Find the parent run, or begin it. Delete the children of trials that are to be run again, not in `trials`."""
        with self._log() as log:
            for run in log.find_runs(f"tags.`{STUDY_TAG}` = '{self._study}'"):
                number = run.data.tags.get(TRIAL_TAG)
                if number is None:
                    self.parent = str(run.info.run_id)
                elif not number.isdigit() or int(number) not in trials:
                    log.delete_run(run.info.run_id)
            if self.parent:
                log.reopen_run(self.parent)
            else:
                self.parent = self._begin(log, f"search {self._study}", {})

    def is_cut_off(self) -> bool:
        """Return whether the parent run has not been concluded."""
        with self._log() as log:
            runs = log.find_runs(f"tags.`{STUDY_TAG}` = '{self._study}'")
        return any(TRIAL_TAG not in run.data.tags and run.info.status != "FINISHED" for run in runs)

    def begin(self, number: int, params: Mapping[str, str]) -> str:
        """Begin a trial's child run; return its id."""
        with self._log() as log:
            child = self._begin(log, f"trial {number}", {PARENT_TAG: self.parent, TRIAL_TAG: str(number)})
            log.log_params(child, params)
        return child

    def end(self, child: str, given: Collection[str], logged: Logged, status: str, words: str) -> None:
        """Log what a trial's script logged, less the arguments that it was `given`, and end its run."""
        known = {name.replace("-", "_") for name in given}
        with self._log() as log:
            log.log_params(
                child, {name: text for name, text in logged.params.items() if name.replace("-", "_") not in known}
            )
            log.log_metrics(child, logged.points)
            if words:
                log.tag_run(child, NOTE_TAG, words)
            log.end_run(child, status)

    def cut_off(self) -> None:
        """End the runs of trials that are still running."""
        with self._log() as log:
            for run in log.find_runs(f"tags.`{STUDY_TAG}` = '{self._study}' and attributes.status = 'RUNNING'"):
                if run.info.run_id != self.parent:
                    log.end_run(run.info.run_id)

    def close(self, status: str, words: str, picture: Path | None = None) -> None:
        """Describe and end the parent run, with a picture of the search."""
        with self._log() as log:
            if picture:
                log.log_file(self.parent, picture)
            log.tag_run(self.parent, NOTE_TAG, words)
            log.end_run(self.parent, status)

    def _begin(self, log: RunLog, name: str, tags: dict[str, str]) -> str:
        user = {"mlflow.user": name_user(), "mlflow.source.name": "make tune_model"}
        experiment = log.ensure_experiment(self._experiment)
        return log.begin_run(experiment, name, {STUDY_TAG: self._study, **user, **tags})
