"""Chunks of a file: their rows as the model takes them, by the server's own decoders, and the columns that are kept.

A CSV of numbers goes through pyarrow, which reads them exactly, and ten times as fast. Whatever that does not read as
the server would, or refuses, the server's decoder reads, which says what is wrong.
"""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from pandas._libs.parsers import STR_NA_VALUES  # type: ignore[import-untyped]

from scoring.codecs import csv_body, mlflow_forms
from scoring.errors import ColumnsRefusal, bad, lacking
from scoring.models.rows import Table
from scoring.processes.batch import records
from scoring.processes.batch.plan import GROUPS
from scoring.processes.batch.storage import NO_PYARROW

try:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq
except ImportError:  # a version's libraries may lack it: CSV does without
    pa = pc = pq = None

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scoring.bounds import Bounds
    from scoring.models.signature import Column

ROWS = 65_536  # of Parquet that are predicted together
BYTES = 16 * 1024 * 1024  # that they may take, on average
WIDTHS = {"double": "float64", "float": "float64", "long": "int64", "integer": "int32"}  # of numbers in a CSV
PARQUET = ".parquet"


class Chunk(Protocol):
    """Some rows of a file."""

    place: int  # the row of Parquet, or the line of CSV, that it begins with, from 1

    @property
    def size(self) -> int:
        """Its bytes in the file, of Parquet a guess."""

    def read(self, columns: Sequence[Column], kept: Sequence[str], bounds: Bounds) -> tuple[Table, Any]:
        """Return the model's rows, and the columns that are kept, as a table of pyarrow's or pandas'; raise Refusal."""

    def halve(self) -> list[Chunk]:
        """Return two halves, or nothing if it is one row."""

    def is_one(self) -> bool:
        """Whether it is one row to its reader, too."""


