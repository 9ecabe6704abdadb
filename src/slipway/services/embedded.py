"""Backup and restoration of the embedded store (RUNTIME=host).

Its sqlite file and its artifacts, in an archive like the services'.

One runtime cannot read the other's archives, and the error names the right one.
"""

from __future__ import annotations

import itertools
import shlex
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from slipway import hints
from slipway.errors import SlipwayError
from slipway.registry import connection
from slipway.services import archive, database
from slipway.settings import ROOT, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.settings import Settings

PLACES = (  # where the store names files: by the folder that it is in, which may be another one when it is restored
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"), ("model_versions", "source"),
)  # fmt: skip
REFERENCES = {"models", "runs"}  # begin what stands for a place that another row has


def backup(settings: Settings) -> None:
    """Back up the embedded store to one dated archive in BACKUP_DIR; trainings may run meanwhile.

    The database comes first, so that every model which it knows is among the files. Raises SlipwayError when anything
    fails: then there is no archive.
    """
    store = _find(settings)
    if not store.is_file():
        raise SlipwayError(f"there is nothing to back up: no {archive.show(store)}", "make train_model")
    now = datetime.now().astimezone()
    artifacts = store.parent / archive.ARTIFACTS
    with archive.disk_errors(settings.services.backup_dir):
        settings.services.backup_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=settings.services.backup_dir) as scratch:
            dump, unfinished = Path(scratch, archive.DUMP), Path(scratch, "archive")
            _copy(store, dump)
            rows = count_rows(dump)
            counts = {words: rows.get(table, 0) for words, table in database.COUNTED.items()}
            date = now.isoformat(timespec="seconds")
            manifest = archive.Manifest(
                archive.FORMAT, VERSION, date, 0, version("mlflow"), counts, place=artifacts.as_uri()
            )
            manifest = archive.pack(unfinished, dump, artifacts, manifest, _gather(dump, artifacts))
            path = unfinished.rename(settings.services.backup_dir / f"slipway-{now:%Y%m%d-%H%M%S}.tar.gz")
    print(f"{archive.show(path)}: {path.stat().st_size / 1e6:.2f} MB, {manifest}")
    hints.say_next(f"make restore BACKUP={shlex.quote(archive.show(path))} (into an empty store)")


def restore(settings: Settings, path: Path, manifest: archive.Manifest) -> None:
    """Restore a verified archive into an empty embedded store.

    Raises SlipwayError when it is one of Postgres's, or the store holds something: nothing was touched.
    """
    if manifest.postgres:
        words = f"the archive holds a dump of PostgreSQL {manifest.postgres}, which sqlite cannot read"
        raise SlipwayError(words, f"RUNTIME=docker make restore BACKUP={shlex.quote(archive.show(path))}")
    store = _find(settings)
    artifacts = store.parent / archive.ARTIFACTS
    rows = count_rows(store) if store.is_file() else {}
    files = sum(1 for _ in archive.find_files(artifacts))
    if files or database.find_filled(rows):
        held = f"{rows.get('runs', 0)} runs, {rows.get('model_versions', 0)} model versions and {files} files"
        raise SlipwayError(
            f"{store.parent} holds {held}; restore needs an empty one", "make backup, then make wipe, then this again"
        )
    with archive.disk_errors(store.parent):
        store.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".restored-", dir=store.parent) as scratch:
            archive.extract(path, Path(scratch))
            dump, unpacked = Path(scratch, archive.DUMP), Path(scratch, archive.ARTIFACTS)
            _move_places(dump, manifest.place, artifacts.as_uri())
            unpacked.mkdir(exist_ok=True)
            shutil.rmtree(artifacts, ignore_errors=True)  # folders without a file
            unpacked.rename(artifacts)
            for journal in ("-wal", "-shm", "-journal"):
                Path(f"{store}{journal}").unlink(missing_ok=True)
            dump.replace(store)
    print(f"restored {manifest}, as they were at {manifest.date}")
    hints.say_next("make list_models")


