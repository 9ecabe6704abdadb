"""Trials: what a search that was killed left running, and a store that cannot be read."""

import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from optuna.trial import TrialState

from slipway import model_folder
from slipway.runtimes.base import STORE
from slipway.settings import Settings
from slipway.training.tuning.trials import Running, Trials

if TYPE_CHECKING:
    from optuna.trial import Trial

    from slipway.runtimes.locks import Lock


@pytest.fixture
def trials(host_settings: Settings, tmp_path: Path) -> Trials:
    """Return the trials of a search of a folder."""
    (folder := tmp_path / "tiny").mkdir()
    (folder / "model.toml").write_text('name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n')
    (place := tmp_path / "trials").mkdir()
    return Trials(host_settings, model_folder.load(folder), cast("Lock", None), [], "key", 1, place)


def test_what_another_study_left_running_is_ended(trials: Trials, tmp_path: Path) -> None:
    """The code may have changed since the process was killed, so that the study is another one."""
    process = subprocess.Popen(["sleep", "61.5"], start_new_session=True)
    (tmp_path / "trials" / "slipway-tune-earlier-3.pid").write_text(f"{process.pid} 61.5")
    try:
        trials.clear([])

        assert process.wait(5) == -9
    finally:
        process.kill()


def test_a_store_that_cannot_be_read_is_no_missing_metric(trials: Trials, tmp_path: Path) -> None:
    """The trial fails with SQLite's words, and the others go on."""
    (tmp_path / STORE).write_text("no database")
    process = subprocess.Popen(["true"])
    process.wait()
    trials._processes[3] = process  # noqa: SLF001 -- as start leaves it
    ended = trials.look(Running(cast("Trial", SimpleNamespace(number=3)), "", tmp_path, time.monotonic()))

    assert ended
    assert (ended.state, ended.is_final) == (TrialState.FAIL, False)
    assert "cannot read what train.py logged: file is not a database" in str(ended.error)
