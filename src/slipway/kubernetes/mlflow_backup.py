"""Backup and restoration of the tracking server in a cluster, in the archives of `make backup`.

The archives are interchangeable.
"""

from __future__ import annotations

import shlex
import subprocess
import tarfile
import tempfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING

from slipway import hints, shell
from slipway.errors import SlipwayError
from slipway.kubernetes import mlflow
from slipway.kubernetes.cluster.kubectl import Cluster
from slipway.services import archive, database
from slipway.services import restore as restoration
from slipway.settings import VERSION

if TYPE_CHECKING:
    from slipway.settings import Settings

POD = f"{mlflow.POSTGRES}-0"
SERVER = f"deployment/{mlflow.MLFLOW}"
USER = "--username=mlflow"
SQL = ("--stdin", POD, "--", "psql", USER, "--dbname=mlflow", "--no-align", "--tuples-only")
PACK = "tar --create --directory /artifacts . || [ $? -eq 1 ]"  # 1: a file was written to, as by a run that goes on
UNPACK = ["tar", "--extract", "--directory", "/artifacts", "--touch"]
EMPTY_AGAIN = "make undeploy_tracking DATA=delete, then make deploy_tracking, then this again"


def backup(settings: Settings) -> None:
    """Back up the cluster's tracking server to one dated archive in BACKUP_DIR.

    It keeps running meanwhile.

    The database comes first, so that every model which it knows is among the files. Raises SlipwayError when anything
    fails: then there is no archive.
    """
    cluster = _connect(settings)
    now = datetime.now().astimezone()
    counts = {words: _count_rows(cluster).get(table, 0) for words, table in database.COUNTED.items()}
    postgres = int(_ask(cluster, *SQL, "--command=SHOW server_version_num")) // 10000
    manifest = archive.Manifest(
        archive.FORMAT, VERSION, now.isoformat(timespec="seconds"), postgres, _ask_version(cluster), counts
    )
    with archive.disk_errors(settings.services.backup_dir):
        settings.services.backup_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=settings.services.backup_dir) as scratch:
            dump, artifacts, unfinished = (Path(scratch, name) for name in (archive.DUMP, archive.ARTIFACTS, "archive"))
            with dump.open("xb") as target:
                _run(cluster, [POD, "--", "pg_dump", USER, "--dbname=mlflow", "--format=custom"], target=target)
            _fetch(cluster, artifacts)
            manifest = archive.pack(unfinished, dump, artifacts, manifest)
            path = unfinished.rename(settings.services.backup_dir / f"slipway-{now:%Y%m%d-%H%M%S}.tar.gz")
    print(f"{archive.show(path)}: {path.stat().st_size / 1e6:.2f} MB, {manifest}")
    hints.say_next(
        f"make restore_tracking BACKUP={shlex.quote(archive.show(path))} (into an empty one), "
        "or make restore, on this machine"
    )


def restore(settings: Settings, name: str) -> None:
    """Verify an archive and restore it into an empty tracking server of the cluster.

    Raises SlipwayError when it is damaged, or the server holds something: nothing was touched.
    """
    cluster = _connect(settings)
    path = restoration.find(settings.services, name)
    manifest = archive.verify(path)
    restoration.check_versions(manifest, settings)
    files = int(_ask(cluster, SERVER, "--", "sh", "-c", "find /artifacts -type f | wc -l"))
    if files or database.find_filled(_count_rows(cluster)):
        raise SlipwayError(
            f"the tracking server in {settings.cluster.context}, namespace {settings.cluster.namespace}, is not empty",
            EMPTY_AGAIN,
        )
    try:
        with (
            archive.disk_errors(settings.services.backup_dir),
            tempfile.TemporaryDirectory(dir=settings.services.backup_dir) as scratch,
        ):
            archive.extract(path, Path(scratch))
            _send(cluster, Path(scratch, archive.ARTIFACTS))
            with Path(scratch, archive.DUMP).open("rb") as source:
                _replace(cluster, source)
        cluster.run("rollout", "restart", SERVER)  # a newer server migrates the database as it starts
        with mlflow.reached(settings, cluster):
            counts = _count_rows(cluster)
        if any(counts.get(table) != manifest.counts.get(words) for words, table in database.COUNTED.items()):
            raise SlipwayError(f"the database does not match the archive: {manifest}")  # noqa: TRY301 -- with the same cure
    except SlipwayError as error:
        raise SlipwayError(
            f"{error.message}\n  the tracking server is now incomplete", EMPTY_AGAIN, error.code
        ) from None
    print(f"restored {manifest}, as they were at {manifest.date}")
    hints.say_next(
        f"{mlflow.HERE} make deploy MODEL=… CONTEXT={settings.cluster.context} NAMESPACE={settings.cluster.namespace}"
    )