def count_rows(store: Path) -> dict[str, int]:
    """Return the number of rows of every table."""
    try:
        with closing(sqlite3.connect(store)) as opened:
            listed = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            tables = [name for (name,) in listed]
            return {table: opened.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}  # noqa: S608 -- its own names
    except sqlite3.DatabaseError as error:
        raise SlipwayError(f"{store} cannot be read: {error}", "make restore of another archive") from None


def _find(settings: Settings) -> Path:
    """Return the store's sqlite file; raise SlipwayError where another server keeps things."""
    store = connection.find_embedded_file(settings)
    if store is None:
        raise SlipwayError(
            f"backup and restore need a store on this machine, but MLFLOW_TRACKING_URI is {settings.tracking_uri}",
            "unset it; or back up where that server runs",
        )
    return store


def _copy(store: Path, target: Path) -> None:
    """Copy a database that others may write to, as sqlite's own backup does.

    The copy contains no release lock.
    """
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        if copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'registered_models'").fetchone():
            copy.execute(database.FORGET_LOCKS)
        copy.commit()


def _gather(dump: Path, artifacts: Path) -> dict[str, Path]:
    """Have a copied database name what lies elsewhere on this machine as if it were an artifact.

    A script's own ./mlruns is one such folder. Return the folders of runs and models there, by their names among the
    artifacts. What is on no disk of ours is named in a warning.
    """
    experiments, others = _read_places(dump, PLACES[:1]), _read_places(dump, PLACES[1:])
    free = (f"elsewhere-{number}" for number in itertools.count(1) if not (artifacts / f"elsewhere-{number}").exists())
    names: dict[str, str] = {}  # of the outermost places that the database has
    found, missing = {}, []
    for place in sorted(others):
        above = _list_above(place)
        folder = _find_folder(place)
        if folder is None:
            missing += [place] if urlsplit(place).scheme not in REFERENCES else []
        elif (
            not folder.resolve().is_relative_to(artifacts.resolve())
            and others.isdisjoint(above)
            and any(archive.find_files(folder))
        ):
            root = next((each for each in above if each in experiments), place)
            names[root] = names.get(root) or next(free)
            found[names[root] + place[len(root) :]] = folder
    for root, name in names.items():
        _move_places(dump, root, f"{artifacts.as_uri()}/{name}")
    if missing:
        more = f", and {len(missing) - 1} more" if missing[1:] else ""
        print(
            f"warning: missing from the archive, because it is not on this machine: {missing[0]}{more}", file=sys.stderr
        )
    return found


def _list_above(place: str) -> list[str]:
    """Return the places that one is in, from the outermost."""
    return [place[:end] for end, sign in enumerate(place) if sign == "/"]


def _find_folder(place: str) -> Path | None:
    """Return the folder of this machine that a place is; None for one elsewhere."""
    parts = urlsplit(place)
    path = unquote(parts.path) if parts.scheme == "file" else place if not parts.scheme else ""
    return ROOT / path if path else None


def _read_places(dump: Path, columns: Iterable[tuple[str, str]]) -> set[str]:
    """Return what the database has in some columns."""
    with closing(sqlite3.connect(dump)) as opened:
        there = [(table, column) for table, column in columns if _has(opened, table, column)]
        queries = [f"SELECT DISTINCT {column} FROM {table}" for table, column in there]  # noqa: S608 -- constants
        return {place for query in queries for (place,) in opened.execute(query) if place}


def _has(opened: sqlite3.Connection, table: str, column: str) -> bool:
    return column in [row[1] for row in opened.execute(f"PRAGMA table_info({table})")]


def _move_places(dump: Path, before: str, now: str) -> None:
    """Have a database name files in another place: those at `before`, or below it."""
    with closing(sqlite3.connect(dump)) as opened:
        for table, column in PLACES:
            if before and before != now and _has(opened, table, column):
                begins = f"substr({column} || '/', 1, {len(before) + 1}) = ?"
                statement = f"UPDATE {table} SET {column} = ? || substr({column}, {len(before) + 1}) WHERE {begins}"  # noqa: S608 -- names of ours
                opened.execute(statement, [now, f"{before}/"])
        opened.commit()
