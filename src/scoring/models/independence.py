"""Whether the rows of several requests may share one predict: tried on the input example when a model is loaded."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scoring.models import rows
from scoring.models.proof import SLOW_S

if TYPE_CHECKING:
    from scoring.models.aliases import Predictions
    from scoring.models.base import Model
    from scoring.models.rows import Table

SINGLE = 1e-6  # how much a prediction may differ (relative) when its row is among others: BLAS adds in another order
MOST = 8  # rows of the example that are tried


class Proof(NamedTuple):
    """What was found: whether requests may share a predict, and the seconds that each further row costs, or NaN."""

    holds: bool
    row_seconds: float = math.nan


def prove(model: Model, example: Table) -> Proof:
    """Ask for each row of the example alone, among others, and in another order: the predictions must be the same.

    Anyone's code is asked for no more rows together than its example has, or two, and no more than 2 + MOST times.
    """
    try:
        rows = _rows(model, example)
        if len(rows) <= 1:  # nothing can be told from one row, or from equal ones
            return Proof(holds=False)
        (together, one), (backwards, other) = (_ask(model, order) for order in (rows, rows[::-1]))
        singly = [_ask(model, [row]) for row in rows]
        holds = all(
            _close(together[at : at + 1], single) and _close(backwards[len(rows) - 1 - at :][:1], single)
            for at, (single, _) in enumerate(singly)
        )
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 -- a model may do anything: a panic of Rust's is no Exception
        return Proof(holds=False)
    return Proof(holds, max(0.0, (min(one, other) - min(seconds for _, seconds in singly)) / (len(rows) - 1)))


def _ask(model: Model, rows: list[Table]) -> tuple[Any, float]:
    started = time.perf_counter()
    return model.predict(rows, *model.default), time.perf_counter() - started


def _rows(model: Model, example: Table) -> list[Table]:
    """Return rows of the example, one by one, and others like them: rows differ even where the example has but one."""
    tensor = model.signature.tensor
    rows = _matrix_rows(tensor[0], example) if tensor else _frame_rows(model, example)
    if not rows or (model.is_steady and model.predict_seconds < SLOW_S):
        return rows
    if model.is_steady:
        return [rows[0], rows[-1]]
    given, other = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    return [*given[:-1], other[-1]] if len(given) > 1 else [*given, *other]


def _frame_rows(model: Model, example: Table) -> list[Table]:
    columns = model.signature.columns or ()
    frame = rows.frame([example], columns).head(MOST)
    other = frame.copy()
    for column in columns:
        if column.type in {"double", "float"} and column.name in other:
            other[column.name] = (other[column.name] * 1.25 + 0.5).astype(other[column.name].dtype)
    if frame.equals(other) and len(frame.drop_duplicates()) == 1:
        return []  # nothing can be told from equal rows
    return [rows.Table(1, frame=each.iloc[[at]]) for each in (frame, other) for at in range(len(each))]


def _matrix_rows(kind: str, example: Table) -> list[Table]:
    matrix = rows.matrix([example], np.dtype(kind))[:MOST]
    other = (matrix * 1.25 + 0.5).astype(matrix.dtype)
    return [rows.Table(1, block=each[[at]]) for each in (matrix, other) for at in range(len(each))]


def _close(one: Predictions, other: Predictions) -> bool:
    if type(one) is not type(other) or len(one) != 1 or len(other) != 1:
        return False
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=SINGLE, atol=0, equal_nan=True))
    return bool(np.array_equal(one, other))