def _connect(settings: Settings) -> Cluster:
    cluster = Cluster(settings)
    cluster.check()
    mlflow.check_deployed(cluster)
    return cluster


def _count_rows(cluster: Cluster) -> dict[str, int]:
    """Return the number of rows of every table."""
    lines = _ask(cluster, *SQL, words=database.COUNT_ROWS)  # psql knows \gexec only in what it reads
    return {table: int(number) for table, number in (line.split("|") for line in lines.splitlines())}


def _ask_version(cluster: Cluster) -> str:
    """Return the version of the MLflow that runs there; it is ours but for an older deployment."""
    answer = cluster.ask(
        "exec", SERVER, "--", "python", "-c", "from importlib.metadata import version; print(version('mlflow'))"
    )
    return answer.out if answer.code == 0 else version("mlflow")


def _replace(cluster: Cluster, source: IO[bytes]) -> None:
    """Replace the database by a dump, whole or not at all, without another deployer's registration."""
    anew = ["--command=DROP DATABASE IF EXISTS mlflow WITH (FORCE)", "--command=CREATE DATABASE mlflow"]
    _ask(cluster, POD, "--", "psql", USER, "--quiet", "--dbname=postgres", *anew)
    restored = ["pg_restore", USER, "--dbname=mlflow", "--single-transaction", "--exit-on-error", "--no-owner"]
    _run(cluster, ["--stdin", POD, "--", *restored], source=source)
    _ask(cluster, POD, "--", "psql", USER, "--quiet", "--dbname=mlflow", f"--command={database.FORGET}")


def _fetch(cluster: Cluster, folder: Path) -> None:
    """Bring the artifacts here."""
    folder.mkdir()
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        _run(cluster, [SERVER, "--", "sh", "-c", PACK], target=file)
        file.seek(0)
        try:
            with tarfile.open(fileobj=file) as tar:
                for member in tar:
                    if member.isreg():
                        tar.extract(member, folder, filter="data")
        except tarfile.TarError as error:
            raise SlipwayError(f"the artifacts arrived incomplete: {error}", "make backup_tracking") from None


def _send(cluster: Cluster, folder: Path) -> None:
    """Bring artifacts there, entry by entry: the volume's own folder is not ours to change."""
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            for entry in sorted(folder.glob("*")):
                tar.add(entry, arcname=entry.name)
        file.seek(0)
        _run(cluster, ["--stdin", SERVER, "--", *UNPACK], source=file)


def _ask(cluster: Cluster, *arguments: str, words: str | None = None) -> str:
    answer = cluster.ask("exec", *arguments, words=words)
    if answer.code != 0:
        raise SlipwayError(f"kubectl exec failed: {answer.last}", "make deploy_tracking")
    return answer.out


def _run(
    cluster: Cluster, arguments: list[str], *, source: IO[bytes] | None = None, target: IO[bytes] | None = None
) -> None:
    """Run a program in a pod from a file, or into one. In a session of its own: Ctrl-C is for us alone."""
    command = cluster.command("exec", *arguments)
    shell.echo(command)
    completed = subprocess.run(
        command, check=False, start_new_session=True,
        stdin=source or subprocess.DEVNULL, stdout=target or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    if completed.returncode != 0:
        last = "\n    ".join(completed.stderr.decode(errors="replace").strip().splitlines()[-3:])
        raise SlipwayError(f"`kubectl {shlex.join(arguments[:5])} …` failed:\n    {last}", "make deploy_tracking")
