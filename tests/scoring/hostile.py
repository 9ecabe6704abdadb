"""Small bodies out of which large tables would come, and others that cost more than they look.

Name, body, headers, path.
"""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aliases import Data

Body = tuple[str, bytes, dict[str, str], str]
NAMES = ["a", "b", "c"]
INFER = "/v2/models/model/infer"
CSV, PARQUET = {"Content-Type": "text/csv"}, {"Content-Type": "application/vnd.apache.parquet"}
GZIP = {"Content-Encoding": "gzip"}
WIDE = ",".join(f"x{at}" for at in range(9000))
FULL = dict.fromkeys(NAMES, 0.5)


def bodies() -> Iterator[Body]:
    """Yield every body."""
    for name, value in _json().items():
        yield name, value if isinstance(value, bytes) else json.dumps(value).encode(), {}, "/invocations"
    for name, text in _csv().items():
        yield f"CSV, {name}", text.encode(), CSV, "/invocations"
    for name, table, options in _tables():
        sink = io.BytesIO()
        pq.write_table(table, sink, **options)
        yield f"Parquet, {name}", sink.getvalue(), PARQUET, "/invocations"
    yield (
        "Parquet, a long footer",
        b"PAR1" + b"\0" * 8_000_000 + (8_000_000).to_bytes(4, "little") + b"PAR1",
        PARQUET,
        "/invocations",
    )
    for name, value, head in _tensors():
        yield f"v2, {name}", value, head, INFER
    yield "gzip, zeros", gzip.compress(b"0" * (100 << 20), 1), GZIP, "/invocations"
    yield (
        "gzip, other keys",
        gzip.compress(json.dumps(_json()["records, each with another key"]).encode(), 1),
        GZIP,
        "/invocations",
    )
    yield "gzip, many members", gzip.compress(b"") * 50_000, GZIP, "/invocations"


def _json() -> dict[str, Any]:
    keys = [{f"k{at}": 0} for at in range(8000)]
    return {
        "records, each with another key": {"dataframe_records": keys},
        "records, one whole and many empty": {"dataframe_records": [FULL] + [{}] * 600_000},
        "records, more than a million": b'{"dataframe_records": [' + b"{}," * 2_000_000 + b"{}]}",
        "instances, each with another key": {"instances": keys},
        "inputs, each with another key": {"inputs": keys},
        "inputs, a long text among short ones": {"inputs": dict.fromkeys(NAMES, ["x" * 60_000] + ["y"] * 9999)},
        "inputs, a long column and many scalars":
            {"inputs": {"a": [0.5] * 9000, **{f"k{at}": 0 for at in range(9000)}}},
        "a message, a long column and many scalars":
            {"input": "x", "a": [[0.5]] * 9000, **{f"k{at}": 0 for at in range(9000)}},
        "split, one long row": {"dataframe_split": {"data": [[0] * 9000] + [[]] * 9000}},
        "split, short rows": {"dataframe_split": {"columns": [*NAMES, *WIDE.split(",")], "data": [[0.5]] * 9000}},
        "split, empty rows": {"dataframe_split": {"columns": NAMES, "data": [[]] * 600_000}},
        "split, a long index":
            {"dataframe_split": {"columns": [*NAMES, *WIDE.split(",")], "index": [0] * 9000, "data": 0}},
        "split, an index of columns": {"dataframe_split": {"data": {name: {name: 0} for name in WIDE.split(",")}}},
        "split, records": {"dataframe_split": {"columns": [*NAMES, *WIDE.split(",")], "data": [{}] * 9000}},
        "split, 8 KB": {"dataframe_split": {"data": [[0] * 1300] + [[]] * 1300}},
        "deep lists": b'{"inputs": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "deep objects": b'{"a":' * 100_000 + b"0" + b"}" * 100_000,
        "empty lists": b'{"inputs": [' + b"[]," * 5_000_000 + b"[]]}",
        "a row of many": b'{"inputs": [[' + b"0," * 2_000_000 + b"0]]}",
        "deep beside a right one":
            b'{"x": ' + b"[" * 40 + b"]" * 40 + b', "dataframe_records": [' + json.dumps(FULL).encode() + b"]}",
        "keys beside the rows": {"dataframe_records": [{"a": 0.5}], **{f"k{at}": 0 for at in range(100_000)}},
        "brackets in a text": json.dumps({"dataframe_records": [{**FULL, "a": "[" * 5_000_000}]}).encode(),
    }  # fmt: skip


def _csv() -> dict[str, str]:
    return {
        "a wide header, short lines": f"a,b,c,{WIDE}\n" + "0.5\n" * 50_000,
        "commas": "a,b,c" + "," * 5000 + "\n" + "\n1" * 1000,
        "commas, and one more": "a,b,c" + "," * 3900 + "\n" + "1," * 3904 + "1\n",
        "commas, a long line": "a,b,c\n" + "," * 5_000_000,
        "too wide a header": "a,b,c," + "," * 1_000_000 + "\n0.5\n",
        "one name": "a,b,c" + ",a" * 5000 + "\n0.5\n",
        "short lines": "a,b,c\n" + "1\n" * 2_000_000,
        "returns": "a,b,c\n" + "1\r" * 2_000_000,
        "quotes that quote nothing": f'a,b,c,{WIDE}\n1"\n' + "0.5\n" * 50_000,
        "a quote without end": 'a,b,c\n"' + "\n" * 2_000_000,
    }


def _tables() -> Iterator[tuple[str, pa.Table, dict[str, Any]]]:
    def columns(values: Data) -> dict[str, Any]:
        return dict.fromkeys(NAMES, values)

    yield "more rows than may be", pa.table(columns(np.zeros(2_000_000))), {}
    yield "many columns", pa.table({f"x{at}": [0.5] for at in range(11_000)}), {}
    yield "many row groups", pa.table(columns(np.zeros(3000))), {"row_group_size": 1}
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(900_000, np.int32)), pa.array(["x" * 1_000_000]))
    yield "a long text, again and again", pa.table(columns(text)), {}
    yield "lists", pa.table(columns(pa.array([[0.0] * 1_000_000]))), {}
    binary = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(9000, np.int32)), pa.array([b"x" * 100_000], pa.binary(100_000))
    )
    yield "long binaries", pa.table(columns(binary)), {}


def _tensors() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    def request(*tensors: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": tensors}).encode()

    matrix = {"name": "x", "datatype": "FP64"}
    yield "more rows than may be", request({**matrix, "shape": [2_000_000, 1], "data": [0] * 2_000_000}), {}
    yield "rows without columns", request({**matrix, "shape": [10**12, 0], "data": []}), {}
    yield "empty lists", request({**matrix, "shape": [1, 3], "data": [[]] * 900_000}), {}
    yield "many dimensions", request({**matrix, "shape": [1] * 500_000, "data": [0]}), {}
    yield (
        "many tensors",
        request(*({"name": f"x{at}", "shape": [1], "datatype": "FP64", "data": [0]} for at in range(40_000))),
        {},
    )
    many = {f"k{at}": 0 for at in range(100_000)}
    yield "many parameters", request({**matrix, "shape": [1, 2], "data": [0, 0], "parameters": many}), {}
    deep = json.loads("[" * 90 + "]" * 90)
    yield "deep parameters", request({**matrix, "shape": [1, 3], "data": [0, 0, 0], "parameters": {"x": deep}}), {}
    head = request(
        {"name": "a", "datatype": "BYTES", "shape": [300_000], "parameters": {"binary_data_size": 4 * 300_000}}
    )
    yield "empty texts", head + b"\0" * (4 * 300_000), {"Inference-Header-Content-Length": str(len(head))}
