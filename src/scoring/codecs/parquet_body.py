"""Parquet, judged by its footer and its pages' headers before anything of it is read.

Rows, columns, and what comes out of its pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scoring.codecs import mlflow_forms, parquet_pages
from scoring.errors import Refusal, bad, lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.bounds import Bounds
    from scoring.models.rows import Table
    from scoring.models.signature import Column

SMALLEST = 12  # bytes: two marks and a length
FOOTER = 4 * 1024 * 1024  # bytes; libraries make some hundred bytes a column and row group
FIELDS = 10_000  # that a file may have beside the model's columns
GROUPS = 1000  # row groups; each takes a while to open
BATCH = 8192  # rows whose texts are measured together
NO_PARQUET = "the body is not a Parquet file that can be read as a table"
pa.set_memory_pool(pa.system_memory_pool())  # `memory.trim` empties it; Arrow's own keeps what its threads freed


def read(body: bytes, columns: Sequence[Column], bounds: Bounds) -> Table:
    """Return the rows of a Parquet body, or raise Refusal."""
    try:
        present = check(body, bounds, columns)
        frame = _read(body, present)
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 -- many libraries raise many, with the caller's values in their words
        raise bad(NO_PARQUET) from None
    return mlflow_forms.from_frame(frame, columns)


def _read(body: bytes, present: list[str]) -> pd.DataFrame:
    """Return columns of a file, and nothing else: pandas would read an index, too."""
    if not present:
        return pd.DataFrame(index=range(pq.ParquetFile(pa.BufferReader(body)).metadata.num_rows))
    table = pq.read_table(pa.BufferReader(body), columns=present, use_pandas_metadata=False)
    return table.to_pandas(ignore_metadata=True)


def check(body: bytes, bounds: Bounds, columns: Sequence[Column] | None = None) -> list[str]:
    """Return the signature's columns that a file has (None: all that it has); raise Refusal for too large a table."""
    if len(body) < SMALLEST or body[-4:] != b"PAR1" or int.from_bytes(body[-8:-4], "little") > FOOTER:
        raise bad(NO_PARQUET)
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        index = {
            name for name in (file.schema_arrow.pandas_metadata or {}).get("index_columns", ()) if isinstance(name, str)
        }
        names, meta = [name for name in file.schema_arrow.names if columns is None or name not in index], file.metadata
    except Exception:  # noqa: BLE001 -- as above
        raise bad(NO_PARQUET) from None
    if meta.num_row_groups > GROUPS:
        raise bad(f"the file has more than {GROUPS} row groups")
    bounds.check_rows(max(meta.num_rows, sum(meta.row_group(at).num_rows for at in range(meta.num_row_groups))))
    if len(names) > FIELDS + len(columns or ()):
        raise bad(f"the file has more than {FIELDS + len(columns or ())} columns")
    known = (
        names if columns is None else [str(column.name) for column in columns]
    )  # a file's names are text, whatever they were
    if missing := [str(column.name) for column in columns or () if column.required and str(column.name) not in names]:
        raise lacking(missing)
    present = [name for name in known if name in set(names)]
    if columns is not None and len([name for name in names if name in set(present)]) != len(present):
        raise bad("a column appears twice")
    if columns is not None and (
        nested := next((name for name in present if pa.types.is_nested(file.schema_arrow.field(name).type)), None)
    ):
        raise bad(f"column {nested} holds lists or objects")
    _measure(body, file, present, bounds)
    return present


def _measure(body: bytes, file: pq.ParquetFile, present: list[str], bounds: Bounds) -> None:
    """Raise Refusal when the columns hold too many values, or too many bytes."""
    meta, wanted = file.metadata, set(present)
    kinds = [meta.schema.column(at) for at in range(meta.num_columns)]
    leaves = [at for at, kind in enumerate(kinds) if kind.path in wanted or kind.path.split(".")[0] in wanted]
    bounds.check(meta.num_rows, len(present), meta.num_rows * len(present))
    chunks = [(kinds[at], meta.row_group(group).column(at)) for group in range(meta.num_row_groups) for at in leaves]
    pages = _measure_pages(body, [chunk for _, chunk in chunks])
    bounds.check(meta.num_rows, len(present), max(sum(each.cells for each in pages), meta.num_rows * len(present)))
    size = sum(max(each.size, each.cells * kind.length) for each, (kind, _) in zip(pages, chunks, strict=True))
    texts = [kinds[at].path for at in leaves if kinds[at].physical_type == "BYTE_ARRAY"]
    if size > bounds.max_bytes or (texts and _measure_texts(body, texts, bounds.max_bytes) > bounds.max_bytes):
        raise Refusal(413, f"the file holds more than {bounds.max_bytes} bytes")


def _measure_pages(body: bytes, chunks: list[pq.ColumnChunkMetaData]) -> list[parquet_pages.Pages]:
    """Return what the headers of pages say; raise Refusal for what they cannot be, and for very many."""
    found, headers = [], parquet_pages.Headers(body)
    try:
        for chunk in chunks:
            first, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset or 0
            found.append(headers.measure(dictionary if 0 < dictionary < first else first, chunk.num_values))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise bad(NO_PARQUET) from None
    return found


def _measure_texts(body: bytes, texts: list[str], enough: int) -> int:
    """Return the bytes of all texts, or more than `enough`: a file has a text that it repeats only once."""
    size = 0
    file = pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts)
    for batch in file.iter_batches(BATCH, columns=texts):
        size += sum(map(_text_bytes, batch.columns))
        if size > enough:
            break
    return size


def _text_bytes(values: pa.Array) -> int:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return pc.sum(pc.take(pc.binary_length(values.dictionary), values.indices)).as_py() or 0
    if pa.types.is_struct(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        flat = values.flatten()
        return sum(map(_text_bytes, flat if isinstance(flat, list) else [flat]))
    return int(values.nbytes)
