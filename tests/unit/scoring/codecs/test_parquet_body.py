"""Parquet: what is measured before it is read, and that nothing else is read."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.bounds import DEFAULT, Bounds
from scoring.codecs import parquet_body, parquet_pages
from scoring.errors import Refusal
from scoring.models.signature import Column

if TYPE_CHECKING:
    from tests.aliases import Option

MIB = 1024 * 1024
A, OPTIONAL = Column("a", "double"), Column("z", "double", required=False)
POOLS: list[pa.MemoryPool] = []  # what Arrow keeps may use one later
FEW = Bounds(max_bytes=MIB)


def _write(table: pd.DataFrame | pa.Table, **options: Option) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), buffer, **options)
    return buffer.getvalue()


def _status(body: bytes, *columns: Column, bounds: Bounds = FEW) -> int:
    with pytest.raises(Refusal) as refused:
        parquet_body.read(body, columns, bounds)
    return refused.value.status


def _peak(body: bytes, *columns: Column) -> int:
    """Return the bytes that reading a body takes of Arrow's memory."""
    pool, before = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        parquet_body.read(body, columns, DEFAULT)
    finally:
        pa.set_memory_pool(before)
    return int(pool.max_memory() or 0)


def test_an_index_is_not_read() -> None:
    """An index of pandas, which is no column of the model, takes no memory.

    A column of the model in it is missing, as under MLflow.
    """
    frame = pd.DataFrame({"a": np.zeros(2000)}, index=pd.Index(["x" * 10_000] * 2000, name="more"))

    assert _peak(_write(frame), A) < MIB
    assert _status(_write(pd.DataFrame({"a": [0.5], "b": [1.5]}).set_index("a")), A) == 400


def test_no_column_of_the_model() -> None:
    """A file with none of a model's columns, all optional, has rows, and nothing of it is read."""
    body = _write(pd.DataFrame({"more": ["x" * 10_000] * 2000}))

    assert parquet_body.read(body, [OPTIONAL], FEW).n == 2000
    assert _peak(body, OPTIONAL) < MIB


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    "options", [{"use_dictionary": False}, {}, {"compression": "zstd"}, {"data_page_size": 1000}], ids=str
)
def test_pages_say_what_the_footer_says(version: str, options: dict[str, Any]) -> None:
    """The values of a column are those that its pages hold."""
    table = pa.table({"a": np.arange(50_000.0), "s": pa.array([None, "xyz"] * 25_000)})
    body = _write(table, data_page_version=version, **options)
    meta = pq.ParquetFile(pa.BufferReader(body)).metadata

    for at in range(2):
        chunk = meta.row_group(0).column(at)
        start = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
        pages = parquet_pages.Headers(body).measure(start, chunk.num_values)
        assert pages.cells == 50_000
        assert chunk.total_uncompressed_size * 0.8 < pages.size <= chunk.total_uncompressed_size
    assert parquet_body.read(body, [A, Column("s", "string")], DEFAULT).n == 50_000


def test_a_footer_that_says_less() -> None:
    """A file is as large as its pages are, whatever its footer says."""
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "data_page_size": 1 << 30}
    body = _write(pa.table({"a": np.zeros(500_000)}), write_batch_size=500_000, max_rows_per_page=500_000, **options)
    chunk = pq.ParquetFile(pa.BufferReader(body)).metadata.row_group(0).column(0)
    length = int.from_bytes(body[-8:-4], "little") + 8
    pages, footer = body[:-length], body[-length:]
    for large, value in ((500_000, 10), (chunk.total_uncompressed_size, 100)):
        footer = footer.replace(_zigzag(large), _zigzag(value, len(_zigzag(large))))
    lying = pages + footer
    meta = pq.ParquetFile(pa.BufferReader(lying)).metadata

    assert (meta.num_rows, meta.row_group(0).column(0).total_uncompressed_size) == (10, 100)
    assert _status(lying, A) == 413


def _zigzag(value: int, size: int = 0) -> bytes:
    """Return a number as Thrift writes it, filled up to a size."""
    value, found = value * 2, bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    while len(found) < size:
        found[-1] |= 128
        found.append(0)
    return bytes(found)


def test_texts_that_go_on_from_others() -> None:
    """Texts that a file writes as what each adds to the one before, so that few bytes are many, are refused."""
    texts = pa.array(["x" * 100_000] * 2000)
    body = _write(pa.table({"a": texts}), use_dictionary=False, column_encoding={"a": "DELTA_BYTE_ARRAY"})

    assert _status(body, Column("a", "string"), bounds=DEFAULT) == 400


@pytest.mark.parametrize("at", range(4, 60, 3))
def test_headers_that_are_none(at: int) -> None:
    """A file with another byte in its pages is read or refused; nothing else is raised."""
    body = bytearray(_write(pa.table({"a": np.zeros(100)}), use_dictionary=False))
    for value in (0, 25, 60, 127, 255):
        body[at] = value
        with suppress(Refusal):
            parquet_body.read(bytes(body), [A], FEW)
