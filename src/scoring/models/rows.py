"""Rows on their way to a model: as they were decoded, and joined as the model takes them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.models.signature import NUMBERS, SCALARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from scoring.models.aliases import Values
    from scoring.models.signature import Column


@dataclass(slots=True)
class Table:
    """The n rows of one request, columns in the signature's order, in one of three forms.

    `rows`: n sequences of Python values (small JSON). `block`: a matrix [n, columns] (large JSON, one tensor).
    `frame`: a DataFrame with MLflow's types (everything else); its optional columns may be missing.
    """

    n: int
    rows: Sequence[Sequence[Any]] = ()
    block: np.ndarray | None = None
    frame: pd.DataFrame | None = None
    nulls: tuple[int, ...] = ()  # columns of text in `rows` without any value, to which pandas gives another type

    def kind(self) -> tuple[Any, ...] | None:
        """Return what must be equal in tables that are joined: which columns are there, and which are empty.

        None: all are there, and none is empty.
        """
        return self.nulls or None if self.frame is None else tuple(self.frame.columns)

    def has_all(self, columns: Sequence[Column]) -> bool:
        """Whether none of the columns is left out, as optional ones may be."""
        return self.frame is None or len(self.frame.columns) == len(columns)


def matrix(tables: Sequence[Table], dtype: np.dtype[Any], single: Sequence[int] = ()) -> np.ndarray:
    """Join tables into one matrix [rows of all, columns], row by row in memory, as the short ways are proven with.

    The columns at `single` hold what float32 has of them, as in the DataFrame that MLflow makes: see `find_single`.
    """
    if all(table.rows for table in tables):
        rows = tables[0].rows if len(tables) == 1 else list(chain.from_iterable(table.rows for table in tables))
        joined = np.array(rows, dtype=dtype)
    else:
        blocks = [_block(table, dtype) for table in tables]
        joined = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if single:
        joined = joined.copy()  # it may be a request's own
        with np.errstate(over="ignore"):
            joined[:, single] = joined[:, single].astype(np.float32)
    return joined


def find_single(columns: Sequence[Column], dtype: np.dtype[Any]) -> list[int]:
    """Return the places of the columns of float32 in a matrix of a wider type."""
    return [at for at, column in enumerate(columns) if column.type == "float" and dtype != np.float32]


def frame(tables: Sequence[Table], columns: Sequence[Column]) -> pd.DataFrame:
    """Join tables of one kind into one DataFrame with the types that MLflow gives the columns."""
    import pandas as pd  # a numeric model may do without

    if all(table.rows for table in tables):
        by_column = zip(*chain.from_iterable(table.rows for table in tables), strict=True)
        if _is_uniform(columns):
            return _uniform(list(by_column), columns)
        return pd.DataFrame(
            {column.name: _typed(values, column.type) for column, values in zip(columns, by_column, strict=True)}
        )
    frames = [_frame(table, columns) for table in tables]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def columns(tables: Sequence[Table], wanted: Sequence[Column]) -> list[Values] | None:
    """Join tables into columns: sequences of Python values, or arrays.

    None where one is missing, or its numbers have not the signature's type, as those of optional columns may not.
    """
    parts = [_columns(table, wanted) for table in tables]
    if len(parts) == 1:
        return parts[0]
    if any(part is None for part in parts):
        return None
    joined: list[Values] = []
    for values in zip(*(part for part in parts if part), strict=True):
        arrays = all(isinstance(each, np.ndarray) for each in values)
        joined.append(np.concatenate(values) if arrays else list(chain.from_iterable(values)))
    return joined


def _columns(table: Table, wanted: Sequence[Column]) -> list[Values] | None:
    if table.rows:
        taken: list[Values] = list(zip(*table.rows, strict=True))
        for at, column in enumerate(wanted):
            if column.type == "string" and at not in table.nulls and None in taken[at]:
                taken[at] = _as_pandas(taken[at])
        return taken
    if table.block is not None:
        return list(table.block.T)
    frame, found = table.frame, []
    for column in wanted:
        if frame is None or column.name not in frame:
            return None
        values = frame[column.name].to_numpy()
        if values.dtype != SCALARS[column.type]:
            return None
        found.append(values)
    return found


def _as_pandas(texts: Values) -> Values:
    """Return texts as the DataFrame of their rows has them: pandas 3 makes NaN of None among texts, pandas 2 does not.

    scikit-learn tells them apart.
    """
    import pandas as pd

    return pd.Series(list(texts)).tolist()


def _block(table: Table, dtype: np.dtype[Any]) -> np.ndarray:
    if table.rows:
        return np.array(table.rows, dtype=dtype)
    return np.asarray(table.frame if table.block is None else table.block, dtype=dtype, order="C")


def _frame(table: Table, columns: Sequence[Column]) -> pd.DataFrame:
    import pandas as pd

    if table.frame is not None:
        return table.frame
    if table.block is None:
        return frame([Table(table.n, table.rows)], columns)
    if _is_uniform(columns):
        return _uniform(table.block.T, columns)
    return pd.DataFrame(
        {column.name: _typed(values, column.type) for column, values in zip(columns, table.block.T, strict=True)}
    )


def _is_uniform(columns: Sequence[Column]) -> bool:
    """Whether all columns are numbers of one type."""
    return columns[0].type in NUMBERS and all(column.type == columns[0].type for column in columns)


def _uniform(by_column: Values, columns: Sequence[Column]) -> pd.DataFrame:
    """Return what pandas makes of one array for each column, in a third of the time.

    Values lie in memory in the same order.
    """
    import pandas as pd

    values = np.array(by_column, dtype=SCALARS[columns[0].type], order="C")
    return pd.DataFrame(values.T, columns=[column.name for column in columns], copy=False)


def _typed(values: Values, kind: str) -> Values:
    return (
        list(values) if kind == "string" else np.asarray(values, dtype=SCALARS[kind])
    )  # pandas has a type of its own for text
