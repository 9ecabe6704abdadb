"""What the model server reads: many columns, dates in each form, and gzip."""

from __future__ import annotations

import gzip
import io
import json
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from scoring.bounds import DEFAULT
from scoring.codecs import csv_body, mlflow_forms, open_inference, parquet_body, tensors
from scoring.codecs.fast_json import NAMES, PLANS, Decoder
from scoring.compression import accepts, deflate, inflate
from scoring.errors import Refusal
from scoring.models.signature import Column

if TYPE_CHECKING:
    from scoring.models.rows import Table
    from tests.aliases import Json

DATED = (Column("d", "datetime"),)
NOON = [
    ("2024-01-31T12:00:00", "2024-01-31T12:00:00"), ("2024-01-31T12:00:00Z", "2024-01-31T12:00:00"),
    ("2024-01-31T12:00:00+02:00", "2024-01-31T10:00:00"), ("2024-01-31T12:00:00.25-05:30", "2024-01-31T17:30:00.25"),
]  # fmt: skip
FORMS = ["split", "records", "inputs", "instances", "CSV", "Parquet", "v2"]


def _wide(names: list[str]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": names, "data": [list(range(len(names)))]}}).encode()


def test_many_columns_in_another_order() -> None:
    """20,000 columns in another order are put into the model's, in linear time; looking up each took seconds."""
    names = [f"gene_{at}" for at in range(20_000)]
    table = Decoder([Column(name, "double") for name in names]).decode(_wide(names[::-1]))

    assert table
    assert table.block is not None
    assert table.block[0].tolist() == [float(at) for at in range(20_000)][::-1]


def test_plans_keep_no_bodies() -> None:
    """Little is remembered of the orders of columns, and nothing of bodies with columns unknown to the model."""
    names = [f"c{at}" for at in range(30)]
    decoder = Decoder([Column(name, "string") for name in names])
    for at in range(3 * PLANS):
        order = names[at % 30 :] + names[: at % 30]
        order[0], order[at // 30 + 1] = order[at // 30 + 1], order[0]
        body = {"dataframe_split": {"columns": order, "data": [order]}}
        more = {"dataframe_split": {"columns": [*order, "x" * 10_000 + str(at)], "data": [[*order, 0]]}}
        assert [list(row) for row in decoder.decode(json.dumps(body).encode()).rows] == [names]  # type: ignore[union-attr]
        assert decoder.decode(json.dumps(more).encode())
    plans = decoder._plans  # noqa: SLF001 -- it is what must not grow

    assert 1 < len(plans) <= min(PLANS, NAMES // 30)
    assert sum(map(sys.getsizeof, plans)) < PLANS * 1024


def _read(form: str, value: Json) -> Table:
    bodies: dict[str, Any] = {
        "split": {"dataframe_split": {"columns": ["d"], "data": [[value]]}},
        "records": {"dataframe_records": [{"d": value}]}, "inputs": {"inputs": {"d": [value]}},
        "instances": {"instances": [{"d": value}]},
    }  # fmt: skip
    if form == "CSV":
        return csv_body.read(f"d\n{value}\n".encode(), DATED, DEFAULT)
    if form == "Parquet":
        sink = io.BytesIO()
        pd.DataFrame({"d": [value]}).to_parquet(sink)
        return parquet_body.read(sink.getvalue(), DATED, DEFAULT)
    if form == "v2":
        tensor = {
            "name": "d",
            "shape": [1],
            "datatype": "BYTES" if isinstance(value, str) else "INT64",
            "data": [value],
        }
        return tensors.to_table(open_inference.parse(json.dumps({"inputs": [tensor]}).encode(), None).arrays(), DATED)
    return mlflow_forms.to_table(mlflow_forms.parse(json.dumps(bodies[form]).encode()), DATED)


@pytest.mark.parametrize("form", FORMS)
def test_dates(form: str) -> None:
    """A date means the same in every form: offsets are taken into account, and without one it is UTC."""
    for given, meant in NOON:
        frame = _read(form, given).frame
        assert frame is not None
        assert frame["d"].tolist() == [pd.Timestamp(meant)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [0, 20240131, 1706702400, "1706702400"])
def test_numbers_are_no_dates(form: str, number: int | str) -> None:
    """A whole number is refused as a date in every form."""
    with pytest.raises(Refusal) as refused:
        _read(form, number)

    assert refused.value.status == 400
    assert "datetime" in refused.value.message


def test_gzip() -> None:
    """A body comes out as it went in, in several files, too; what is cut off or no gzip is refused."""
    body = json.dumps(list(range(50_000))).encode()

    assert inflate(gzip.compress(body), len(body)) == body
    assert inflate(gzip.compress(body) + gzip.compress(b"!"), len(body) + 1) == body + b"!"
    assert gzip.decompress(deflate(body)) == body
    for wrong in (gzip.compress(body)[:-9], body, zlib.compress(body), b"", gzip.compress(body) + b"x"):
        with pytest.raises(Refusal) as refused:
            inflate(wrong, len(body))
        assert refused.value.status == 400


def test_a_bomb() -> None:
    """No more comes out of a body than may, and it is found before that is in memory."""
    bomb = gzip.compress(b"0" * (64 << 20), 9)
    for limit in (0, 1, 1 << 20, (64 << 20) - 1):
        with pytest.raises(Refusal) as refused:
            inflate(bomb, limit)
        assert refused.value.status == 413


@pytest.mark.parametrize(
    ("header", "is_asked"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5, br", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("", False),
        ("br", False),
    ],
)
def test_accepts(header: str, is_asked: bool) -> None:
    """Compressed answers are given to those who ask for them."""
    assert accepts(header.encode()) is is_asked