@dataclass
class Records:
    """Rows of a CSV file."""

    header: bytes
    names: list[str]
    place: int
    body: bytes
    found: list[tuple[int, bytes]] | None = None  # its records, where they are known

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return len(self.body)

    def read(self, columns: Sequence[Column], kept: Sequence[str], bounds: Bounds) -> tuple[Table, Any]:
        """Read numbers by pyarrow, everything else by the server's decoder."""
        if pa is not None and (read := self._read_numbers(columns, kept)):
            return read
        body = self.header + self.body
        table = csv_body.read(body, columns, bounds)
        others = pd.DataFrame(index=range(table.n))
        if kept:
            at = sorted(map(self.names.index, kept))  # a name may be empty, for which pandas has another
            others = pd.read_csv(io.BytesIO(body), dtype=str, keep_default_na=False, usecols=at)
            others = others.set_axis([self.names[each] for each in at], axis=1)[list(kept)]
        if len(others) != table.n:
            raise bad(csv_body.UNREADABLE)
        return table, others if pa is None else pa.table({name: pa.array(others[name], pa.string()) for name in kept})

    def _read_numbers(self, columns: Sequence[Column], kept: Sequence[str]) -> tuple[Table, Any] | None:
        """Return what pyarrow reads as the server would; None where that is not sure."""
        wanted = {str(column.name): WIDTHS.get(column.type, "") for column in columns}
        if not all(wanted.values()) or len({*self.names}) != len(self.names) or not {*self.names} >= {*wanted}:
            return None
        if any(kind.startswith("int") for kind in wanted.values()) and (b"0x" in self.body or b"0X" in self.body):
            return None  # which pyarrow takes for a number, and pandas does not
        try:
            table = self._parse(
                {name: pa.type_for_alias(kind) for name, kind in wanted.items()}
                | ({} if (twice := not wanted.keys().isdisjoint(kept)) else dict.fromkeys(kept, pa.string()))
            )
            words = self._parse(dict.fromkeys(kept, pa.string())) if twice else table
        except pa.ArrowException:
            return None
        if any(table[name].null_count for name, kind in wanted.items() if kind.startswith("int")):
            return None
        return to_rows(table.select(list(wanted)), columns), words.select(list(kept))

    def _parse(self, types: dict[str, Any]) -> Any:  # noqa: ANN401 -- pyarrow's
        """Return columns as pyarrow reads them; texts are the file's very words.

        To compare each value with the words for none takes a tenth of the time, and few files have some.
        """
        with suppress(pa.ArrowException):
            return self._parse_as(types, [])
        return self._parse_as(types, sorted(STR_NA_VALUES))

    def _parse_as(self, types: dict[str, Any], nulls: list[str]) -> Any:  # noqa: ANN401 -- pyarrow's
        return pc.read_csv(
            pa.py_buffer(self.body),
            pc.ReadOptions(use_threads=False, block_size=len(self.body) + 1, column_names=self.names),
            pc.ParseOptions(newlines_in_values=b'"' in self.body),
            pc.ConvertOptions(column_types=types, include_columns=list(types), null_values=nulls),
        )

    def halve(self) -> list[Chunk]:
        """Return two halves, whole records each."""
        found = self.found if self.found is not None else records.split(self.body, self.place)
        if len(found) < 2:  # noqa: PLR2004 -- halves
            return []
        parts = found[: len(found) // 2], found[len(found) // 2 :]
        return [
            Records(self.header, self.names, half[0][0], b"".join(each for _, each in half), half) for half in parts
        ]

    def is_one(self) -> bool:
        """Whether pandas sees no second row."""
        try:
            return len(pd.read_csv(io.BytesIO(self.header + self.body), dtype=str, nrows=2)) < 2  # noqa: PLR2004 -- rows
        except Exception:  # noqa: BLE001 -- it is no row to pandas, which raises many
            return True


@dataclass
class Batch:
    """Rows of a Parquet file."""

    place: int
    table: Any  # pyarrow's
    size: int = 0

    def read(self, columns: Sequence[Column], kept: Sequence[str], bounds: Bounds) -> tuple[Table, Any]:  # noqa: ARG002 -- a Chunk's
        """Read them as the server does, once its body is a table."""
        names = [str(column.name) for column in columns if str(column.name) in self.table.column_names]
        return to_rows(self.table.select(names), columns), self.table.select(list(kept))

    def halve(self) -> list[Chunk]:
        """Return two halves."""
        middle = self.table.num_rows // 2
        if not middle:
            return []
        return [
            Batch(self.place, self.table.slice(0, middle)),
            Batch(self.place + middle, self.table.slice(middle)),
        ]

    def is_one(self) -> bool:
        """Whether it is one row."""
        return int(self.table.num_rows) < 2  # noqa: PLR2004 -- rows


def to_rows(table: Any, columns: Sequence[Column]) -> Table:  # noqa: ANN401 -- pyarrow's
    """Return a table of pyarrow's as the rows of a model with these columns; raise Refusal."""
    if [*table.column_names] == [str(each.name) for each in columns] and all(
        column.type == "double" and field.type == pa.float64()
        for column, field in zip(columns, table.schema, strict=True)
    ):
        block = np.empty((table.num_rows, len(columns)))
        for at, column in enumerate(table.columns):
            block[:, at] = column.to_numpy()
        return Table(len(block), block=block)
    return mlflow_forms.from_frame(table.to_pandas(ignore_metadata=True), columns)


def read(  # noqa: PLR0913, PLR0917 -- a part's own
    file: IO[bytes], name: str, begin: int, end: int, place: int, wanted: Sequence[str]
) -> Iterator[Chunk]:
    """Yield the chunks of a part of a file: bytes of CSV, row groups of Parquet, of which only `wanted` columns."""
    if not name.lower().endswith(PARQUET):
        header, names, _ = records.read_header(file)
        for block in records.read_blocks(file, begin, end, place):
            if not block.body.isspace():
                yield Records(header, names, block.line, block.body)
        return
    opened = open_parquet(file)
    size = sum(opened.metadata.row_group(at).total_byte_size for at in range(begin, end))
    weight = sum(_weigh(opened.metadata.row_group(at)) for at in range(begin, end))
    rows = max(1, sum(opened.metadata.row_group(at).num_rows for at in range(begin, end)))
    step = max(1, min(ROWS, BYTES * rows // max(1, size)))
    for batch in opened.iter_batches(step, row_groups=list(range(begin, end)), columns=list(wanted), use_threads=False):
        yield Batch(place, pa.Table.from_batches([batch]), weight * batch.num_rows // rows)
        place += batch.num_rows


def list_columns(file: IO[bytes], name: str, columns: Sequence[Column] = ()) -> list[str]:
    """Return the names of a file's columns; raise Refusal for what is no such file, or has a name twice.

    None of the model's columns may be nested; others are kept as they are.
    """
    if name.lower().endswith(PARQUET):
        schema = open_parquet(file).schema_arrow
        known = {str(each.name) for each in columns}
        if nested := [each.name for each in schema if each.name in known and pa.types.is_nested(each.type)]:
            raise ColumnsRefusal(400, f"column {nested[0]} holds lists or objects")
        names = schema.names
    else:
        names = records.read_header(file)[1]
    if twice := [each for at, each in enumerate(names) if each in names[:at]]:
        raise ColumnsRefusal(400, f"column {twice[0]!r} appears twice")
    return list(names)


def read_none(file: IO[bytes], name: str, kept: Sequence[str]) -> Any:  # noqa: ANN401 -- a table of pyarrow's or pandas'
    """Return the columns that are kept, without rows."""
    if name.lower().endswith(PARQUET):
        return open_parquet(file).schema_arrow.remove_metadata().empty_table().select(list(kept))
    none = pd.DataFrame(columns=list(kept), dtype=str)
    return none if pa is None else pa.table({name: pa.array([], pa.string()) for name in kept})


def cut(file: IO[bytes], name: str, size: int) -> list[tuple[int, int, int, int]]:
    """Return the parts of a file: where each begins and ends (bytes, or row groups), its first place, its bytes."""
    found: list[tuple[int, int, int, int]] = []
    if name.lower().endswith(PARQUET):
        meta = open_parquet(file).metadata
        begin, held, row, first = 0, 0, 1, 1
        for at in range(meta.num_row_groups):
            held += _weigh(meta.row_group(at))
            row += meta.row_group(at).num_rows
            if held >= GROUPS or at == meta.num_row_groups - 1:
                found.append((begin, at + 1, first, held))
                begin, held, first = at + 1, 0, row
        return found
    _, _, lines = records.read_header(file)
    begin, line = file.tell(), lines + 1
    if size - begin <= GROUPS:
        return [(begin, size, line, size - begin)] if size > begin else []
    for block in records.read_blocks(file, begin, size, line):
        end = block.at + len(block.body)
        if end - begin >= GROUPS or end >= size:
            found.append((begin, end, line, end - begin))
            begin, line = end, block.line + block.body.count(b"\n")
    return found


def _weigh(group: Any) -> int:  # noqa: ANN401 -- pyarrow's
    """Return the bytes of a row group in the file."""
    return sum(group.column(at).total_compressed_size for at in range(group.num_columns))


def open_parquet(file: IO[bytes]) -> Any:  # noqa: ANN401 -- pyarrow has no types
    """Open a Parquet file, whose pages are read one after another; raise Refusal for what is none."""
    if pa is None:
        raise bad(NO_PYARROW.format("Parquet"))
    try:
        return pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError):
        raise bad("it is not a Parquet file that can be read as a table") from None


def check_columns(names: Sequence[str], columns: Sequence[Column], keys: Sequence[str] | None) -> list[str]:
    """Return the columns of a file that are kept: `keys`, or those that the model does not take; raise Refusal."""
    if missing := [str(each.name) for each in columns if each.required and str(each.name) not in names]:
        raise lacking(missing)
    known = {str(each.name) for each in columns}
    if keys is None:
        return [name for name in names if name not in known]
    if missing := [name for name in keys if name != "*" and name not in names]:
        raise ColumnsRefusal(400, f"columns that KEYS names are missing: {', '.join(missing)}")
    return [*names] if "*" in keys else [*dict.fromkeys(keys)]
