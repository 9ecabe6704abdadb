"""The study of a search: what goes on after a process was killed, what begins anew, and that two do not work on one."""

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.model_folder import ModelFolder
from slipway.settings import Settings
from slipway.training.tuning import study, trials

if TYPE_CHECKING:
    from slipway.training.tuning.space import Space

SPACE: "Space" = {"alpha": FloatDistribution(0.0, 1.0)}


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """Return a model folder."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n')
    (folder / "train.py").write_text("print(1)\n")
    return model_folder.load(folder)


def test_a_trial_that_was_cut_off_is_run_again(host_settings: Settings, model: ModelFolder) -> None:
    """It keeps its number and its values, and the study has no trial too many."""
    with study.opened(host_settings, model, SPACE, [], 1) as search:
        search.tell(search.ask(), 0.5, TrialState.COMPLETE, "")
        cut_off = search.ask().params
    with study.opened(host_settings, model, SPACE, [], 1) as search:
        assert (search.lost, search.finished) == ([1], [0])
        again = search.ask()
        search.tell(again, 0.25, TrialState.COMPLETE, "")
        search.tell(search.ask(), None, TrialState.FAIL, "no rows")

        assert (again.number, again.params) == (1, cut_off)
        assert search.finished == [0, 1, 2]
        assert search.best
        assert search.best.number == 1


def test_a_search_that_goes_on_draws_other_values(host_settings: Settings, model: ModelFolder) -> None:
    """No value is drawn twice because a search was begun again."""
    drawn = []
    for _ in range(4):
        with study.opened(host_settings, model, SPACE, [], 1) as search:
            drawn.append((trial := search.ask()).params["alpha"])
            search.tell(trial, 1.0, TrialState.COMPLETE, "")

    assert len(set(drawn)) == 4


def test_a_study_is_of_one_question(model: ModelFolder) -> None:
    """Code, space or arguments that change begin another study; the gate, the README and a sample request do not."""
    key = _find_key(model, SPACE, [])
    (model.path / "README.md").write_text("words")
    (model.path / "request.json").write_text("{}")
    (model.path / "model.toml").write_text((model.path / "model.toml").read_text() + "[gate]\nmargin = 1.0\n")

    assert _find_key(model, SPACE, []) == key
    assert _find_key(model, {"alpha": FloatDistribution(0.0, 2.0)}, []) != key
    assert _find_key(model, SPACE, ["--quick"]) != key
    assert _find_key(replace(model, name="renamed"), SPACE, []) != key
    (model.path / "train.py").write_text("print(2)\n")
    assert _find_key(model, SPACE, []) != key


def test_no_two_searches_share_a_key(host_settings: Settings, model: ModelFolder, tmp_path: Path) -> None:
    """A copy of the folder has a key of its own, by which its runs are found; a search that goes on keeps its key."""
    copy = replace(model, path=tmp_path / "copy")
    shutil.copytree(model.path, copy.path)
    keys = []
    for folder in (model, copy, model):
        with study.opened(host_settings, folder, SPACE, [], 1) as search:
            keys.append(search.key)

    assert keys[0] == keys[2] != keys[1]


def test_a_new_study_says_what_changed(
    host_settings: Settings, model: ModelFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that writes into its folder changes what the study is of; only then anything is said."""
    printed = []
    for write in (None, "a", "a", "b"):
        if write:
            (model.path / "rows.csv").write_text(write)
        with study.opened(host_settings, model, SPACE, [], 1):
            printed.append(capsys.readouterr().err)

    words = "note: a new study begins, since this changed: rows.csv\n"
    assert printed == ["", words, "", words]


def _find_key(model: ModelFolder, space: "Space", arguments: list[str]) -> str:
    return study.find_key(study.find_facts(model, space, arguments))


def test_two_do_not_search_at_once(host_settings: Settings, model: ModelFolder) -> None:
    """Who comes second hears of the other."""
    opened = study.opened(host_settings, model, SPACE, [], 1)
    with opened, pytest.raises(SlipwayError, match="another make tune_model"):
        study.opened(host_settings, model, SPACE, [], 1).__enter__()


def test_few_steps_of_many_are_compared() -> None:
    """The first steps are all reported, and of each doubling the same number: every trial's at the same places."""
    places = [place for place in range(100_000) if trials.is_compared(place)]

    assert places[:64] == list(range(64))
    assert len(places) < 500
    assert all(after - before <= before / 16 for before, after in pairwise(places[64:]))
