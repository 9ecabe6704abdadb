"""The locks of a release: a living holder keeps one however long it takes, and one that was ended is taken from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow
import pytest

from slipway import settings as slipway_settings
from slipway.deployer import start
from slipway.errors import SlipwayError
from slipway.model_folder import LOCK
from slipway.registry.client import Registry
from slipway.release import lock
from slipway.services.deployer_client import find_home
from tests.polling import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.fast

HERE, THERE = lock.Holder("me", "here/1"), lock.Holder("the deployer", "deployer-abc-local")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Return a registry of the test's own."""
    return Registry(f"sqlite:///{tmp_path_factory.mktemp('locks')}/mlflow.db")


@pytest.fixture
def client(registry: Registry) -> mlflow.MlflowClient:
    """Return MLflow's own client of it."""
    return mlflow.MlflowClient(registry.uri)


def test_a_lock_is_renewed(registry: Registry, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder gives signs of life as long as it lives: the lock's age is no reason to take it."""
    monkeypatch.setattr(lock, "RENEW_S", 0.1)
    with lock.held(registry, "m", THERE):
        made = client.get_registered_model(f"m{LOCK}")
        wait_until(
            lambda: client.get_registered_model(made.name).last_updated_timestamp >= made.creation_timestamp + 1000,
            60,
            "the lock is not renewed",
        )
        now = client.get_registered_model(made.name)
        with pytest.raises(SlipwayError, match="the deployer has been releasing m"), lock.held(registry, "m", HERE):
            pass

    assert now.creation_timestamp == made.creation_timestamp
    assert lock.find_rollback(registry, "m", HERE) == ""


def test_one_without_a_sign_is_taken(
    registry: Registry, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock whose holder, on a machine that we cannot see, has been silent for longer than the limit can be taken."""
    client.create_registered_model(f"m{LOCK}", {"by": "somebody", "process": "elsewhere/1"})
    monkeypatch.setattr(lock, "LIMIT", -1)
    with lock.held(registry, "m", HERE):
        holder = client.get_registered_model(f"m{LOCK}").tags["by"]

    assert holder == "me"


def test_a_deployer_that_was_stopped_holds_nothing(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Stopped in the middle of a rollback, it leaves no lock for others to wait for; another's stays."""
    (tmp_path / "model.toml").write_text('name = "m"\nmetric = "score"\ndirection = "maximize"\n')
    for name, value in {"RUNTIME": "host", "DEPLOYER_PORT": "1", "MODEL_DIR": str(tmp_path), "URL": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    settings = slipway_settings.load()
    find_home(settings.services).mkdir(parents=True, exist_ok=True)
    (find_home(settings.services) / "identity").write_text("abc")
    client.create_registered_model(f"m{lock.ROLLBACK}{LOCK}", {"by": THERE.by, "process": THERE.process})
    client.create_registered_model(f"m{LOCK}", {"by": HERE.by, "process": HERE.process})
    try:
        start._free_locks(settings)  # noqa: SLF001 -- what `stop` does last
    finally:
        (find_home(settings.services) / "identity").unlink()
        find_home(settings.services).rmdir()

    assert [found.name for found in client.search_registered_models()] == [f"m{LOCK}"]
