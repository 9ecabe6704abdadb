"""Where things are kept, whatever their paths, owners and names: databases, commits, experiments, registered names."""

import os
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from slipway import model_folder, settings, shell
from slipway.errors import SlipwayError
from slipway.registry import connection
from slipway.registry.client import quote
from slipway.runtimes import locks
from slipway.settings import ROOT, places
from slipway.training import experiments, provenance
from slipway.training.measurements import COMMIT_TAG
from tests.conftest import changed


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("sqlite:///runs/my.db", f"sqlite:///{ROOT}/runs/my.db"),
        ("sqlite:///my.db?timeout=9", f"sqlite:///{ROOT}/my.db?timeout=9"),
        ("sqlite:////var/my.db", "sqlite:////var/my.db"),
    ],
    ids=["relative", "relative, with an option", "absolute"],
)
def test_a_sqlite_file_is_the_same_for_every_script(monkeypatch: pytest.MonkeyPatch, given: str, taken: str) -> None:
    """A relative address counts from the checkout, not from the folder that a script runs in."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)

    assert settings.load().tracking_uri == taken


@pytest.mark.parametrize("given", ["sqlite://", "sqlite:///:memory:", "sqlite:my.db"])
def test_a_database_that_does_not_stay_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """A sqlite database without a file would be another one for each command."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)

    with pytest.raises(SlipwayError, match="must name a file"):
        settings.load()


@pytest.mark.parametrize("folder", ["a b", "a%20b", "a?b", "a#b", "ä"])
def test_any_folder_keeps_its_database(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database lies where the checkout does, whatever its path means in an address."""
    monkeypatch.setenv("RUNTIME", "host")
    monkeypatch.setattr(places, "STATE", tmp_path / folder)
    (tmp_path / folder).mkdir()
    loaded = settings.load()
    with create_engine(loaded.tracking_uri).connect():
        pass

    assert [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()] == [Path(folder, "mlflow.db")]
    assert connection.find_embedded_file(loaded) == tmp_path / folder / "mlflow.db"


def test_a_deleted_experiment_has_its_cure(tmp_path: Path) -> None:
    """A script that would log to a deleted experiment is not begun; the cure brings the experiment back."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("CREATE TABLE experiments (experiment_id, name, lifecycle_stage)")
        database.execute("INSERT INTO experiments VALUES (7, 'diabetes', 'deleted')")
    kept = changed(settings.load(), tracking={"external_uri": f"sqlite:///{tmp_path}/mlflow.db"})

    with pytest.raises(SlipwayError, match="the experiment 'diabetes' was deleted") as raised:
        experiments.ensure(kept, "diabetes")
    assert raised.value.cure.endswith("/mlflow.db .venv/bin/mlflow experiments restore --experiment-id 7")


def test_the_commit_of_another_owners_checkout_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git answers for a checkout that belongs to somebody else, which it refuses by itself."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own switch for such tests
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # the caller's may trust every checkout
    refused = shell.ask(["git", "-C", str(ROOT), "rev-parse", "HEAD"])

    assert "dubious ownership" in refused.err
    assert shell.ask_git("rev-parse", "HEAD").code == 0


def test_a_repository_that_git_cannot_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is a repository and no commit to be had from it, the reason is printed."""
    (tmp_path / ".git").write_text("gitdir: /nowhere")
    shell.ask_git("rev-parse", "HEAD", folder=tmp_path)

    assert capsys.readouterr().err.startswith(
        "note: git does not say which commit this is: fatal: not a git repository"
    )


def test_a_folder_elsewhere_has_the_commit_of_its_own_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version is never said to come from the checkout's commit when its code lies elsewhere."""
    (tmp_path / "model.toml").write_text('name = "x"\nmetric = "loss"\ndirection = "minimize"\n')
    loaded, folder = changed(settings.load(), runtime="host"), model_folder.load(tmp_path)
    told = partial(provenance.describe, loaded, folder, "train.py", locks.of_folder(loaded, folder))
    before = told()
    for words in ("init", "add .", "-c user.name=x -c user.email=x@y commit -m first"):
        shell.ask(["git", "-C", str(tmp_path), *words.split()])
    commit = shell.ask(["git", "-C", str(tmp_path), "rev-parse", "HEAD"]).out.strip()
    (tmp_path / "request.json").touch()
    committed = told()
    (tmp_path / "train.py").touch()

    assert COMMIT_TAG not in before
    assert not capsys.readouterr().err
    assert (committed[COMMIT_TAG], committed["mlflow.source.git.dirty"]) == (commit, "false")
    assert told()["mlflow.source.git.dirty"] == "true"


@pytest.mark.parametrize("name", ["diabetes", "my-model_2.1"])
def test_a_plain_name_stays(name: str) -> None:
    """A name that Docker takes is that of images and containers."""
    assert model_folder.plain(name) == name


@pytest.mark.parametrize("name", ["My Model", "my model", "modèle", "模型", "it's", "a@b", "-a", "A" * 300])
def test_any_other_name_becomes_one_that_docker_takes(name: str) -> None:
    """Names that Docker does not take become plain ones, each another."""
    plain = model_folder.plain(name)

    assert model_folder.PLAIN.fullmatch(plain)
    assert len(plain) < 60
    assert plain != model_folder.plain(name.upper() + "x")


def test_a_name_is_quoted_for_mlflow() -> None:
    """A filter of MLflow has no way to write a quote in its own kind of quotes."""
    assert quote("plain") == "'plain'"
    assert quote("it's") == '"it\'s"'
    with pytest.raises(SlipwayError, match="both kinds of quotes"):
        quote('it\'s "it"')
