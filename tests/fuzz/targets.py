"""What the fuzzer calls with bytes.

The decoders may raise Refusal and nothing else, and two ways to read a body must agree.

The first byte of the data chooses the target, the rest is a request's body.
"""

from __future__ import annotations

import json
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from scoring.bounds import DEFAULT
from scoring.codecs import csv_body, fast_json, mlflow_forms, open_inference, tensors, v2_data
from scoring.codecs.plain import numbers
from scoring.codecs.plain import tensors as plain
from scoring.errors import Refusal
from scoring.models import rows as table
from scoring.models.signature import Column, Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd


Read = TypeVar("Read")
LARGE = (0, 4096)  # from how many bytes on the short way is that of large bodies: at once, and as it is
SIGNATURES = {
    "numbers": [Column("a", "double"), Column("b", "float")],
    "whole": [Column("l", "long"), Column("i", "integer")],
    "mixed": [Column("a", "double"), Column("l", "long"), Column("f", "boolean"), Column("s", "string")],
    "optional": [Column("s", "string"), Column("a", "double", required=False), Column("l", "long", required=False)],
    "all": [
        *(
            Column(kind[0:2], kind)
            for kind in ("double", "float", "long", "integer", "boolean", "string", "datetime", "binary")
        )
    ],
    "one": [Column("a", "double")],
}
MATRICES = {"matrix": ("float64", 2), "integers": ("int32", 2)}
warnings.simplefilter("ignore")


def try_json(columns: Sequence[Column], large: int, body: bytes) -> None:
    """Compare the short way with the long one: what the short one takes, the long one takes, as the same."""
    fast_json.LARGE = numbers.MANY = large
    found = fast_json.Decoder(columns).decode(body)
    value = _allowed(lambda: mlflow_forms.parse(body))
    if value is not None and mlflow_forms.is_message(value):
        assert found is None
        _allowed(lambda: mlflow_forms.from_message(value, columns))
        return
    expected = None if value is None else _allowed(lambda: mlflow_forms.to_table(value, columns))
    if found is None:
        return
    assert expected is not None, "taken by the short way only"
    assert value is not None
    assert "params" not in value
    same_frames(table.frame([found], columns), table.frame([expected], columns))


def try_matrix(kind: str, width: int, large: int, body: bytes) -> None:
    """Compare the short way of a matrix with json and numpy."""
    fast_json.LARGE = large
    found = fast_json.MatrixDecoder(kind, width).decode(body)
    if found is not None:
        value = json.loads(body)
        data = value.get("inputs", value.get("instances"))
        expected = np.array(data, kind)
        assert expected.shape == (found.n, width)
        assert np.array_equal(table.matrix([found], np.dtype(kind)), expected)


def try_csv(columns: Sequence[Column], body: bytes) -> None:
    """Read CSV."""
    _allowed(lambda: csv_body.read(body, columns, DEFAULT))


def try_v2(signature: Signature, body: bytes) -> None:
    """Read tensors, numbers in JSON in both ways; the first two bytes tell how long the JSON is."""
    length = None if body[:2] in {b"", b"\xff\xff"} else str(int.from_bytes(body[:2], "little")).encode()
    found: list[dict[str, Any] | None] = []
    for v2_data.LARGE in (0, 10**9):
        found.append(_allowed(lambda: open_inference.parse(body[2:], length).arrays()))
    one, other = found
    if length is None:
        _compare_plain(signature, body[2:], one)
    assert (one is None) == (other is None), "one way takes it, the other does not"
    if one is None or other is None:
        return
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.shape == other[name].shape
        assert array.tobytes() == other[name].tobytes() or array.dtype == object
    if signature.columns is not None:
        columns = signature.columns
        rows = _allowed(lambda: tensors.to_table(one, columns))
        assert rows is None or len(table.frame([rows], columns)) == rows.n
    elif signature.tensor is not None:
        tensors.to_matrix(one, *signature.tensor)


def _compare_plain(signature: Signature, body: bytes, arrays: dict[str, np.ndarray] | None) -> None:
    """Compare the short way of a request, as a small one and as a large one, with what the long way read."""
    reader = plain.reader_for(signature)
    for plain.LARGE, plain.SMALL in ((0, 0), (512, 2048)):
        if reader is None or (found := reader.decode(body)) is None:
            continue
        assert arrays is not None, "taken by the short way only"
        expected = tensors.to_rows(arrays, signature)
        assert expected is not None
        if signature.columns:
            same_frames(table.frame([found[0]], signature.columns), table.frame([expected], signature.columns))
        else:
            assert np.array_equal(found[0].block, expected.block)  # type: ignore[arg-type]


def same_frames(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare names, types and values; NaN equals itself."""
    assert list(one) == list(other)
    for name in one:
        left, right = one[name].to_numpy(), other[name].to_numpy()
        assert left.dtype == right.dtype
        assert len(left) == len(right)
        assert all(a == b or (a != a and b != b) for a, b in zip(left.tolist(), right.tolist(), strict=True))  # noqa: PLR0124 -- NaN


def _allowed(call: Callable[[], Read]) -> Read | None:
    try:
        return call()
    except Refusal:
        return None


TARGETS: list[Callable[[bytes], None]] = [  # in a fixed order: the first byte of the data counts it
    *(partial(try_json, columns, large) for large in LARGE for columns in SIGNATURES.values()),
    *(partial(try_matrix, *matrix, large) for large in LARGE for matrix in MATRICES.values()),
    *(partial(try_csv, columns) for columns in SIGNATURES.values()),
    *(partial(try_v2, Signature(tuple(columns))) for columns in SIGNATURES.values()),
    *(partial(try_v2, Signature(None, matrix)) for matrix in MATRICES.values()),
]


def run(data: bytes) -> None:
    """Call the target that the first byte chooses."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])
