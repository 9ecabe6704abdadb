"""Where a batch's files lie: a folder, or a bucket of S3. Whatever is written is there whole, or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

from scoring.errors import bad

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOUD = "s3://"
UNFINISHED = ".unfinished"  # ends the names of files that are being written
NO_PYARROW = "pyarrow is not installed with this version's libraries, and {} needs it: make add LIBRARY=pyarrow"


@dataclass(frozen=True)
class Entry:
    """A file: its name within its place, its bytes, and when it was changed last (ns)."""

    name: str
    size: int
    changed: int


@dataclass
class Written:
    """A file on its way: `file` while it is written, the rest once it is whole."""

    file: IO[bytes]
    size: int = 0
    sha256: str = ""


class Place(Protocol):
    """A folder, here or elsewhere. Names have slashes. Methods raise OSError."""

    def list(self, only: str = "") -> list[Entry]:
        """Return all files, at any depth, by name; or the one that is named."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file that can be read at any place."""

    def read(self, name: str) -> bytes | None:
        """Return a small file's bytes, or None when there is none."""

    def write(self, name: str) -> Any:  # noqa: ANN401 -- a context manager of a Written
        """Write a file: it takes its name when the block ends well."""

    def tidy(self) -> None:
        """Remove what was being written when a process was killed."""


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list(self, only: str = "") -> list[Entry]:
        """Return all files, at any depth, by name; or the one that is named."""
        if only:
            return [self._look(only)]
        found: list[Entry] = []
        for folder, folders, names in os.walk(self._path, onerror=_raise):
            folders[:] = [each for each in folders if not each.startswith(".")]
            for path in (Path(folder, each) for each in (*folders, *names) if not each.startswith(".")):
                if path.is_file():
                    found.append(self._look(path.relative_to(self._path).as_posix()))
                elif path.is_symlink():
                    raise OSError(errno.EINVAL, "a link that leads to no file", str(path))
        return sorted(found, key=lambda entry: entry.name)

    def _look(self, name: str) -> Entry:
        about = (self._path / name).stat()
        return Entry(name, about.st_size, about.st_mtime_ns)

    def open(self, name: str) -> IO[bytes]:
        """Open a file."""
        return (self._path / name).open("rb")

    def read(self, name: str) -> bytes | None:
        """Return a small file's bytes, or None when there is none."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    @contextmanager
    def write(self, name: str) -> Iterator[Written]:
        """Write a file beside its place, and move it there."""
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{UNFINISHED}")  # pods have the same pids
        try:
            with unfinished.open("w+b") as file:
                written = Written(file)
                yield written
                _seal(written)
                os.fsync(file.fileno())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what was being written when a process was killed."""
        for path in self._path.rglob(f".*{UNFINISHED}"):
            path.unlink(missing_ok=True)


class Bucket:
    """A folder of S3, or of any other file system that pyarrow knows."""

    def __init__(self, files: Any, root: str) -> None:  # noqa: ANN401 -- pyarrow's, which may not be installed
        self._files, self._root = files, root.rstrip("/")

    def _find(self, name: str) -> str:
        return f"{self._root}/{name}"

    def list(self, only: str = "") -> list[Entry]:
        """Return all files, at any depth, by name; or the one that is named."""
        from pyarrow import fs  # noqa: PLC0415 -- a version may lack it

        found = self._files.get_file_info(
            [self._find(only)] if only else fs.FileSelector(self._root, allow_not_found=True, recursive=True)
        )
        return sorted(
            (
                Entry(each.path[len(self._root) + 1 :], each.size, each.mtime_ns)
                for each in found
                if each.type == fs.FileType.File
            ),
            key=lambda entry: entry.name,
        )

    def open(self, name: str) -> IO[bytes]:
        """Open an object; it is read in ranges."""
        return io.BufferedReader(self._files.open_input_file(self._find(name)), 1 << 20)  # which reads lines, too

    def read(self, name: str) -> bytes | None:
        """Return a small object's bytes, or None when there is none."""
        try:
            with self.open(name) as opened:
                return opened.read()
        except FileNotFoundError:
            return None

    @contextmanager
    def write(self, name: str) -> Iterator[Written]:
        """Write a file here, and send it when it is whole: an object takes its name at the end of its upload."""
        with tempfile.TemporaryFile() as file:
            written = Written(file)
            yield written
            _seal(written)
            file.seek(0)
            with self._files.open_output_stream(self._find(name)) as sink:
                shutil.copyfileobj(file, sink, 1 << 20)

    def tidy(self) -> None:
        """Do nothing: an upload that did not end left no object."""


def find(address: str) -> tuple[Place, str]:
    """Return the place that an address names, and the name of the one file in it, or "" for a folder.

    Raises Refusal without pyarrow, and OSError for what is not there or not reached.
    """
    if not address.startswith(CLOUD):
        path = Path(address)
        return (Folder(path.parent), path.name) if path.is_file() else (Folder(path), "")
    try:
        from pyarrow import fs  # noqa: PLC0415 -- a version may lack it
    except ImportError:
        raise bad(NO_PYARROW.format(CLOUD)) from None
    try:
        files, root = fs.FileSystem.from_uri(address)
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise bad(f"{address!r} is no address in S3: {error}") from None
    if files.get_file_info(root).type == fs.FileType.File:
        path_of = PurePosixPath(root)
        return Bucket(files, str(path_of.parent)), path_of.name
    return Bucket(files, root), ""


def _seal(written: Written) -> None:
    written.file.flush()
    written.size = written.file.tell()
    written.file.seek(0)
    written.sha256 = hashlib.file_digest(written.file, "sha256").hexdigest()  # type: ignore[arg-type] # IO[bytes] has all it needs


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # OUT may not be there yet
        raise error
