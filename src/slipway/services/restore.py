"""The restoration of a backup, into empty services or an empty embedded store: all of it, or nothing.

Restore only archives of your own: a dump is run as the database's superuser, and the models in it run code when they
are loaded.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints, shell
from slipway.bootstrap import docker_cli, ownership
from slipway.errors import USAGE, USER_CAN_FIX, SlipwayError
from slipway.runtimes import images
from slipway.services import archive, database, embedded, mlflow
from slipway.settings import ROOT

if TYPE_CHECKING:
    from slipway.settings import Services, Settings


def restore(settings: Settings, name: str) -> None:
    """Verify an archive, restore it into empty services, and start them.

    Raises SlipwayError when it is damaged or the services hold something: nothing was touched. When it fails later they
    are empty again.
    """
    if settings.in_docker:
        images.check_engine()
        mlflow.check_data(settings)
    path = find(settings.services, name)
    manifest = archive.verify(path)
    if not settings.in_docker:
        check_mlflow(manifest)
        embedded.restore(settings, path, manifest)
        return
    check_versions(manifest, settings)
    images.build_base(settings)
    images.build_service(settings, "mlflow")
    _check_empty(settings)
    try:
        _fill(settings, path)
        if database.count(settings).items() - manifest.counts.items():
            raise SlipwayError(f"the database does not match the archive: {manifest}")  # noqa: TRY301 -- what was made goes
        mlflow.start(settings)
    except BaseException as error:
        _empty(settings)
        words = "nothing was restored; the services are stopped and empty again"
        if isinstance(error, SlipwayError):
            raise SlipwayError(f"{error.message}\n  {words}", error.cure, error.code) from None
        print(f"\n{words}", file=sys.stderr)
        raise
    print(f"restored {manifest}, as they were at {manifest.date}")
    hints.say_next("make list_models")


def find(services: Services, name: str) -> Path:
    """Return the archive that BACKUP names.

    Raises SlipwayError, listing the available archives, if it names none.
    """
    path = ROOT / shell.expand(name)
    if name and path.is_file():
        return path
    there = [archive.show(found) for found in sorted(services.backup_dir.glob("slipway-*.tar.gz"), reverse=True)]
    wrong = f"no such archive: {name}" if name else "BACKUP is empty: which archive?"
    listed = "".join(f"\n    {found}" for found in there) or " nothing yet; make backup writes one"
    cure = f"make restore BACKUP={shlex.quote(there[0]) if there else '…'}"
    raise SlipwayError(
        f"{wrong}; in {archive.show(services.backup_dir)} there is:{listed}",
        cure,
        USER_CAN_FIX if name else USAGE,
    )


def check_versions(manifest: archive.Manifest, settings: Settings) -> None:
    """Raise SlipwayError when an archive was made by newer programs than those that would have to read it."""
    if not manifest.postgres:
        words = "the archive holds a sqlite database, of RUNTIME=host, which PostgreSQL cannot read"
        raise SlipwayError(words, "RUNTIME=host make restore BACKUP=…")
    if manifest.postgres > int(settings.images.postgres_major):
        newer = f"the archive was made by PostgreSQL {manifest.postgres}, and {settings.images.postgres} is older"
        raise SlipwayError(newer, f"POSTGRES_IMAGE=postgres:{manifest.postgres} make restore BACKUP=…")
    check_mlflow(manifest)


def check_mlflow(manifest: archive.Manifest) -> None:
    """Raise SlipwayError when an archive was made by a newer MLflow than ours."""
    if _order(manifest.mlflow) > _order(version("mlflow")):
        newer = f"the archive was made with MLflow {manifest.mlflow}, and {version('mlflow')} here is older"
        raise SlipwayError(newer, f"the Slipway that made it ({manifest.slipway}), or a later one")


def _check_empty(settings: Settings) -> None:
    rows: dict[str, int] = {}
    if shell.ask(docker_cli.find("volume", mlflow.volume(settings))).code == 0:
        running = {*database.find_running(settings)} & {*mlflow.SERVICES}
        try:
            mlflow.start_database(settings)
            rows = database.count_rows(settings)
        finally:
            if not running:
                database.remove_containers(settings)
    files = sum(1 for _ in archive.find_files(settings.tracking.artifact_root))
    if files or database.find_filled(rows):
        held = (
            f"{rows.get('runs', 0)} runs, {rows.get('model_versions', 0)} model versions "
            f"and {files} files in {settings.tracking.artifact_root}"
        )
        raise SlipwayError(
            f"the services hold {held}; restore needs empty ones", "make backup, then make wipe, then this again"
        )


def _fill(settings: Settings, path: Path) -> None:
    root = settings.tracking.artifact_root
    database.compose(settings, "stop", "mlflow")
    mlflow.start_database(settings)
    with archive.disk_errors(root):
        for folder in sorted(root.rglob("*"), reverse=True):
            if folder.name != ownership.MARK:
                folder.rmdir()  # it is empty, as _check_empty saw
        with tempfile.TemporaryDirectory(prefix=".restored-", dir=root) as scratch:  # on the disk where they stay
            archive.extract(path, Path(scratch))
            with Path(scratch, archive.DUMP).open("rb") as source:
                database.replace(settings, source)
            for entry in Path(scratch).glob(f"{archive.ARTIFACTS}/*"):
                entry.rename(root / entry.name)


def _empty(settings: Settings) -> None:
    """Remove what a failed restore made.

    The volume, and everything in the artifact folder, both of which were empty before.
    """
    with database.undisturbed():
        database.remove_containers(settings)
        shell.ask(docker_cli.remove("volume", [mlflow.volume(settings)]))
        for entry in settings.tracking.artifact_root.glob("*"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _order(number: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", number)]
