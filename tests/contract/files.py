"""Cases about files: CSV and Parquet, for models with plain columns and one without a signature."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tests.contract.case import CSV, PARQUET, cases
from tests.contract.forms import SPLIT

if TYPE_CHECKING:
    from tests.aliases import Data

CSVS = {
    "csv": "a,b,s\n0.5,2,x\n",
    "csv, crlf": "a,b,s\r\n0.5,2,x\r\n",
    "csv, no last newline": "a,b,s\n0.5,2,x",
    "csv, quoted": 'a,b,s\n"0.5","2","x, ""y""\n"\n',
    "csv, other order": "s,b,a\nx,2,0.5\n",
    "csv, extra": "a,b,s,hemlock\n0.5,2,x,9\n",
    "csv, index": ",a,b,s\n0,0.5,2,x\n",
    "csv, missing": "a,s\n0.5,hemlock\n",
    "csv, column twice": "a,b,s,b\n0.5,2,x,3\n",
    "csv, bad number": "a,b,s\nhemlock,2,x\n",
    "csv, no integer": "a,b,s\n0.5,,x\n",
    "csv, no double": "a,b,s\n,2,x\n0.5,2,x\n",
    "csv, no string": "a,b,s\n0.5,2,\n0.5,2,x\n",
    "csv, fraction for long": "a,b,s\n0.5,2.5,x\n",
    "csv, whole fraction for long": "a,b,s\n0.5,2.0,x\n",
    "csv, over int64": "a,b,s\n0.5,9223372036854775808,x\n",
    "csv, exponent": "a,b,s\n5e-1,2,x\n",
    "csv, true": "a,b,s\ntrue,2,x\n",
    "csv, infinity": "a,b,s\ninf,2,x\n",
    "csv, NA": "a,b,s\n0.5,2,NA\n",
    "csv, number in string": "a,b,s\n0.5,2,7\n",
    "csv, spaces": "a, b, s\n0.5, 2, x\n",
    "csv, semicolons": "a;b;s\n0.5;2;x\n",
    "csv, empty": "",
    "csv, newlines only": "\n\n",
    "csv, header only": "a,b,s\n",
    "csv, too many fields": "a,b,s\n0.5,2,x\n0.5,2,x,hemlock\n",
    "csv, more fields in all": "a,b,s\n0.5,2,x,hemlock\n",
    "csv, too few fields": "a,b,s\n0.5,2\n",
    "csv, open quote": 'a,b,s\n0.5,2,"x\n',
    "csv, byte order mark": "\ufeffa,b,s\n0.5,2,x\n",
    "csv, not UTF-8": b"a,b,s\n0.5,2,\xff\n",
    "csv, NUL": "a,b,s\n0.5,2,x\x00y\n",
    "csv, umlaut": "a,b,s\n0.5,2,é\n",
    "csv, json": json.dumps({"dataframe_split": SPLIT}),
    "csv, many rows": "a,b,s\n" + "0.5,2,x\n1.5,3,y\n" * 500,
}


def _parquet(names: list[str] | None = None, **columns: Data) -> bytes:
    buffer = io.BytesIO()
    table = {"a": [0.5, 1.5], "b": [2, 3], "s": ["x", "y"], **columns}
    pd.DataFrame(table, columns=names).to_parquet(buffer)
    return buffer.getvalue()


PARQUETS = {
    "parquet": _parquet(),
    "parquet, float32": _parquet(a=np.array([0.5, 1.5], np.float32)),
    "parquet, int64 for double": _parquet(a=[2, 3]),
    "parquet, 0 and 1 for double": _parquet(a=[0, 1]),
    "parquet, int32 for double": _parquet(a=np.array([2, 3], np.int32)),
    "parquet, bool for double": _parquet(a=[True, False]),
    "parquet, text for double": _parquet(a=["0.5", "hemlock"]),
    "parquet, null for double": _parquet(a=[0.5, None]),
    "parquet, int32 for long": _parquet(b=np.array([2, 3], np.int32)),
    "parquet, int8 for long": _parquet(b=np.array([2, 3], np.int8)),
    "parquet, uint32 for long": _parquet(b=np.array([2, 3], np.uint32)),
    "parquet, uint64 for long": _parquet(b=np.array([2, 3], np.uint64)),
    "parquet, double for long": _parquet(b=[2.0, 3.0]),
    "parquet, null for long": _parquet(b=[2, None]),
    "parquet, Int64": _parquet(b=pd.array([2, 3], dtype="Int64")),
    "parquet, Int64 with null": _parquet(b=pd.array([2, None], dtype="Int64")),
    "parquet, bool for long": _parquet(b=[True, False]),
    "parquet, null for string": _parquet(s=["x", None]),
    "parquet, number for string": _parquet(s=[1, 2]),
    "parquet, category": _parquet(s=pd.Categorical(["x", "y"])),
    "parquet, bytes for string": _parquet(s=[b"x", b"y"]),
    "parquet, list for string": _parquet(s=[["x"], ["y"]]),
    "parquet, date for double": _parquet(a=pd.to_datetime(["2024-01-02", "2024-01-03"])),
    "parquet, extra": _parquet(z=[1, 2]),
    "parquet, nulls for double": _parquet(a=[None, None]),
    "parquet, booleans and a null for double": _parquet(a=[True, None]),
    "parquet, infinity": _parquet(a=[1.0, float("inf")]),
    "parquet, missing": _parquet(["a", "s"]),
    "parquet, cut": _parquet()[:-20],
    "parquet, empty": b"",
    "parquet, garbage": b"PAR1hemlockPAR1",
}

CASES = [case for model in "AB" for case in (*cases(model, CSVS, CSV), *cases(model, PARQUETS, PARQUET))]
