"""Backup and restore without Docker: a real embedded store is lost, and comes back elsewhere."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression

from slipway.errors import SlipwayError
from slipway.model_folder import LOCK
from slipway.registry.client import Registry
from slipway.release import lock
from slipway.services import archive, backup, restore
from slipway.settings import Settings, sqlite_uri
from tests.conftest import changed


def connect(settings: Settings) -> MlflowClient:
    """Return MLflow's own client of a store, made if need be, which MLflow's functions use then, too."""
    mlflow.set_tracking_uri(Registry.connect(settings).uri)
    return MlflowClient()


@pytest.fixture
def store(host_settings: Settings, tmp_path: Path) -> Settings:
    """Return settings of a store with a run, a version that is champion, and a release under way."""
    settings = changed(
        host_settings,
        tracking={"external_uri": sqlite_uri(tmp_path / "first" / "mlflow.db")},
        services={"backup_dir": tmp_path / "backups"},
    )
    client = connect(settings)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "first" / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment):
        model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
        mlflow.log_text("größe\n", "größe.txt")
        how = {"pip_requirements": ["mlflow"], "serialization_format": "cloudpickle"}
        mlflow.sklearn.log_model(model, name="model", registered_model_name="m", **how)
    client.set_registered_model_alias("m", "champion", "1")
    client.create_registered_model(f"m{LOCK}", {"by": "me", "process": "elsewhere/1"})
    return settings


def test_a_lost_store_comes_back_in_another_place(
    store: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a restore into another folder the champion's files are found there and predict.

    The old folder is not needed.
    """
    backup.backup(store)
    (made,) = store.services.backup_dir.glob("*")
    elsewhere = changed(store, tracking={"external_uri": sqlite_uri(tmp_path / "second" / "mlflow.db")})
    shutil.rmtree(tmp_path / "first")
    restore.restore(elsewhere, str(made))
    client = connect(elsewhere)
    run = client.get_run(client.get_model_version_by_alias("m", "champion").run_id or "")

    assert "1 run, 2 registered models, 1 model version, " in capsys.readouterr().out
    assert made.stat().st_mode & 0o777 == 0o600
    assert mlflow.sklearn.load_model("models:/m@champion").predict([[2.0]]) == pytest.approx([5.0])
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/größe.txt") == "größe\n"
    with lock.held(Registry.connect(elsewhere), "m", lock.identify_caller()):
        pass  # the next release takes the lock away, however fresh it was

    with pytest.raises(SlipwayError, match="restore needs an empty one"):
        restore.restore(elsewhere, str(made))
    client.rename_registered_model("m", "n")
    backup.backup(elsewhere)  # what was restored can be written to, and backed up


def test_what_a_script_kept_elsewhere_comes_back(store: Settings, tmp_path: Path) -> None:
    """Runs and models of a script's own experiment are in the archive; the rest of its folder is not."""
    client = connect(store)
    for place in ("mlruns/1", "mlruns/10"):
        with mlflow.start_run(
            experiment_id=client.create_experiment(place, artifact_location=(tmp_path / place).as_uri())
        ):
            model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
            how = {"pip_requirements": ["mlflow"], "serialization_format": "cloudpickle"}
            mlflow.sklearn.log_model(model, name="model", registered_model_name="m", **how)
            mlflow.log_text(place, "place.txt")
    (tmp_path / "mlruns" / "1" / "mine.txt").touch()
    backup.backup(store)
    (made,) = store.services.backup_dir.glob("*")
    elsewhere = changed(store, tracking={"external_uri": sqlite_uri(tmp_path / "second" / "mlflow.db")})
    (tmp_path / "mlruns").rename(tmp_path / "gone")
    shutil.rmtree(tmp_path / "first")
    restore.restore(elsewhere, str(made))
    client = connect(elsewhere)
    runs = [client.get_run(client.get_model_version("m", version).run_id or "") for version in ("2", "3")]

    assert [mlflow.sklearn.load_model(f"models:/m/{version}").predict([[2.0]]) for version in "123"] == [
        pytest.approx([5.0])
    ] * 3
    assert [mlflow.artifacts.load_text(f"{run.info.artifact_uri}/place.txt") for run in runs] == [
        "mlruns/1",
        "mlruns/10",
    ]
    assert not list((tmp_path / "second").rglob("mine.txt"))


def test_what_one_runtime_wrote_the_other_refuses_by_name(host_settings: Settings, tmp_path: Path) -> None:
    """Postgres refuses a sqlite database, and the embedded store a dump of Postgres: nothing is touched."""
    file = tmp_path / "first" / "mlflow.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as made_up:
        made_up.execute("CREATE TABLE model_versions (source TEXT)")
    store = changed(
        host_settings, tracking={"external_uri": sqlite_uri(file)}, services={"backup_dir": tmp_path / "backups"}
    )
    backup.backup(store)
    (made,) = store.services.backup_dir.glob("*")
    (tmp_path / "files").mkdir()
    (tmp_path / "dump").write_bytes(b"PGDMP")
    facts = archive.Manifest(archive.FORMAT, "0.1.0", "2026-01-31T23:59:59+01:00", 17, "3.17.2", {})
    archive.pack(tmp_path / "postgres.tar.gz", tmp_path / "dump", tmp_path / "files", facts)

    with pytest.raises(SlipwayError, match="PostgreSQL cannot read"):
        restore.check_versions(archive.verify(made), store)
    with pytest.raises(SlipwayError, match="which sqlite cannot read") as raised:
        restore.restore(store, str(tmp_path / "postgres.tar.gz"))
    assert raised.value.cure.startswith("RUNTIME=docker make restore")
    assert list(file.parent.iterdir()) == [file]


def test_without_a_store_there_is_nothing_to_back_up(host_settings: Settings, tmp_path: Path) -> None:
    """An absent store, or one that a server keeps, is an error in words, and no archive is left."""
    settings = changed(host_settings, services={"backup_dir": tmp_path / "backups"})
    with pytest.raises(SlipwayError, match="nothing to back up"):
        backup.backup(settings)
    with pytest.raises(SlipwayError, match="need a store on this machine"):
        backup.backup(changed(settings, tracking={"external_uri": "http://mlflow.example"}))

    assert not (tmp_path / "backups").exists()
