"""The study of a search: Optuna's record of every trial, in a sqlite file of its own, by which a search goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.trial import Trial, TrialState

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.registry import connection
from slipway.settings import STATE, sqlite_uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from slipway.model_folder import ModelFolder
    from slipway.settings import Settings
    from slipway.training.tuning.space import Space

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
WHY = "why"  # attribute of a trial that failed: in which words
ID, FACTS = "id", "facts"  # attributes of a study
STARTUP = 5  # trials that have to complete before another is compared with their median


class Search:
    """A study, and the trials that it still needs."""

    def __init__(self, key: str, study: optuna.Study, space: Space, place: str, others: list[str]) -> None:
        self.key, self.study, self._space = key, study, space
        self.others = others  # the ids of the earlier studies of the file
        self.place = place  # the name of its trials' folder: that of the file, which one process works on
        # Cut off with the process that ran them: each is run again, under its number and with its values
        self._again = [trial._trial_id for trial in self._list(TrialState.RUNNING)]  # noqa: SLF001 -- no other name

    def _list(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    @property
    def lost(self) -> list[int]:
        """The numbers of the trials that run, or were cut off."""
        return [trial.number for trial in self._list(TrialState.RUNNING)]

    @property
    def finished(self) -> list[int]:
        """The numbers of the trials that are done, whatever came of them."""
        return [trial.number for trial in self._list(*FINISHED)]

    @property
    def best(self) -> FrozenTrial | None:
        """The best trial of those that completed."""
        return self.study.best_trial if self._list(TrialState.COMPLETE) else None

    def count(self, state: TrialState) -> int:
        """Return how many trials have a state."""
        return len(self._list(state))

    def ask(self) -> Trial:
        """Return a trial to run, with a value for each argument."""
        trial = Trial(self.study, self._again.pop(0)) if self._again else self.study.ask()
        for name, distribution in self._space.items():
            _draw(trial, name, distribution)
        return trial

    def tell(self, trial: Trial, value: float | None, state: TrialState, words: str) -> None:
        """Record how a trial ended."""
        if words:
            trial.set_user_attr(WHY, words)
        self.study.tell(trial, value, state)

    def forget(self) -> None:
        """Delete the study, so that the same search begins anew."""
        optuna.delete_study(study_name=self.study.study_name, storage=self.study._storage)  # noqa: SLF001 -- as it was opened


@contextmanager
def opened(
    settings: Settings, model: ModelFolder, space: Space, arguments: list[str], workers: int
) -> Iterator[Search]:
    """Yield the search of a folder, as far as it got; no other process works on the folder's meanwhile.

    A study is of one question: the folder's code and libraries, its space and metric, the script's other arguments.
    When one of these changes, another study begins in the same file. Raises SlipwayError while another process works.
    """
    file = find_file(settings, model)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SlipwayError(f"another make tune_model searches for {model.name}", "wait for it, or end it") from None
        except OSError as error:
            raise SlipwayError(f"cannot lock {held.name}: {error.strerror}") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        facts = find_facts(model, space, arguments)
        key = find_key(facts)
        storage = optuna.storages.RDBStorage(sqlite_uri(file))
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1)
        towards = optuna.study.StudyDirection[model.direction.upper()]
        name = f"{model.name}-{key}"
        _say_changes(storage, name, facts)
        study = optuna.create_study(
            storage=storage, study_name=name, direction=towards, load_if_exists=True, pruner=pruner
        )
        if ID not in study.user_attrs:  # the name is that of every copy of the folder, which may log to the same server
            study.set_user_attr(FACTS, facts)
            study.set_user_attr(ID, uuid.uuid4().hex[:12])
        # One seed would have a search that goes on draw what it has drawn
        seed = int(key[:6], 16) + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=workers > 1)
        own = str(study.user_attrs[ID])
        known = optuna.get_all_study_summaries(storage, False)  # noqa: FBT003 -- no other name
        others = [str(each.user_attrs[ID]) for each in known if each.user_attrs.get(ID, own) != own]
        yield Search(own, study, space, file.stem, others)


def find_file(settings: Settings, model: ModelFolder) -> Path:
    """Return the database of a folder's studies that log to a tracking server, or to an embedded store, beside that."""
    store = connection.find_embedded_file(settings)
    where = hashlib.sha256(f"{model.path}\0{settings.tracking_uri}".encode()).hexdigest()[:8]
    return (store.parent if store else STATE) / "tuning" / f"{model_folder.plain(model.name)}-{where}.db"


def find_facts(model: ModelFolder, space: Space, arguments: list[str]) -> dict[str, str]:
    """Return what a study is of, by what people know it as: texts, and digests of the folder's files and folders."""
    question = {name: distribution_to_json(each) for name, each in space.items()}
    facts = {"the name": model.name, "[tune]": json.dumps(question), "the metric": f"{model.metric} {model.direction}"}
    facts["the script's arguments"] = json.dumps(arguments)
    code = [path for path in model.path.iterdir() if path.name not in {"model.toml", *model_folder.NO_CODE}]
    facts |= {path.name: model_folder.digest([path]) for path in code if not path.name.startswith(".")}
    return facts | {"the libraries": model_folder.digest([model.requirements / "training.txt"])}


def find_key(facts: dict[str, str]) -> str:
    """Return what tells a study from the others of its file (pure)."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def list_changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return the facts that differ (pure)."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _say_changes(storage: optuna.storages.BaseStorage, name: str, facts: dict[str, str]) -> None:
    """Say why a study begins where there are others: a script that writes to its folder changes what it is of."""
    known = sorted(optuna.get_all_study_summaries(storage, False), key=lambda each: each._study_id)  # noqa: SLF001, FBT003 -- no other name
    earlier = [each.user_attrs[FACTS] for each in known if FACTS in each.user_attrs]
    if earlier and name not in {each.study_name for each in known}:
        words = ", ".join(list_changes(earlier[-1], facts))
        print(f"note: a new study begins, since this changed: {words}", file=sys.stderr, flush=True)


def _draw(trial: Trial, name: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
