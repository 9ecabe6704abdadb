"""What the services' logs mean: each known trouble by its own words, as Docker, Postgres and MLflow write them."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway import settings as slipway_settings
from slipway.deployer import start
from slipway.errors import SlipwayError
from slipway.services import causes
from slipway.settings import Settings
from tests.conftest import changed

KNOWN = {
    "full disk": (
        'postgres-1  | FATAL:  could not write to file "pg_wal/xlogtemp.29": No space left on device',
        "the disk is full",
        "docker system prune",
    ),
    "taken port": (
        (
            "Error response from daemon: driver failed programming connectivity: "
            "Bind for 127.0.0.1:5001 failed: port is already allocated"
        ),
        "port 5001 is taken",
        "MLFLOW_PORT=",
    ),
    "port taken by a program": (
        "failed to bind host port for 127.0.0.1:5001:172.18.0.3:5000/tcp: address already in use",
        "port 5001 is taken",
        "MLFLOW_PORT=",
    ),
    "wrong password": (
        'postgres-1  | FATAL:  password authentication failed for user "mlflow"',
        "Postgres rejects the password",
        "make reset_database_password",
    ),
    "other major version": (
        (
            "postgres-1 | DETAIL:  The data directory was initialized by PostgreSQL version 16, "
            "which is not compatible with this version 17"
        ),
        "the database files are from PostgreSQL 16, which postgres:17 cannot read",
        "POSTGRES_IMAGE=postgres:16 make start_mlflow_services backup wipe",
    ),
    "newer schema": (
        (
            "mlflow-1  | mlflow.exceptions.MlflowException: "
            "Detected out-of-date database schema (found version 1b49d398cd23)"
        ),
        "a newer MLflow",
        "make restore",
    ),
    "newer revision": (
        "mlflow-1  | alembic.util.exc.CommandError: Can't locate revision identified by '1b49d398cd23'",
        "a newer MLflow",
        "make restore",
    ),
    "no such image": (
        (
            "Error response from daemon: pull access denied for postgres, "
            "repository does not exist or may require 'docker login'"
        ),
        "cannot pull the image postgres:17",
        "POSTGRES_IMAGE",
    ),
    "no network": (
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
        "cannot pull the image postgres:17",
        "make doctor",
    ),
}


@pytest.fixture
def settings() -> Settings:
    """Return settings with a port and an image to name."""
    return changed(slipway_settings.load(), tracking={"port": 5001}, images={"postgres": "postgres:17"})


@pytest.mark.parametrize(("log", "message", "cure"), KNOWN.values(), ids=KNOWN)
def test_a_known_trouble_has_its_cure(settings: Settings, log: str, message: str, cure: str) -> None:
    """A line in the midst of a log becomes one line that says what it means, and what to do."""
    error = causes.diagnose(f"postgres-1  | starting\n{log}\ncontainer slipway-postgres-1 is unhealthy", settings)

    assert message in error.message
    assert cure in error.cure
    assert "\n" not in error.message


def test_an_unknown_trouble_shows_the_end_of_the_log(settings: Settings) -> None:
    """What is not known is shown: the last lines that say something, and where the rest is."""
    log = "\n\n".join(f"line {number}" for number in range(100))
    error = causes.diagnose(log, settings)

    assert error.message.splitlines()[1:] == [f"    line {number}" for number in range(85, 100)]
    assert error.cure == "make logs"


@pytest.mark.parametrize("log", ["", "{port} {0} 100%"], ids=["empty", "braces"])
def test_any_log_will_do(settings: Settings, log: str) -> None:
    """An empty log, or one with signs that formatting knows, is an unknown trouble like others."""
    assert causes.diagnose(log, settings).cure == "make logs"


def test_without_docker_there_is_no_deployer_to_stop(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping it where docker is not installed is an error in words."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlipwayError, match="docker is not installed"):
        start.stop(replace(settings, runtime="docker"))
