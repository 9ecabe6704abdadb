"""Trials of a search as Jobs of a cluster, a Job each: created, watched by their pods' logs, found again, deleted.

Their pods log to a store of their own (in_pod.py), whose rows come here by the log. So a trial needs no server, and an
attempt that was lost leaves nothing to tell apart. A Job is tried once; we begin a trial whose pod was lost again.
"""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from slipway.errors import SlipwayError
from slipway.kubernetes import image_delivery, manifests, patches, training_job
from slipway.kubernetes.pods import diagnosis, job_log, jobs
from slipway.kubernetes.tuning import in_pod
from slipway.registry.connection import UnreachableError
from slipway.runtimes import images
from slipway.runtimes.base import STORE, name_store
from slipway.settings import BUILD
from slipway.training import causes, provenance
from slipway.training.tuning import store
from slipway.training.tuning.trials import OUTPUT, Ended, Running, Trials

if TYPE_CHECKING:
    from optuna.trial import Trial

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.model_folder import ModelFolder
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings
    from slipway.training.tuning.study import Search

LONGEST = 30  # of a model's name in that of a Job, which has study and trial after it, and a pod's own end
LOOK_S = 2.0  # between two looks at the cluster
INSIDE = "/tmp/store"  # noqa: S108 -- in the pod, whose only writable place is /tmp
BY_KILL = {-9, 137}  # the script alone was killed, which the kernel does for lack of memory
SLOW = 200_000  # characters of a log, for each of which it is read a look later


@dataclass
class Attempt:
    """A trial's Job, and how far its pod's log was read."""

    count: int = 1
    pod: str = ""
    lines: int = 0  # that were copied
    next_look: float = 0.0


