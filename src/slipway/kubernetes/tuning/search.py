"""make tune_model with CONTEXT: the study here, its trials and the training of the best in the cluster."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway.kubernetes import training_job
from slipway.kubernetes.cluster import kubectl
from slipway.kubernetes.pods import job_log, jobs
from slipway.kubernetes.tuning.trial_jobs import JobTrials
from slipway.registry import connection
from slipway.training import sessions
from slipway.training.tuning import search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities.model_registry import ModelVersion

    from slipway.model_folder import ModelFolder
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings, Training
    from slipway.training.tuning.study import Search
    from slipway.training.tuning.trials import Trials

AGAIN = "make tune_model"  # follows what goes on


def tune(settings: Settings, trials: int, workers: int) -> None:
    """Search as on this machine, with so many Jobs at a time in the cluster of CONTEXT.

    Ctrl-C deletes the Jobs. Killed in any other way, they go on, and the same command follows them.
    """
    training_job.read_resources(settings)
    training_job.read_retries(settings)
    with ExitStack() as stack:
        search.search(InCluster(settings, stack), trials, workers)


class InCluster:
    """A cluster whose namespace has a tracking server, or reaches one. Ports are forwarded until `stack` closes."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._given = settings
        self._cluster = kubectl.connect(settings)
        self._inside = training_job.find_tracking(settings, self._cluster)
        self._stack = stack
        self._here: Settings | None = None
        self._trials: JobTrials | None = None
        self.settings = settings
        if training_job.is_forwarded(settings, self._inside):  # by another port each time
            where = f"{settings.cluster.context}/{settings.cluster.namespace}"
            self.settings = replace(settings, tracking=replace(settings.tracking, external_uri=where))

    @contextmanager
    def reached(self) -> Iterator[Settings]:
        """Yield settings by which this machine reaches the tracking server; a connection that was lost is made anew."""
        if not self._here:
            self._here = self._connect()
        try:
            connection.check_reachable(self._here)
        except connection.UnreachableError:
            if self._trials and self._trials.was_ended:  # who stops the search does not wait for a server
                raise
            self._here = self._connect_again()
        yield self._here

    def _connect_again(self) -> Settings:
        try:
            return job_log.ask_patiently(self._connect, job_log.say, "its Jobs may still be running", AGAIN)
        except job_log.ClusterUnreachableError as error:
            raise connection.UnreachableError(error.message, error.cure) from None

    def _connect(self) -> Settings:
        self._stack.close()
        return self._stack.enter_context(training_job.reached(self._given, self._cluster, self._inside))

    def make_trials(self, model: ModelFolder, lock: Lock, arguments: list[str], search: Search, workers: int) -> Trials:  # noqa: ARG002 -- each has a pod of its own
        """Return trials as Jobs, which follow those that an earlier call left running."""
        self._trials = JobTrials(self._given, self._cluster, model, lock, arguments, search)
        self._trials.clear(search.lost)
        return self._trials

    def is_training(self, model: ModelFolder, session: str) -> bool:
        """Whether there is a Job of the session that has not ended."""
        found = self._cluster.get("job", training_job.name_job(model, session))
        return found is not None and not jobs.Seen(found, []).has_ended

    def train(self, given: Training, model: ModelFolder, session: str, *, began_again: bool) -> ModelVersion:
        """Train as make train_on_kubernetes does, or follow a Job of the session that goes on."""
        settings = replace(self._given, training=given)
        job = training_job.name_job(model, session)
        if self.is_training(model, session):
            version = training_job.train(settings, job=job)
        else:
            self._cluster.run("delete", "job", job, "--ignore-not-found", "--wait", seconds=60)
            with self.reached() as here:
                sessions.end_runs(here, session)
            version = training_job.train(settings, session=session)
        if began_again:
            with self.reached() as here:
                sessions.forget_lost(here, session)
        return version

    def suggest(self, uri: str) -> str:
        """Return the command that deploys it."""
        return training_job.suggest(self._given, self._inside, uri)
