"""Tensors of the Open Inference Protocol as the rows that a model takes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import bad
from scoring.signature import NUMBERS, SCALARS
from scoring.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.signature import Column


def to_table(arrays: dict[str, np.ndarray], columns: Sequence[Column]) -> Table:
    """Return the rows: one tensor a column ([n] or [n, 1]), or one tensor [n, columns] for columns of numbers. Raises Refusal."""
    if len(arrays) == 1 and [column.name for column in columns] != list(arrays):
        return _of_matrix(next(iter(arrays.values())), columns)
    present = [column for column in columns if column.required or column.name in arrays]
    if missing := [column.name for column in present if column.name not in arrays]:
        raise bad(f"inputs that the model needs are missing: {', '.join(missing)}")
    for column in present:
        shape = arrays[column.name].shape
        if not shape or prod(shape[1:]) != 1:
            raise bad(f"input {column.name} is one column: its shape is [rows] or [rows, 1]")
    if len({len(arrays[column.name]) for column in present}) != 1:
        raise bad("the inputs have different numbers of rows")
    typed = {column.name: _as_type(arrays[column.name].reshape(-1), column) for column in present}
    n = len(next(iter(typed.values())))
    if len(present) == len(columns) and all(column.type in NUMBERS for column in columns):
        return Table(n, block=np.column_stack(list(typed.values())))
    import pandas as pd  # noqa: PLC0415 -- numbers do without

    return Table(n, frame=pd.DataFrame(typed))


def to_matrix(arrays: dict[str, np.ndarray], kind: str, width: int) -> Table | None:
    """Return the rows of a model whose signature is one matrix; None when the input is none, or would lose something."""
    array = next(iter(arrays.values())) if len(arrays) == 1 else np.array(0)
    if array.ndim != 2 or array.shape[1] != width or not np.can_cast(array.dtype, kind, "same_kind"):  # noqa: PLR2004 -- a matrix
        return None
    return Table(len(array), block=array.astype(kind, copy=False))


def _of_matrix(array: np.ndarray, columns: Sequence[Column]) -> Table:
    if array.ndim != 2 or array.shape[1] != len(columns) or array.dtype.kind not in "biuf":  # noqa: PLR2004 -- a matrix
        raise bad(f"the input is one tensor of numbers [rows, {len(columns)}], or one tensor a column")
    if any(column.type not in NUMBERS for column in columns):
        raise bad("not all columns are numbers: send one tensor a column")
    for at, column in enumerate(columns):
        if column.type in {"long", "integer"}:
            _as_type(array[:, at], column)
    return Table(len(array), block=array)


def _as_type(array: np.ndarray, column: Column) -> Any:  # noqa: ANN401 -- an array, or what pandas makes of text
    """Return a column's values as the signature's type; raise Refusal where that would lose something."""
    words = bad(f"input {column.name} holds a value that is no {column.type}")
    try:
        if column.type in {"string", "datetime"}:
            text = [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]
            return text if column.type == "string" else np.array(text, dtype="datetime64[ns]")
        if column.type == "binary":
            return [value.encode() if isinstance(value, str) else bytes(value) for value in array.tolist()]
        if array.dtype.kind not in "biuf" or (column.type == "boolean" and array.dtype.kind != "b"):
            raise words
        with np.errstate(all="ignore"):
            typed = array.astype(SCALARS[column.type])
        if column.type in {"long", "integer"} and not np.array_equal(typed, array):
            raise words
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError):
        raise words from None
    return typed