class JobTrials(Trials):
    """Starts, watches and ends trials in a cluster."""

    pause = LOOK_S / 4

    def __init__(  # noqa: PLR0913, PLR0917 -- what a trial is made of
        self,
        settings: Settings,
        cluster: Cluster,
        model: ModelFolder,
        lock: Lock,
        arguments: list[str],
        search: Search,
    ) -> None:
        place = BUILD / "tuning" / search.place
        super().__init__(settings, model, lock, arguments, search.key, 1, place)
        self._cluster, self._search = cluster, search
        self._group = jobs.Group(cluster, search.key, "make tune_model")
        self._attempts: dict[int, Attempt] = {}
        self._found: set[str] = set()  # Jobs that an earlier call left running
        self._seen: dict[str, jobs.Seen] = {}
        self._seen_at, self._moved_at = 0.0, time.monotonic()
        self._image = ""
        self.was_ended = False

    def clear(self, lost: list[int]) -> None:
        """Begin with an empty folder, and with the Jobs of cut-off trials alone."""
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        wanted = {self._name_job(number) for number in lost}
        there = set(self._look())
        self._found = wanted & there
        if self._found:
            print(f"{len(self._found)} trials still run, or have ended since: they are followed", flush=True)
        for name in there - wanted:
            self._cluster.run("delete", "job", name, "--ignore-not-found", "--wait=false")
        if self._search.others:
            selector = f"{jobs.GROUP} in ({','.join(self._search.others)})"
            self._cluster.run("delete", "jobs", "--selector", selector, "--wait=false")

    def prepare(self) -> None:
        """Bring the training image into the cluster."""
        built = images.build_training(self._settings, self._model, self._lock)
        self._image = image_delivery.deliver(self._settings, built)
        self._cluster.make_namespace()

    def start(self, trial: Trial, child: str) -> Running:
        """Start a trial with its values, or follow the Job that an earlier call started with them."""
        running = Running(trial, child, self._make_folder(trial), time.monotonic())
        self._attempts[trial.number] = Attempt()
        if (name := self._name_job(trial.number)) in self._found:
            self._found.discard(name)
        else:
            self._create(running)
        return running

    def look(self, running: Running) -> Ended | None:
        """Return how a trial has ended. Raises SlipwayError when no pod can start, or the cluster does not answer."""
        number = running.trial.number
        attempt = self._attempts[number]
        if time.monotonic() < attempt.next_look:
            return None
        attempt.next_look = time.monotonic() + LOOK_S
        name = self._name_job(number)
        seen = self._look().get(name)
        pod = find_pod(seen) if seen else None
        if seen is None or (pod is None and seen.has_ended):
            return self._begin_again(running, "it was deleted")
        ending = job_log.read_ending(pod) if pod else None
        if pod is None or (not ending and self._waits(name, pod)):
            self._check_waiting(name, pod)
            return None
        self._moved_at = time.monotonic()
        end = self._copy(running, pod)
        if end:
            return self._time_out(running) if end["end"] is None else self._judge(running, int(end["end"]))
        if ending:
            return self._conclude(running, ending)
        return Ended(TrialState.PRUNED, self._read(running)) if self._is_worse(running) else None

    def _conclude(self, running: Running, ending: job_log.Ending) -> Ended | None:
        """Return how a trial has ended whose pod did without a last word, or begin it again."""
        if ending.reason == job_log.OUT_OF_MEMORY:
            return self._judge(running, max(BY_KILL))
        if ending.lost or ending.code == 0:
            return self._begin_again(running, f"{ending.reason}, exit code {ending.code}")
        return self._judge(running, ending.code)

    def end(self, lost: list[int]) -> None:  # noqa: ARG002 -- all of the study's Jobs
        """Delete all Jobs of the study, unless the cluster does not answer."""
        self.was_ended = True
        with suppress(SlipwayError):
            self._cluster.check()
            self._group.delete()

    def forget(self, running: Running) -> None:
        """Delete a trial's Job, and the copy of its store."""
        del self._attempts[running.trial.number]
        name = self._name_job(running.trial.number)
        self._cluster.ask_silently("delete", "job", name, "--ignore-not-found", "--wait=false")
        shutil.rmtree(running.folder, ignore_errors=True)

    def _name_job(self, number: int) -> str:
        model = manifests.make_name(self._model.name)[:LONGEST].rstrip("-")
        return f"{model}-tune-{self._search.key}-{number}"

    def describe(self, trial: Trial) -> jobs.Job:
        """Return the Job of a trial, which runs the script by in_pod.py, with a store of its own."""
        given = {"file": f"{INSIDE}/{STORE}", "seconds": self._settings.training.trial_timeout, "tables": store.COPIED}
        program = Path(in_pod.__file__).read_text(encoding="utf-8")
        command = ["python", "-c", program, json.dumps(given), *self._command(trial)]
        variables = provenance.write_variables(self._model) | name_store(INSIDE)
        container = {
            "image": self._image,
            "command": [patches.escape(word) for word in command],
            "env": patches.list_variables(variables),
            "resources": training_job.read_resources(self._settings),
        }
        name = self._name_job(trial.number)
        return jobs.Job(name, "trial", self._search.key, container, training_job.SECRET, retries=0)

    def _create(self, running: Running) -> None:
        """Create a trial's Job."""
        log = running.folder.with_name(f"{running.folder.name}.log")
        log.write_bytes(b"")
        place = manifests.make_place(self._settings.cluster, f"_tuning/{self._search.key}")
        self._group.create(place, [self.describe(running.trial)])
        shutil.rmtree(place, ignore_errors=True)
        self._seen_at = 0.0

    def _begin_again(self, running: Running, why: str) -> Ended | None:
        """Begin a trial again whose pod was lost, unless that was so too often."""
        number = running.trial.number
        attempt, script = self._attempts[number], self._model.script
        if attempt.count > training_job.read_retries(self._settings):
            words = f"every pod of {script} was lost; the last one: {why}"
            error = SlipwayError(words, "TRAIN_RETRIES=5 with the same command")
            return Ended(TrialState.FAIL, self._read(running), error=error)
        job_log.say(f"trial {number} is begun again, since its pod was lost: {why}")
        self._cluster.run("delete", "job", self._name_job(number), "--ignore-not-found", "--wait", seconds=60)
        self._make_folder(running.trial)
        self._attempts[number] = Attempt(attempt.count + 1)
        self._create(running)
        return None

    def _look(self) -> dict[str, jobs.Seen]:
        """Return the study's Jobs, as they were at most LOOK_S ago."""
        if time.monotonic() > self._seen_at + LOOK_S:
            try:
                self._seen = self._group.look()
            except job_log.ClusterUnreachableError as error:
                raise UnreachableError(error.message, error.cure) from None
            self._seen_at = time.monotonic()
        return self._seen

    def _waits(self, name: str, pod: dict[str, Any]) -> str:
        """Return what a pod that does not run yet waits for. Raises SlipwayError for what will never come."""
        try:
            return job_log.describe_wait(pod)
        except SlipwayError as error:
            raise error.within(f"{name}: ") from None

    def _check_waiting(self, name: str, pod: dict[str, Any] | None) -> None:
        """Say what a trial waits for. Raises SlipwayError when none of them has got on for long."""
        still = time.monotonic() - self._moved_at
        words = self._waits(name, pod) if pod else ""
        if not pod and still > jobs.REFUSED_S:
            words = diagnosis.read_refusal(self._cluster, name)
        if words.startswith("not scheduled") or (words and not pod):
            self._group.say(f"{name}: {words}")
        if words and still > (job_log.UNSCHEDULED if pod else jobs.REFUSED_S):
            raise SlipwayError(f"no pod of a trial starts: {words}", "TRAIN_CPU=…, TRAIN_MEMORY=… or fewer WORKERS")

    def _copy(self, running: Running, pod: dict[str, Any]) -> dict[str, Any] | None:
        """Copy what a pod's log tells to the trial's folder; return what it says of the end, if it has come."""
        attempt, name = self._attempts[running.trial.number], str(pod["metadata"]["name"])
        if attempt.pod != name:  # an older Kubernetes replaces a pod that was deleted
            self._make_folder(running.trial)
            attempt.pod, attempt.lines = name, 0
        answer = self._cluster.ask_silently("logs", f"pod/{name}")
        if answer.code != 0:
            return None
        attempt.next_look += LOOK_S * (len(answer.out) // SLOW)
        told, said = read_log(answer.out)
        log = running.folder.with_name(f"{running.folder.name}.log")
        log.write_text(said[-OUTPUT:], encoding="utf-8")
        fresh, attempt.lines = told[attempt.lines :], len(told)
        rows = [(table, values) for each in fresh for table, values in each.get("rows", [])]
        if rows or not (running.folder / STORE).exists():
            store.copy(running.folder, rows)
        return next((each for each in reversed(told) if "end" in each), None)

    def _explain(self, code: int, said: str) -> SlipwayError:
        if code in BY_KILL:
            memory = self._settings.training.memory
            words = f"{self._model.script} needed more memory than {memory}"
            return SlipwayError(words, "TRAIN_MEMORY=8Gi with the same command", max(BY_KILL))
        return causes.explain(self._settings, self._model, code, said)


def find_pod(seen: jobs.Seen) -> dict[str, Any] | None:
    """Return a Job's newest pod; none of an earlier Job of its name (pure)."""
    uid = seen.job["metadata"]["uid"]
    own = [pod for pod in seen.pods if any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences", []))]
    return own[-1] if own else None


def read_log(text: str) -> tuple[list[dict[str, Any]], str]:
    """Return what in_pod.py tells in a pod's log, and what the script printed (pure)."""
    told, said = [], []
    for line in text.split("\n"):
        if line.startswith(in_pod.MARK):
            with suppress(ValueError):  # its end has not come yet
                told.append(dict(json.loads(line.removeprefix(in_pod.MARK))))
        else:
            said.append(line)
    return told, "\n".join(said)
