"""Whether the rows of several requests may share one predict: tried on the input example when a model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scoring import table

if TYPE_CHECKING:
    from scoring.model import Model
    from scoring.table import Table

SINGLE = 1e-6  # how much a prediction may differ (relative) when its row is among others: BLAS adds in another order


def prove(model: Model, example: Table) -> bool:
    """Whether each row of the example gets the same prediction alone, among others, and in another order."""
    rows = _matrix_rows(model, example) if model.signature.tensor else _frame_rows(model, example)
    try:
        together, backwards = (model.predict(order, "predict", None) for order in (rows, rows[::-1]))
        singly = [model.predict([row], "predict", None) for row in rows]
        return bool(rows) and all(
            _close(together[at : at + 1], single) and _close(backwards[len(rows) - 1 - at :][:1], single)
            for at, single in enumerate(singly)
        )
    except Exception:  # noqa: BLE001 -- a model may do anything
        return False


def _frame_rows(model: Model, example: Table) -> list[Table]:
    """Return the example's rows one by one, and others: rows differ even where the example has but one."""
    columns = model.signature.columns or ()
    frame = table.frame([example], columns).head(8)
    other = frame.copy()
    for column in columns:
        if column.type in {"double", "float"} and column.name in other:
            other[column.name] = (other[column.name] * 1.25 + 0.5).astype(other[column.name].dtype)
    if frame.equals(other) and len(frame.drop_duplicates()) == 1:
        return []  # nothing can be told from equal rows
    return [table.Table(1, frame=each.iloc[[at]]) for each in (frame, other) for at in range(len(each))]


def _matrix_rows(model: Model, example: Table) -> list[Table]:
    matrix = table.matrix([example], np.dtype(model.signature.tensor[0]))[:8]  # type: ignore[index]
    other = (matrix * 1.25 + 0.5).astype(matrix.dtype)
    return [table.Table(1, block=each[[at]]) for each in (matrix, other) for at in range(len(each))]


def _close(one: Any, other: Any) -> bool:  # noqa: ANN401 -- predictions for one row
    if type(one) is not type(other) or len(one) != 1 or len(other) != 1:
        return False
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=SINGLE, atol=0, equal_nan=True))
    return bool(np.array_equal(one, other))
