"""Output files: the columns that are kept, the predictions, and the model's version, in CSV or Parquet."""

from __future__ import annotations

import base64
import csv
import io
from typing import IO, TYPE_CHECKING, Any

from scoring.errors import ColumnsRefusal, bad
from scoring.processes.batch.storage import NO_PYARROW

try:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq
except ImportError:  # CSV does without
    pa = pc = pq = None

if TYPE_CHECKING:
    import pandas as pd

VERSION = "model_version"  # the last column
GROUP, BYTES = 131_072, 16 * 1024 * 1024  # rows, and bytes, of a row group


def join(kept: Any, predictions: pd.DataFrame, version: str) -> Any:  # noqa: ANN401 -- a table of pyarrow's or pandas'
    """Return rows as they are written: kept columns, predictions, version; raise Refusal for a name that is taken."""
    names = list(kept.column_names if pa is not None else kept.columns)
    if taken := [name for name in [*predictions.columns, VERSION] if name in names]:
        raise ColumnsRefusal(400, f"the file has a column {taken[0]} already: rename it, or leave it out of KEYS")
    if pa is None:
        return kept.assign(**{str(name): predictions[name] for name in predictions}, **{VERSION: version})
    try:
        added = pa.Table.from_pandas(predictions, preserve_index=False)
    except pa.ArrowException:
        raise bad("the predictions have no one type") from None
    columns = [*kept.columns, *added.columns, pa.repeat(pa.scalar(version), len(predictions))]
    return pa.table(columns, names=[*kept.column_names, *added.column_names, VERSION])


class ParquetWriter:
    """Writes Parquet, with the types of the first rows."""

    def __init__(self, sink: IO[bytes]) -> None:
        if pa is None:
            raise bad(NO_PYARROW.format("Parquet"))
        self._sink = sink
        self._writer: Any = None
        self._held: list[Any] = []

    def write(self, rows: Any) -> None:  # noqa: ANN401 -- pyarrow's
        """Write some rows; raise Refusal for a column whose type differs from that of the rows before."""
        if self._writer is None:  # a column that is empty so far may have words later
            fields = [each.with_type(pa.string()) if pa.types.is_null(each.type) else each for each in rows.schema]
            texts = [each.name for each in fields if pa.types.is_string(each.type)]
            self._writer = pq.ParquetWriter(self._sink, pa.schema(fields), use_dictionary=texts or False)
        try:
            self._held.append(rows.cast(self._writer.schema))
        except pa.ArrowException:
            words = "a column of predictions has no one type, as Parquet needs it: FORMAT=csv"
            raise ColumnsRefusal(400, words) from None
        if sum(each.num_rows for each in self._held) >= GROUP or sum(each.nbytes for each in self._held) >= BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
            self._held = []

    def close(self) -> None:
        """Write what ends the file; one without rows has no columns either."""
        self._flush()
        (self._writer or pq.ParquetWriter(self._sink, pa.schema([]))).close()


class CsvWriter:
    """Writes CSV with a header, numbers so that they are read again to the bit."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink, self._is_first = sink, True

    def write(self, rows: Any) -> None:  # noqa: ANN401 -- a table of pyarrow's or pandas'
        """Write some rows."""
        if self._is_first:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerow(rows.columns if pa is None else rows.column_names)
            self._sink.write(text.getvalue().encode())
            self._is_first = False
        if pa is None:
            self._sink.write(rows.to_csv(index=False, header=False, lineterminator="\n").encode())
            return
        rows = pa.table([_as_text(each) for each in rows.columns], names=rows.column_names)
        made = pa.BufferOutputStream()
        try:
            pc.write_csv(rows, made, pc.WriteOptions(include_header=False, quoting_style="none"))
        except pa.ArrowException:  # a text that has to stand in quotes
            made = pa.BufferOutputStream()
            pc.write_csv(rows, made, pc.WriteOptions(include_header=False, quoting_style="needed"))
        self._sink.write(made.getvalue())

    def close(self) -> None:
        """Do nothing: a CSV file just ends."""


def _as_text(values: Any) -> Any:  # noqa: ANN401 -- pyarrow's
    """Return a column as CSV has it: lists as Python writes them, bytes as base64."""
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if each is None else base64.b64encode(each).decode() for each in values.to_pylist()])
    if pa.types.is_nested(kind) or pa.types.is_duration(kind) or pa.types.is_dictionary(kind):
        return pa.array([None if each is None else str(each) for each in values.to_pylist()], pa.string())
    return values
