"""What a served version's prediction log is told: its place, its rules, and none of it where requests are nobody's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slipway import settings
from slipway.errors import USAGE, SlipwayError
from slipway.runtimes import prediction_log
from slipway.settings import LOG, STATE, Settings

TOML = 'name = "{name}"\nmetric = "rmse"\ndirection = "minimize"\n{more}'


def load(folder: Path, more: str = "", **variables: str) -> Settings:
    """Return settings with a log, and a model folder whose model.toml has a table."""
    (folder / "model.toml").write_text(TOML.format(name="private", more=more))
    given = {"PREDICTION_LOG": "0.5", "PREDICTION_LOG_DIR": str(folder / "predictions"), "RUNTIME": "host"}
    return settings.load(given | {"MODEL_DIR": str(folder)} | variables)


@pytest.mark.parametrize("share", ["2", "-0.1", "x", "nan"])
def test_a_share_is_a_share(share: str) -> None:
    """What is no share of the requests is refused with an example."""
    with pytest.raises(SlipwayError, match="PREDICTION_LOG is") as refused:
        settings.load({"PREDICTION_LOG": share})

    assert refused.value.code == USAGE


def test_off_is_off() -> None:
    """Without a share, or with 0, a server is told nothing of a log, and needs no pyarrow."""
    for share in ("", "0", "0.0"):
        found = settings.load({"PREDICTION_LOG": share})

        assert not [name for name in found.serving.scoring if name.startswith(LOG)]
        assert not found.serving.parquet
        assert found.serving.log_dir == str(STATE / "predictions")


def test_the_rules_of_the_models_own_folder_hold(tmp_path: Path) -> None:
    """A model's rules come with the key of this checkout, in a file that only its owner reads; another has none."""
    given = load(tmp_path, '[log]\ndrop = ["name"]\nhash = ["email"]\n')
    told = prediction_log.of_model(given, "private").serving.scoring
    file = Path(told[f"{LOG}_RULES"])
    rules = json.loads(file.read_text())
    other = prediction_log.of_model(given, "unknown").serving.scoring
    file.unlink()

    assert (rules["drop"], rules["hash"]) == (["name"], ["email"])
    assert len(rules["key"]) >= 32
    assert f"{LOG}_RULES" not in other
    assert Path(told[f"{LOG}_DIR"]).is_dir()


@pytest.mark.parametrize("more", ['log = "x"', "[log]\nkeep = []", '[log]\ndrop = "name"', "[log]\ndrop = [1]"])
def test_rules_that_are_none_are_refused(tmp_path: Path, more: str) -> None:
    """A table that cannot be followed ends the command: what it is about would be logged."""
    with pytest.raises(SlipwayError, match="log"):
        prediction_log.of_model(load(tmp_path, more), "private")


def test_a_smoke_test_is_not_logged(tmp_path: Path) -> None:
    """The server of a trial has no log."""
    told = prediction_log.without(load(tmp_path)).serving.scoring

    assert not [name for name in told if name.startswith(LOG)]


def test_pods_need_a_place_that_all_reach(tmp_path: Path) -> None:
    """A folder of this machine, and rules with a key, are refused for pods; other rules go with them."""
    bucket = {"PREDICTION_LOG_DIR": "s3://bucket/logs"}
    with pytest.raises(SlipwayError, match="a place that all pods reach"):
        prediction_log.in_cluster(load(tmp_path), "private")
    with pytest.raises(SlipwayError, match="needs a key"):
        prediction_log.in_cluster(load(tmp_path, '[log]\nhash = ["email"]\n', **bucket), "private")
    told = prediction_log.in_cluster(load(tmp_path, '[log]\ndrop = ["name"]\n', **bucket), "private")

    assert told[f"{LOG}_DIR"] == "s3://bucket/logs"
    assert json.loads(told[f"{LOG}_RULES"]) == {"drop": ["name"]}
