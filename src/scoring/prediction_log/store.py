"""Where the log's files lie: whole ones only, by model, version and day, on a disk or in S3."""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
FORGOTTEN_S = 3600  # the age of a file that was begun and not ended: its writer is gone
logger = logging.getLogger("scoring")


class Store:
    """The folder of one version's log, and this process's files in it."""

    def __init__(self, root: str, model: str, version: str, days: int) -> None:
        """Take a folder or s3://bucket/prefix; raise OSError or pyarrow's errors for one that is not to be had."""
        if "://" in root:
            self._files, self._root = fs.FileSystem.from_uri(root)
        else:
            self._files, self._root = fs.LocalFileSystem(), os.path.abspath(root)  # noqa: PTH100 -- S3 has paths, too
        self._is_local = isinstance(self._files, fs.LocalFileSystem)
        self._model = f"{self._root}/model={quote(model, safe='')}"
        self._place = f"{self._model}/version={quote(version, safe='')}"
        self._days = days
        self._worker = f"{os.getpid():x}-{os.urandom(5).hex()}"
        self._sequence = 0
        self._schemas: dict[str, pa.DataType] = {}

    def write(self, day: str, table: pa.Table) -> None:
        """Write one file of a day; raise OSError when it could not be: nothing of it is left then."""
        folder = f"{self._place}/day={day}"
        self._sequence += 1
        name = f"{self._worker}-{self._sequence:06d}.parquet"
        if not self._is_local:  # what is put there is whole, or not there
            with self._files.open_output_stream(f"{folder}/{name}") as stream:
                pq.write_table(table, stream, compression="zstd")
            return
        self._files.create_dir(folder)
        begun = f"{folder}/.{name}"
        try:
            pq.write_table(table, begun, filesystem=self._files, compression="zstd")
            os.replace(begun, f"{folder}/{name}")  # noqa: PTH105 -- as above
        except BaseException:
            if os.path.exists(begun):  # noqa: PTH110 -- as above
                os.unlink(begun)  # noqa: PTH108 -- as above
            raise

    def tidy(self, now: float) -> None:
        """Remove the model's days that are older than the retention, and what was begun and never ended."""
        oldest = (dt.datetime.fromtimestamp(now, dt.UTC).date() - dt.timedelta(days=self._days)).isoformat()
        for version in self._list(self._model, lambda entry: entry.base_name.startswith("version=")):
            for day in self._list(version.path, lambda entry: bool(DAY.fullmatch(entry.base_name))):
                if self._days and day.base_name.removeprefix("day=") < oldest:
                    self._files.delete_dir(day.path)
                elif self._is_local:
                    self._forget_begun(day.path)

    def _forget_begun(self, folder: str) -> None:
        for file in self._list(folder, lambda entry: entry.base_name.startswith(".")):
            if file.mtime and time.time() - file.mtime.timestamp() > FORGOTTEN_S:
                self._files.delete_file(file.path)

    def _list(self, path: str, wanted: Callable[[Any], bool]) -> list[Any]:
        return [
            entry for entry in self._files.get_file_info(fs.FileSelector(path, allow_not_found=True)) if wanted(entry)
        ]
