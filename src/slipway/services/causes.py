"""Known errors in the services' logs, each with its cure (pure)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from slipway.settings import Settings

CHANGE_MAJOR = "POSTGRES_IMAGE=postgres:{0} make start_mlflow_services backup wipe, then make restore BACKUP=…"
DIAGNOSES = (  # what a log says; what it means; what to do. diagnose() fills in {…}
    (
        r"No space left on device",
        "the disk is full",
        "docker system prune, or free some space; then make start_mlflow_services",
    ),
    (
        r"port is already allocated|address already in use",
        "port {port} is taken",
        "MLFLOW_PORT=5050 make start_mlflow_services",
    ),
    (
        r"password authentication failed",
        "Postgres rejects the password in .slipway/postgres_password: its data was created with another one",
        "make reset_database_password",
    ),
    (
        r"initialized by PostgreSQL version (\d+), which is not compatible",
        "the database files are from PostgreSQL {0}, which {image} cannot read",
        CHANGE_MAJOR,
    ),
    (
        r"Detected out-of-date database schema|Can't locate revision",
        "the database was created by a newer MLflow than this one",
        "use the newer Slipway that made it, or make restore BACKUP=…",
    ),
    (
        r"pull access denied|manifest unknown|failed to resolve reference|not found: manifest|no such host",
        "cannot pull the image {image}",
        "check POSTGRES_IMAGE and the network; make doctor",
    ),
)


def diagnose(log: str, settings: Settings) -> SlipwayError:
    """Turn what compose and the services logged into an error with its cause and cure."""
    for pattern, message, cure in DIAGNOSES:
        if found := re.search(pattern, log):
            facts = {"port": settings.tracking.port, "image": settings.images.postgres}
            return SlipwayError(message.format(*found.groups(), **facts), cure.format(*found.groups(), **facts))
    last = [line for line in log.splitlines() if line.strip()][-15:]
    return SlipwayError("the services did not come up; the end of their logs:\n    " + "\n    ".join(last), "make logs")
