"""Transformers as array operations: what scikit-learn's own do to the values of columns, without their checks.

`build` makes one function of a transformer, of a Pipeline of them or of a ColumnTransformer. It takes a `Source`
of rows by column, and returns a matrix [rows, n], in the memory order of scikit-learn's result: BLAS adds in that
order. Encoders are tables (`categories`). Sources: scikit-learn 1.9,
sklearn/{preprocessing/_data,impute/_base,compose/_column_transformer}.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scoring.models import kinds
from scoring.models.shortcuts import categories
from scoring.models.shortcuts.sources import Made, Rows, UnknownError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.models.aliases import Estimator

    Matrix = Callable[[np.ndarray], np.ndarray]


def build(step: Estimator, at: list[int] | None = None) -> Made:
    """Return what a fitted transformer makes of the columns `at`; raise UnknownError for one that is not known."""
    if is_identity(step):
        return Made(lambda source: source.numbers(at))
    if kinds.is_exactly(step, {"Pipeline"}):
        return chain(active(step), at)
    if kinds.is_exactly(step, {"ColumnTransformer"}):
        return _side_by_side(step, at)
    if kinds.is_exactly(step, categories.ENCODERS):
        return categories.build([step], at)
    apply = _elementwise(step)
    return Made(lambda source: apply(source.numbers(at)))


def chain(steps: Sequence[Estimator], at: list[int] | None = None) -> Made:
    """Return what becomes of the columns `at` in fitted transformers, one after the other; raise UnknownError."""
    encoders = [place for place, step in enumerate(steps) if kinds.is_exactly(step, categories.ENCODERS)]
    if encoders and all(kinds.is_exactly(step, {"SimpleImputer"}) for step in steps[: encoders[0]]):
        made, rest = categories.build(list(steps[: encoders[0] + 1]), at), steps[encoders[0] + 1 :]
    else:
        made, rest = (build(steps[0], at), steps[1:]) if steps else (build(None, at), [])
    for step in rest:
        if made.is_sparse:
            raise UnknownError(f"no shortcut is known for {type(step).__name__} of a sparse matrix")
        made = _compose(made, build(step))
    return made


def active(pipeline: Estimator) -> list[Estimator]:
    """Return the steps of a Pipeline that do something."""
    return [step for _, step in pipeline.steps if not is_identity(step)]


def is_identity(step: Estimator) -> bool:
    """Whether a step passes on what it gets, with scikit-learn's checks of it at most."""
    if step is None or isinstance(step, str):
        return step != "drop"
    if not kinds.is_exactly(step, {"FunctionTransformer"}):
        return False
    check = getattr(step.func, "func", None)  # histogram gradient boosting's
    return step.func is None or getattr(check, "__name__", "") == "check_array"


def _compose(first: Made, then: Made) -> Made:
    return Made(lambda source: then.apply(Rows(first.apply(source))), then.is_sparse, first.known)


def _side_by_side(step: Estimator, at: list[int] | None) -> Made:
    """Return what a ColumnTransformer makes."""
    if step.transformer_weights:
        raise UnknownError("its ColumnTransformer has weights")
    blocks = []
    for name, each, chosen in step.transformers_:
        places = list(step._transformer_to_input_indices[name])  # noqa: SLF001 -- no public way
        if (isinstance(each, str) and each == "drop") or not places:
            continue
        if np.isscalar(chosen):
            raise UnknownError(f"its transformer {name} takes a column by itself")
        blocks.append(build(each, places if at is None else [at[place] for place in places]))
    if not blocks:
        raise UnknownError("its ColumnTransformer has no transformers")
    applied = [block.apply for block in blocks]
    known = {column: values for block in blocks for column, values in block.known.items()}
    return Made(lambda source: np.hstack([apply(source) for apply in applied]), step.sparse_output_, known)


def _elementwise(step: Estimator) -> Matrix:
    """Return what a transformer does to each number of a matrix by itself."""
    if kinds.is_exactly(step, {"SimpleImputer"}):
        return _impute(step)
    if kinds.is_exactly(step, {"StandardScaler"}):
        mean, scale = step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None
        return _scale(mean, scale, typed=True)
    if kinds.is_exactly(step, {"RobustScaler"}):
        return _scale(step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None)
    if kinds.is_exactly(step, {"MaxAbsScaler"}):
        return _clip(_scale(None, step.scale_), (-1.0, 1.0) if getattr(step, "clip", False) else None)
    if kinds.is_exactly(step, {"MinMaxScaler"}):
        factor, shift = step.scale_, step.min_

        def stretch(rows: np.ndarray) -> np.ndarray:
            rows = rows.copy(order="K")
            rows *= factor
            rows += shift
            return rows

        return _clip(stretch, step.feature_range if step.clip else None)
    raise UnknownError(f"no shortcut is known for {type(step).__name__}")


def _scale(center: np.ndarray | None, scale: np.ndarray | None, *, typed: bool = False) -> Matrix:
    """Return what takes away a center and divides by a scale, each [columns]; `typed`: in the rows' own precision."""

    def apply(rows: np.ndarray) -> np.ndarray:
        rows = rows.copy(order="K")
        if center is not None:
            rows -= center.astype(rows.dtype, copy=False) if typed else center
        if scale is not None:
            rows /= scale.astype(rows.dtype, copy=False) if typed else scale
        return rows

    return apply


def _clip(apply: Matrix, within: tuple[float, float] | None) -> Matrix:
    return apply if within is None else lambda rows: np.clip(apply(rows), *within)


def _impute(step: Estimator) -> Matrix:
    categories.check_imputer(step)
    values = step.statistics_.astype(np.float64)

    def fill(rows: np.ndarray) -> np.ndarray:
        missing = np.isnan(rows)
        if missing.any():
            rows = rows.copy(order="K")
            np.copyto(rows, values.astype(rows.dtype, copy=False), where=missing)
        return rows

    return fill
