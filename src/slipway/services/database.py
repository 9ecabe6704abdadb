"""The services' database, through the programs in its container: count its rows, dump it, fill it."""

from __future__ import annotations

import shlex
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from slipway import shell
from slipway.errors import SlipwayError
from slipway.model_folder import LOCK
from slipway.services import causes, mlflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.settings import Settings

COUNTED = {
    "runs": "runs",
    "registered models": "registered_models",
    "model versions": "model_versions",
}  # in words: table
FRESH = {"experiments": 1, "workspaces": 1}  # rows that the server itself makes in an empty database
BOOKKEEPING = {  # filled by the server, a look at the UI, or the deployer
    "alembic_version", "experiment_tags", "jobs", "job_locks", "scheduler_leases", "webhooks", "webhook_events",
}  # fmt: skip
# A release that was under way when the archive was written is none: its lock is as old as can be, and the next release
# takes it away.
FORGET_LOCKS = "UPDATE registered_models SET creation_time = 0, last_updated_time = 0 WHERE name LIKE '%" + LOCK + "'"  # noqa: S608 -- constants
# The deployer's registration for events, whose secret this machine's MLflow may not be able to read: make
# start_deployer makes it anew.
FORGET = (
    "DO $$ BEGIN IF to_regclass('webhooks') IS NOT NULL THEN DELETE FROM webhooks WHERE name LIKE 'slipway-%'; END IF; "  # noqa: S608 -- constants
    "IF to_regclass('registered_models') IS NOT NULL THEN " + FORGET_LOCKS + "; END IF; END $$"
)
COUNT_ROWS = (
    r"SELECT format('SELECT %L, count(*) FROM %I', tablename, tablename) "
    r"FROM pg_tables WHERE schemaname = 'public' \gexec"
)


def count(settings: Settings) -> dict[str, int]:
    """Return how many runs, registered models and model versions there are."""
    rows = count_rows(settings)
    return {words: rows.get(table, 0) for words, table in COUNTED.items()}


def count_rows(settings: Settings) -> dict[str, int]:
    """Return the number of rows of every table: no table before the tracking server has met the database."""
    with tempfile.TemporaryFile() as source:  # psql knows \\gexec only in what it reads
        source.write(COUNT_ROWS.encode())
        source.seek(0)
        lines = run(settings, "psql", "--no-align", "--tuples-only", source=source).splitlines()
    return {table: int(number) for table, number in (line.split("|") for line in lines)}


def find_filled(rows: dict[str, int]) -> list[str]:
    """Return the tables that hold what people put there (pure)."""
    return sorted(table for table, number in rows.items() if number > FRESH.get(table, 0) and table not in BOOKKEEPING)


def read_major(settings: Settings) -> int:
    """Return the major version of the running Postgres."""
    return int(run(settings, "psql", "--no-align", "--tuples-only", "--command=SHOW server_version_num")) // 10000


def dump(settings: Settings, target: IO[bytes]) -> None:
    """Write the database to a file, in Postgres's custom format."""
    run(settings, "pg_dump", "--format=custom", target=target, echo=True)


def replace(settings: Settings, source: IO[bytes]) -> None:
    """Replace the database by a dump, completely or not at all, without the deployer's registration."""
    anew = ["--command=DROP DATABASE IF EXISTS mlflow WITH (FORCE)", "--command=CREATE DATABASE mlflow"]
    run(settings, "psql", "--quiet", "--dbname=postgres", *anew)
    run(settings, "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", source=source, echo=True)
    run(settings, "psql", "--quiet", f"--command={FORGET}")


def run(
    settings: Settings,
    program: str,
    *arguments: str,
    source: IO[bytes] | None = None,
    target: IO[bytes] | None = None,
    echo: bool = False,
) -> str:
    """Run one of Postgres's programs in its container, as `compose` does."""
    database = [] if any(argument.startswith("--dbname") for argument in arguments) else ["--dbname=mlflow"]
    command = ["exec", "-T", "postgres", program, "--username=mlflow", *database, *arguments]
    return compose(settings, *command, source=source, target=target, echo=echo)


def compose(
    settings: Settings,
    *arguments: str,
    source: IO[bytes] | None = None,
    target: IO[bytes] | None = None,
    echo: bool = True,
) -> str:
    """Run a compose command from `source` to `target`, or return what it printed.

    In a session of its own: Ctrl-C is for us alone.

    Raises SlipwayError when it fails.
    """
    command = mlflow.compose(settings.services, *arguments)
    if echo:
        shell.echo(command)
    completed = subprocess.run(
        command, check=False, start_new_session=True,
        stdin=source or subprocess.DEVNULL, stdout=target or subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if completed.returncode != 0:
        words = completed.stderr.decode(errors="replace").strip()
        if "no space left on device" in words.lower():  # whoever says it: Postgres, or docker about our file
            raise SlipwayError("the disk is full", "free some space, then this again")
        if (known := causes.diagnose(words, settings)).cure != "make logs":
            raise known
        last = "\n    ".join(words.splitlines()[-5:])
        raise SlipwayError(f"`docker compose {shlex.join(arguments[:4])} …` failed:\n    {last}", "make logs")
    return "" if target else (completed.stdout or b"").decode().strip()


def find_running(settings: Settings) -> list[str]:
    """Return the services that run."""
    return compose(settings, "ps", "--status", "running", "--services", echo=False).splitlines()


def remove_containers(settings: Settings) -> None:
    """Stop the services and remove their containers and network; the volume stays."""
    for service in mlflow.SERVICES:
        compose(settings, "rm", "--stop", "--force", service)
    mlflow.remove_network(settings.services)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run a clean-up that an impatient Ctrl-C does not stop."""
    handlers = {name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
