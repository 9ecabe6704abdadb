"""Tensors of the Open Inference Protocol as the rows that a model takes."""

from __future__ import annotations

import base64
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import DATES, bad
from scoring.models.rows import Table
from scoring.models.signature import NUMBERS, SCALARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.models.aliases import Values
    from scoring.models.signature import Column, Signature

MATRIX = 2  # dimensions
EXTRA = 1000  # inputs that a request may have beside the columns
EXACT = 2.0**53  # below this a double holds every whole number


def check_names(names: Sequence[str], columns: Sequence[Column]) -> None:
    """Raise Refusal for several inputs that are not the columns of a table, before their data are read."""
    given = set(names)
    if len(names) > len(columns) + EXTRA:
        raise bad("there are many more inputs than columns")
    if len(names) > 1 and (
        missing := [str(column.name) for column in columns if column.required and str(column.name) not in given]
    ):
        raise bad(f"inputs that the model needs are missing: {', '.join(missing)}")


def to_rows(arrays: dict[str, np.ndarray], signature: Signature) -> Table | None:
    """Return the rows where the signature is columns or a matrix; None for any other. Raises Refusal."""
    if signature.columns:
        return to_table(arrays, signature.columns)
    return to_matrix(arrays, *signature.tensor) if signature.tensor else None


def to_table(arrays: dict[str, np.ndarray], columns: Sequence[Column]) -> Table:
    """Return the rows: one tensor a column ([n] or [n, 1]), or one tensor [n, columns] for columns of numbers.

    Raises Refusal.
    """
    if len(arrays) == 1:
        name, array = next(iter(arrays.items()))
        if all(str(column.name) != name for column in columns) or (
            len(columns) > 1 and array.shape[1:] == (len(columns),)
        ):
            return _of_matrix(array, columns)
    present = [column for column in columns if column.required or str(column.name) in arrays]
    if missing := [str(column.name) for column in present if str(column.name) not in arrays]:
        raise bad(f"inputs that the model needs are missing: {', '.join(missing)}")
    for column in present:
        shape = arrays[str(column.name)].shape
        if not shape or prod(shape[1:]) != 1:
            raise bad(f"input {column.name} is one column: its shape must be [rows] or [rows, 1]")
    if len({len(arrays[str(column.name)]) for column in present}) != 1:
        raise bad("the inputs have different numbers of rows")
    typed = {column.name: _as_type(arrays[str(column.name)].reshape(-1), column) for column in present}
    n = len(next(iter(typed.values())))
    if (
        len(present) == len(columns)
        and all(column.type in NUMBERS for column in columns)
        and _may_be_block(list(typed.values()))
    ):
        return Table(n, block=np.column_stack(list(typed.values())))
    import pandas as pd  # numbers do without

    return Table(n, frame=pd.DataFrame(typed))


def to_matrix(arrays: dict[str, np.ndarray], kind: str, width: int) -> Table | None:
    """Return the rows of a model with one matrix; None if the input is not one, or would lose something."""
    array = next(iter(arrays.values())) if len(arrays) == 1 else np.array(0)
    if array.ndim != MATRIX or array.shape[1] != width or not np.can_cast(array.dtype, kind, "same_kind"):
        return None
    with np.errstate(over="ignore"):
        typed = array.astype(kind, copy=False)
    return None if _overflows(array, typed) else Table(len(array), block=typed)


def as_text(array: np.ndarray) -> np.ndarray:
    """Return BYTES as text, unless one of them is none."""
    if array.dtype != object:
        return array
    text = np.empty(array.shape, object)
    try:
        text.reshape(-1)[:] = [value.decode() if isinstance(value, bytes) else value for value in array.reshape(-1)]
    except UnicodeDecodeError:
        return array
    return text


def _may_be_block(typed: list[np.ndarray]) -> bool:
    """Whether columns keep their values in a matrix: among floats, large integers would not."""
    if np.result_type(*typed).kind == "i":
        return True
    return all(np.abs(each, dtype=np.float64).max(initial=0) < EXACT for each in typed if each.dtype == np.int64)


def _overflows(array: np.ndarray, typed: np.ndarray) -> bool:
    """Whether an array lost a value, more than the last digits of a fraction, when it became another type."""
    if typed.dtype.kind == "i":
        return not np.array_equal(typed, array)
    return typed.itemsize < array.itemsize and bool((np.isinf(typed) & ~np.isinf(array)).any())


def _of_matrix(array: np.ndarray, columns: Sequence[Column]) -> Table:
    if array.ndim != MATRIX or array.shape[1] != len(columns) or array.dtype.kind not in "biuf":
        raise bad(f"send one tensor of numbers [rows, {len(columns)}], or one tensor per column")
    if any(column.type not in NUMBERS for column in columns):
        raise bad("not all columns are numeric: send one tensor per column")
    for at, column in enumerate(columns):
        if column.type != "double":
            _as_type(array[:, at], column)
    return Table(len(array), block=array)


def _as_type(array: np.ndarray, column: Column) -> Values:
    """Return a column's values as the signature's type; raise Refusal where that would lose something."""
    kind = DATES if column.type == "datetime" else column.type
    words = bad(f"input {column.name} contains a value that is not a valid {kind}")
    try:
        if column.type in {"string", "binary", "datetime"}:
            if array.dtype != object:
                raise words
            return _from_bytes(array.tolist(), column.type)
        if array.dtype.kind not in "biuf" or (column.type == "boolean" and array.dtype.kind != "b"):
            raise words
        with np.errstate(all="ignore"):
            typed = array.astype(SCALARS[column.type])
        if _overflows(array, typed):
            raise words
    except (ValueError, TypeError, OverflowError):  # UnicodeDecodeError is one
        raise words from None
    return typed


def _from_bytes(values: list[Any], kind: str) -> Values:
    """Return BYTES (text, where they came in JSON) as a column.

    In JSON, binary values are base64, as they are in an answer.
    """
    if kind == "binary":
        return [
            value if isinstance(value, bytes) else base64.b64decode("".join(value.split()), validate=True)
            for value in values
        ]
    text = [value.decode() if isinstance(value, bytes) else value for value in values]
    if kind == "string":
        return text
    from scoring.codecs.casting import parse_dates  # numbers do without pandas

    return parse_dates(text)
