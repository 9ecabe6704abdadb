"""Reads the prediction log that the model server writes: `scoring.prediction_log` has its layout.

Below the root: `model=<name>/version=<n>/day=YYYY-MM-DD/<file>.parquet`. Columns that begin with an underscore are the
log's own, `in.<column>` what was asked, `out.<column>` what was answered.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pandas as pd

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 1_000_000  # rows that are read of one window; of more, an even sample of the files
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

        Of more than MOST rows it is a sample: every n-th row of each file. A file that cannot be read is named and left
        out. Raises SlipwayError when the place itself cannot be read.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        files = list(self._find(model, [version] if version else self.list_versions(model), since, until))
        rows = {path: count for path in files if (count := self._count(path))}
        step = -(-sum(rows.values()) // MOST) or 1
        parts = []
        for path in rows:
            table = pq.ParquetFile(path, filesystem=self.files).read(
                [name for name in columns or () if name in pq.read_schema(path, filesystem=self.files).names] or None
            )
            frame = table.to_pandas()[::step]
            parts.append(frame[(frame["_time"] >= since) & (frame["_time"] < until)])
        parts = [part for part in parts if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _count(self, path: str) -> int:
        import pyarrow as pa  # noqa: PLC0415 -- as above
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        try:
            return int(pq.read_metadata(path, filesystem=self.files).num_rows)
        except (pa.ArrowException, OSError) as error:
            print(f"note: {path} cannot be read, and is left out: {error}", file=sys.stderr)
            return 0

    def _find(self, model: str, versions: list[str], since: dt.datetime, until: dt.datetime) -> Iterator[str]:
        first, last = since.astimezone(dt.UTC).date(), until.astimezone(dt.UTC).date()
        days = {(first + dt.timedelta(days=n)).isoformat() for n in range((last - first).days + 1)}
        for version in versions:
            place = f"{self._of(model)}/version={quote(version, safe='')}"
            for day in sorted(entry.base_name for entry in self.entries(place)):
                if day.removeprefix("day=") in days:
                    found = self.entries(f"{place}/{day}")
                    yield from sorted(
                        entry.path for entry in found if entry.path.endswith(".parquet") and entry.base_name[0] != "."
                    )

    def _of(self, model: str) -> str:
        return f"{self.path}/model={quote(model, safe='')}"

    def entries(self, path: str) -> Any:  # noqa: ANN401 -- a list of Arrow's, which carry no types
        """Return the entries of a folder; none of one that is not there."""
        try:
            return self.files.get_file_info(self._fs.FileSelector(path, allow_not_found=True))
        except OSError as error:
            raise SlipwayError(f"{self.root} cannot be read: {error}", "PREDICTION_LOG_DIR=…") from None
