"""Which datatype of the Open Inference Protocol a column of each type takes."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scoring.bounds import Bounds
from scoring.codecs import open_inference, tensors
from scoring.codecs.v2_data import TYPES
from scoring.errors import Refusal
from scoring.models import rows
from scoring.models.signature import SCALARS, Column
from tests.protocols.conftest import tensor, texts, with_binary

if TYPE_CHECKING:
    from tests.aliases import Data, Json

pytestmark = pytest.mark.fast

VALUES: dict[str, Any] = {**dict.fromkeys(TYPES, 1), "BOOL": True, "BYTES": "2024-01-02"}
TAKEN = {
    "string": {"BYTES"},
    "datetime": {"BYTES"},
    "binary": {"BYTES"},
    "boolean": {"BOOL"},
}  # the others: all but BYTES


def _read(column: Column, body: bytes, length: str | None = None) -> Data:
    arrays = open_inference.parse(body, length.encode() if length else None).arrays()
    return rows.frame([tensors.to_table(arrays, [column])], [column])[column.name].to_numpy()[0]


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("datatype", VALUES)
@pytest.mark.parametrize("kind", SCALARS)
def test_datatypes(kind: str, datatype: str, binary: bool) -> None:
    """A column takes the datatypes whose values it can hold, and refuses the others."""
    column, value = Column("c", kind), VALUES[datatype]
    data = texts(value.encode()) if datatype == "BYTES" else np.array([value], TYPES[datatype]).tobytes()
    written = base64.b64encode(value.encode()).decode() if (kind, datatype) == ("binary", "BYTES") else value
    body, headers = with_binary([("c", datatype, [1], data)]) if binary else (_json(datatype, written), {})
    length = next(iter(headers.values()), None)
    if datatype in TAKEN.get(kind, TYPES.keys() - {"BYTES"}):
        expected = {"datetime": np.datetime64("2024-01-02"), "string": value, "binary": str(value).encode()}.get(
            kind, 1
        )

        assert _read(column, body, length) == expected
    else:
        with pytest.raises(Refusal, match=f"not a valid {kind}|of numbers"):
            _read(column, body, length)


def _json(datatype: str, value: Json) -> bytes:
    return json.dumps({"inputs": [tensor("c", datatype, [value])]}).encode()


@pytest.mark.parametrize(
    ("kind", "datatype", "value"),
    [
        ("integer", "INT64", 2**31),
        ("integer", "UINT32", 2**32 - 1),
        ("integer", "FP64", 1.5),
        ("long", "UINT64", 2**63),
        ("long", "FP64", 1e19),
        ("float", "FP64", 1e39),
        ("datetime", "BYTES", "hemlock"),
        ("datetime", "BYTES", "3000-01-01"),
        ("datetime", "BYTES", "1704153600"),
        ("binary", "BYTES", "no base64!"),
    ],
)
def test_lossy_values_are_refused(kind: str, datatype: str, value: Json) -> None:
    """A value that the column's type cannot hold is refused, with nothing cut or wrapped."""
    with pytest.raises(Refusal, match=f"not a valid {kind}"):
        _read(Column("c", kind), _json(datatype, value))


def test_a_date_may_have_an_offset() -> None:
    """An offset is taken into account, as in every other form."""
    assert _read(Column("c", "datetime"), _json("BYTES", "2024-01-02T01:00:00+01:00")) == np.datetime64("2024-01-02")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kind", ["long", "integer"])
def test_no_number_is_no_integer(kind: str, value: float) -> None:
    """NaN and infinity, which binary data can hold, are no integers."""
    body, headers = with_binary([("c", "FP64", [1], np.array([value]).tobytes())])

    with pytest.raises(Refusal, match=f"not a valid {kind}"):
        _read(Column("c", kind), body, next(iter(headers.values())))


def test_one_column_of_a_table_may_stand_alone() -> None:
    """When only one column is needed, one tensor of its name is that column and no matrix."""
    columns = [Column("s", "string"), Column("d", "double", required=False)]
    given = tensors.to_table({"s": np.array(["a"], dtype=object)}, columns)

    assert given.frame is not None
    assert given.frame.to_dict("list") == {"s": ["a"]}


@pytest.mark.parametrize(("kind", "value"), [("int32", 2**31), ("float32", 1e39), ("int64", 1.5)])
def test_a_matrix_loses_nothing(kind: str, value: float) -> None:
    """A matrix whose values the signature's type cannot hold is left to MLflow, which refuses it."""
    assert tensors.to_matrix({"any": np.array([[value, 1]])}, kind, 2) is None


def test_large_integers_among_fractions() -> None:
    """A long keeps every digit beside a column of doubles, where a matrix of both would not."""
    columns = [Column("l", "long"), Column("d", "double")]
    given = tensors.to_table({"l": np.array([2**53 + 1, -(2**63)]), "d": np.array([0.5, 1.5])}, columns)

    assert rows.frame([given], columns)["l"].tolist() == [2**53 + 1, -(2**63)]


@pytest.mark.parametrize(
    ("shape", "data", "status"),
    [
        ([2**70, 10], [1] * 10, 400),
        ([3], [1] * 10, 400),
        ([11], [1] * 11, 413),
        ([11, 1], [[1]] * 11, 413),
        ([11, 0], [], 413),
    ],
)
def test_a_shape_is_believed_where_data_may_be_so_many(shape: list[int], data: list[Any], status: int) -> None:
    """A shape with more values than the data can hold is wrong, whatever it says of rows.

    With more rows than the bound, too large.
    """
    body = json.dumps({"inputs": [tensor("c", "FP64", data, shape)]}).encode()
    with pytest.raises(Refusal) as refused:
        open_inference.parse(body, None, Bounds(max_rows=10)).arrays()

    assert refused.value.status == status
