"""The backup: all data of the services, or of the embedded store, in one archive."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints, shell
from slipway.bootstrap import docker_cli
from slipway.errors import SlipwayError
from slipway.services import archive, database, embedded
from slipway.services import mlflow as mlflow_services
from slipway.settings import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.settings import Settings

MLFLOW_VERSION = ["python", "-c", "from importlib.metadata import version; print(version('mlflow'))"]


def backup(settings: Settings) -> None:
    """Stop the tracking server for a moment and write all its data to one dated archive in BACKUP_DIR.

    Raises SlipwayError when the services do not run or the disk is full; then, as after Ctrl-C, there is no archive,
    and the server runs.
    """
    if not settings.in_docker:
        embedded.backup(settings)
        return
    mlflow_services.check_running(settings)
    _check_artifact_root(settings)
    now = datetime.now().astimezone()
    date = now.isoformat(timespec="seconds")
    postgres, mlflow = (
        database.read_major(settings),
        database.compose(settings, "exec", "-T", "mlflow", *MLFLOW_VERSION, echo=False),
    )
    with archive.disk_errors(settings.services.backup_dir):
        settings.services.backup_dir.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=".unfinished-", dir=settings.services.backup_dir) as scratch,
            _watched(settings, scratch),
        ):
            dump, unfinished = Path(scratch, archive.DUMP), Path(scratch, "archive")
            with _paused(settings):
                with dump.open("xb") as target:
                    database.dump(settings, target)
                manifest = archive.Manifest(archive.FORMAT, VERSION, date, postgres, mlflow, database.count(settings))
                manifest = archive.pack(unfinished, dump, settings.tracking.artifact_root, manifest)
                if "mlflow" in database.find_running(settings):
                    raise SlipwayError(
                        "the tracking server was started during the backup, which may not be consistent", "make backup"
                    )
            path = unfinished.rename(settings.services.backup_dir / f"slipway-{now:%Y%m%d-%H%M%S}.tar.gz")
    print(f"{archive.show(path)}: {path.stat().st_size / 1e6:.2f} MB, {manifest}")
    hints.say_next(f"make restore BACKUP={shlex.quote(archive.show(path))} (into empty services)")


def _check_artifact_root(settings: Settings) -> None:
    """Compare the folder that the running server writes to with the one that would be archived."""
    if settings.services.backup_dir.is_relative_to(settings.tracking.artifact_root):
        raise SlipwayError(
            f"BACKUP_DIR is in the artifact folder {settings.tracking.artifact_root}: a backup would contain itself",
            "BACKUP_DIR=backups",
        )
    container = database.compose(settings, "ps", "--quiet", "mlflow", echo=False)
    mounted = shell.ask(docker_cli.name_mounted(container, "/artifacts")).out
    if not mounted.endswith(str(settings.tracking.artifact_root)):  # Docker Desktop may put a prefix before it
        wrong = (
            f"the running services keep their artifacts in {mounted}, "
            f"and MLFLOW_ARTIFACT_ROOT is {settings.tracking.artifact_root}"
        )
        raise SlipwayError(wrong, f"MLFLOW_ARTIFACT_ROOT={shlex.quote(mounted)} make backup")


@contextmanager
def _watched(settings: Settings, scratch: str) -> Iterator[None]:
    """Run a helper process that cleans up if we are killed.

    The tracking server runs, and what was unfinished is gone.

    In its own session, it waits for a word from us; the end of the pipe without one means that we cannot send it
    any more.
    """
    again = shlex.join(mlflow_services.compose(settings.services, "restart", "mlflow"))
    script = f'trap "" INT TERM HUP; read -r word || {{ {again}; rm -rf "$0"; }}'
    watcher = subprocess.Popen(
        ["sh", "-c", script, scratch], start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.communicate(b"done\n")


@contextmanager
def _paused(settings: Settings) -> Iterator[None]:
    """Stop the tracking server for a block; it is healthy again afterwards in any case.

    Its clients retry for four minutes.
    """
    try:
        database.compose(settings, "stop", "mlflow")
        yield
    finally:
        with database.undisturbed():
            database.compose(
                settings, "restart", "mlflow"
            )  # unlike `start`, it waits for a stop that Ctrl-C left to the engine
        mlflow_services.wait_for_mlflow(settings)
