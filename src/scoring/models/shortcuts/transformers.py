"""Transformers as array operations: what scikit-learn's own do to the values of columns, without their checks.

`build` makes one function of a transformer, of a Pipeline of them or of a ColumnTransformer. It takes a `Source`, which
has rows by column, and returns a matrix [rows, n], in the memory order of scikit-learn's result: BLAS adds in that
order. Encoders are tables (`categories`). Sources: scikit-learn 1.9,
sklearn/{preprocessing/_data,impute/_base,compose/_column_transformer}.py.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from scoring.models import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scoring.models.aliases import Estimator

    Matrix = Callable[[np.ndarray], np.ndarray]

MOST_CELLS = 2**22  # of a matrix that takes the place of a sparse one


class UnknownError(Exception):
    """Why no shortcut is known."""


class Source(Protocol):
    """Rows, by column; `at` are the places of columns, None: all."""

    def numbers(self, at: Sequence[int] | None) -> np.ndarray:
        """Return columns as a matrix [rows, len(at)] of floats, which nobody changes."""

    def values(self, at: int) -> Sequence[Any]:
        """Return a column as objects of Python's."""


class Rows(NamedTuple):
    """A matrix [rows, columns] as a source."""

    matrix: np.ndarray

    def numbers(self, at: Sequence[int] | None) -> np.ndarray:
        """Return columns of the matrix; whole numbers become float64."""
        rows = self.matrix if self.matrix.dtype.kind == "f" else self.matrix.astype(np.float64)
        return rows if at is None else rows[:, at]

    def values(self, at: int) -> Sequence[Any]:
        """Return a column."""
        return self.matrix[:, at].tolist()  # type: ignore[no-any-return]


class Made(NamedTuple):
    """What makes a matrix of a source, whether scikit-learn's is sparse, and the known categories of columns.

    `apply` raises KeyError for a category that scikit-learn refuses.
    """

    apply: Callable[[Source], np.ndarray]
    is_sparse: bool = False
    known: Mapping[int, Sequence[Any]] = MappingProxyType({})


def build(step: Estimator, at: list[int] | None = None) -> Made:
    """Return what a fitted transformer makes of the columns `at`; raise UnknownError for one that is not known."""
    from scoring.models.shortcuts import categories  # noqa: PLC0415 -- it builds on this module

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
    """Return what fitted transformers make of the columns `at`, one after the other."""
    from scoring.models.shortcuts import categories  # noqa: PLC0415 -- as above

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
    makers = [block.apply for block in blocks]
    known = {column: values for block in blocks for column, values in block.known.items()}
    return Made(lambda source: np.hstack([make(source) for make in makers]), step.sparse_output_, known)


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
    check_imputer(step)
    values = step.statistics_.astype(np.float64)

    def fill(rows: np.ndarray) -> np.ndarray:
        missing = np.isnan(rows)
        if missing.any():
            rows = rows.copy(order="K")
            np.copyto(rows, values.astype(rows.dtype, copy=False), where=missing)
        return rows

    return fill


def check_imputer(step: Estimator) -> None:
    """Raise UnknownError for an imputer that does more than to put a value in the place of what is missing."""
    if step.add_indicator:
        raise UnknownError("its SimpleImputer adds an indicator")
    if not (step.missing_values is None or step.missing_values != step.missing_values):  # noqa: PLR0124 -- NaN
        raise UnknownError(f"its SimpleImputer takes {step.missing_values!r} for missing")
    if any(value is None or value != value for value in step.statistics_.tolist()):  # noqa: PLR0124 -- NaN
        raise UnknownError("its SimpleImputer leaves out a column")
