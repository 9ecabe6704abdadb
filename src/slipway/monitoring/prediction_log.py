"""Reads the prediction log that the model server writes: `scoring.prediction_log` has its layout.

Below the root: `model=<name>/version=<n>/day=YYYY-MM-DD/<file>.parquet`. Columns that begin with an underscore are the
log's own, `in.<column>` what was asked, `out.<column>` what was answered.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pandas as pd

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1_000_000  # rows that are read of one window; of more, an even sample of the files
CELLS = 50_000_000  # the same of values: a model may have hundreds of columns
IN, OUT = "in.", "out."


class PredictionLog:
    """The log below one root."""

    def __init__(self, root: str) -> None:
        """Take a folder or s3://bucket/prefix; raise SlipwayError for one that cannot be reached."""
        from pyarrow import fs  # noqa: PLC0415 -- takes a moment, which most commands need not wait for

        self._fs = fs
        self.root = root
        try:
            if "://" in root:
                self.files, self.path = fs.FileSystem.from_uri(root)
            else:
                self.files, self.path = fs.LocalFileSystem(), root
        except (OSError, ValueError) as error:
            raise SlipwayError(f"{root} cannot be read: {error}", "PREDICTION_LOG_DIR=…") from None

    def list_versions(self, model: str) -> list[str]:
        """Return the versions of a model that the log has, the newest number last."""
        names = [entry.base_name for entry in self.entries(self._of(model))]
        found = [unquote(name.removeprefix("version=")) for name in names if name.startswith("version=")]
        return sorted(found, key=lambda name: (name.isdigit(), int(name) if name.isdigit() else 0, name))

    def read(
        self, model: str, version: str | None, since: dt.datetime, until: dt.datetime, columns: list[str] | None = None
    ) -> pd.DataFrame:
        """Return the rows of [since, until): of a version, or of all; an empty frame without any.

        Of more than MOST rows or CELLS values it is a sample: every n-th row of each file. A file that cannot be read
        is named and left out. Raises SlipwayError when the place itself cannot be read.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        files = list(self._find(model, [version] if version else self.list_versions(model), since, until))
        sizes = {path: size for path in files if (size := self._measure(path)) and size[0]}
        cells = sum(count * min(width, len(columns or ()) or width) for count, width in sizes.values())
        step = max(-(-sum(count for count, _ in sizes.values()) // MOST), -(-cells // CELLS), 1)
        parts = []
        for path in sizes:
            with self._leaving_out(path):
                names = pq.read_schema(path, filesystem=self.files).names
                table = pq.ParquetFile(path, filesystem=self.files).read(
                    [name for name in columns or () if name in names] or None
                )
                frame = table.to_pandas()[::step]
                parts.append(frame[(frame["_time"] >= since) & (frame["_time"] < until)])
        parts = [part for part in parts if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def read_first(self, model: str, version: str, least: int) -> pd.DataFrame:
        """Return at most so many of the first rows that were sampled and answered, of those that the log still has."""
        days = [entry.base_name for entry in self.entries(self._of(model, version))]
        parts, rows = [pd.DataFrame()], 0
        for day in sorted(day for day in days if re.fullmatch(r"day=\d{4}-\d\d-\d\d", day)):
            begin = dt.datetime.fromisoformat(day.removeprefix("day=")).replace(tzinfo=dt.UTC)
            found = self.read(model, version, begin, begin + dt.timedelta(days=1))
            if len(found):
                parts.append(found[found["_error"].isna() & found["_sampled"]].sort_values("_time", kind="stable"))
                rows += len(parts[-1])
            if rows >= least:
                break
        return pd.concat(parts, ignore_index=True).head(least)

    def _measure(self, path: str) -> tuple[int, int] | None:
        """Return the rows and columns of a file; None where it cannot be read."""
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        with self._leaving_out(path):
            found = pq.read_metadata(path, filesystem=self.files)
            return int(found.num_rows), int(found.num_columns)
        return None

    @contextlib.contextmanager
    def _leaving_out(self, path: str) -> Iterator[None]:
        """Say of a file that it cannot be read, such as one that is damaged or was just deleted, and go on."""
        import pyarrow as pa  # noqa: PLC0415 -- as above

        try:
            yield
        except (pa.ArrowException, OSError, KeyError) as error:
            print(f"note: {path} cannot be read, and is left out: {error}", file=sys.stderr)

    def _find(self, model: str, versions: list[str], since: dt.datetime, until: dt.datetime) -> Iterator[str]:
        first, last = since.astimezone(dt.UTC).date(), until.astimezone(dt.UTC).date()
        days = {(first + dt.timedelta(days=n)).isoformat() for n in range((last - first).days + 1)}
        for version in versions:
            place = self._of(model, version)
            for day in sorted(entry.base_name for entry in self.entries(place)):
                if day.removeprefix("day=") in days:
                    found = self.entries(f"{place}/{day}")
                    yield from sorted(
                        entry.path for entry in found if entry.path.endswith(".parquet") and entry.base_name[0] != "."
                    )

    def _of(self, model: str, version: str = "") -> str:
        place = f"{self.path}/model={quote(model, safe='')}"
        return f"{place}/version={quote(version, safe='')}" if version else place

    def entries(self, path: str) -> Any:  # noqa: ANN401 -- a list of Arrow's, which carry no types
        """Return the entries of a folder; none of one that is not there."""
        try:
            return self.files.get_file_info(self._fs.FileSelector(path, allow_not_found=True))
        except OSError as error:
            raise SlipwayError(f"{self.root} cannot be read: {error}", "PREDICTION_LOG_DIR=…") from None
