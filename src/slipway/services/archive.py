"""The archive that a backup is: the database's dump, the artifacts, and a manifest with the checksum of each file.

No Docker here.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tqdm import tqdm

from slipway.bootstrap import ownership
from slipway.errors import SlipwayError
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT = 1
CHUNK = 1 << 20  # bytes
DUMP, ARTIFACTS, MANIFEST = "database.dump", "artifacts", "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What an archive holds: `counts` for people.

    `files` with [size, sha256] of every file in it but the manifest itself.
    """

    format: int
    slipway: str
    date: str
    postgres: int  # the major version that dumped; 0: the dump is a sqlite database, of RUNTIME=host
    mlflow: str
    counts: dict[str, int]
    files: dict[str, list[Any]] = field(default_factory=dict)
    place: str = ""  # of a sqlite database: where its artifacts were, as it names them

    def __str__(self) -> str:
        """Return the counts in words, such as `3 runs, 1 registered model, 0 model versions, 17 artifact files`."""
        return ", ".join(
            f"{count} {name.removesuffix('s') if count == 1 else name}" for name, count in self.counts.items()
        )


def pack(
    archive: Path, dump: Path, artifacts: Path, manifest: Manifest, besides: Mapping[str, Path] | None = None
) -> Manifest:
    """Write an archive that its owner alone can read.

    Return the manifest, now with the files, which is its last member.

    Folders that lie `besides` the artifacts are among them in the archive, by the names that are given with them.
    """
    files: dict[str, list[Any]] = {}
    with archive.open("xb") as raw, _progress("archiving") as bar:
        os.fchmod(raw.fileno(), 0o600)
        with tarfile.open(
            fileobj=raw, mode="w:gz", compresslevel=1
        ) as tar:  # the tracking server waits: quick, not small
            for name, path in _list_members(dump, {"": artifacts, **(besides or {})}):
                with path.open("rb") as file:
                    member, content = tarfile.TarInfo(name), _Hashed(file, bar)
                    member.size, member.mtime = os.fstat(file.fileno()).st_size, int(path.stat().st_mtime)
                    tar.addfile(member, content)
                files[name] = content.describe()
            manifest = replace(manifest, counts=manifest.counts | {"artifact files": len(files) - 1}, files=files)
            known = {
                name: value for name, value in asdict(manifest).items() if value or name != "place"
            }  # an older Slipway knows none
            words = json.dumps(known, indent=1).encode()
            member = tarfile.TarInfo(MANIFEST)
            member.size = len(words)
            tar.addfile(member, io.BytesIO(words))
        raw.flush()
        os.fsync(raw.fileno())
    return manifest


def verify(archive: Path) -> Manifest:
    """Read a whole archive and return its manifest.

    Raises SlipwayError when anything is not as it was written: a byte, a missing or additional file, a link, a path
    that leads outside.
    """
    found: dict[str, list[Any]] = {}
    words = b""
    try:
        with gzip.open(archive) as stream, _progress("verifying") as bar:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    content = _Hashed(_open(tar, member, found), bar)
                    if member.name == MANIFEST:
                        words = content.read()
                    while content.read(CHUNK):
                        pass
                    found[member.name] = content.describe()
            while stream.read(CHUNK):  # what follows the last file: gzip's own checksum stands at the end
                pass
        return _parse(words, found)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise SlipwayError(
            f"{archive} is damaged, or not a backup: {error}", "another archive, or a fresh copy of this one"
        ) from None


def extract(archive: Path, target: Path) -> None:
    """Extract a verified archive into an empty folder."""
    with tarfile.open(archive, mode="r|gz") as tar, _progress("extracting") as bar:
        for member in tar:
            tar.extract(member, target, filter="data")
            bar.update(member.size)


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn errors of the disk into SlipwayErrors."""
    try:
        yield
    except OSError as error:
        reason, cure = error.strerror or str(error), "check who owns it"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            reason, cure = "the disk is full", "free some space, then this again"
        raise SlipwayError(f"{error.filename or place}: {reason}", cure) from None


def find_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted folder by folder; none when it does not exist."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names) if name != ownership.MARK)


def show(path: Path) -> str:
    """Return a path as one would type it here."""
    return str(path).removeprefix(f"{ROOT}/")


def _list_members(dump: Path, folders: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    yield DUMP, dump
    for name, folder in folders.items():
        for path in find_files(folder):
            yield (Path(ARTIFACTS, name) / path.relative_to(folder)).as_posix(), path


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo, found: dict[str, list[Any]]) -> IO[bytes]:
    """Return the content of a member that may be extracted."""
    tarfile.data_filter(member, str(BUILD / "restore"))  # raises for what would lie outside that folder
    content = tar.extractfile(member) if member.isreg() else None
    if content is None or not (member.name in {DUMP, MANIFEST} or member.name.startswith(f"{ARTIFACTS}/")):
        raise tarfile.TarError(f"{member.name} does not belong in a backup")
    if member.name in found:
        raise tarfile.TarError(f"{member.name} appears twice")
    return content


def _parse(words: bytes, found: dict[str, list[Any]]) -> Manifest:
    """Read the manifest and compare it with the files that were found."""
    try:
        content = json.loads(words)
        if content["format"] != FORMAT:
            wrong = f"the archive has format {content['format']}, and this Slipway reads {FORMAT}"
            raise SlipwayError(wrong, f"Slipway {content.get('slipway')}, which wrote it")
        manifest = Manifest(**content)
        said = {**manifest.files, MANIFEST: found[MANIFEST]}
    except (ValueError, TypeError, KeyError):
        raise tarfile.TarError(f"it has no readable {MANIFEST}") from None
    wrong = next(
        (name for name in sorted(found.keys() | said.keys() | {DUMP}) if found.get(name, []) != said.get(name)), ""
    )
    if wrong:
        raise tarfile.TarError(f"{wrong} does not match the manifest")
    return manifest


def _progress(action: str) -> tqdm[Any]:
    return tqdm(
        desc=action, unit="B", unit_scale=True, delay=2, disable=None, leave=False
    )  # on a terminal, and when it takes over 2 s


class _Hashed:
    """A file that is read once, from its start to its end: knows the size and sha256 of what was read."""

    def __init__(self, file: IO[bytes], bar: tqdm[Any]) -> None:
        self.file, self.bar = file, bar
        self.size, self.digest = 0, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes."""
        chunk = self.file.read(size)
        self.size += len(chunk)
        self.digest.update(chunk)
        self.bar.update(len(chunk))
        return chunk

    def describe(self) -> list[Any]:
        """Return [size, sha256]."""
        return [self.size, self.digest.hexdigest()]
