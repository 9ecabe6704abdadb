"""From which input column each column of a fitted preprocessing comes; None where one comes of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.models import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.models.aliases import Estimator

ONE_TO_ONE = {
    "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "OrdinalEncoder", "PowerTransformer",
    "QuantileTransformer", "Binarizer",
}  # fmt: skip


def split(estimator: Estimator) -> tuple[list[Any], Estimator]:
    """Return the transformers of a pipeline, and what it ends with."""
    if not kinds.is_exactly(estimator, {"Pipeline"}):
        return [], estimator
    steps = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
    before, last = split(steps[-1]) if steps else ([], estimator)
    return [*steps[:-1], *before], last


def trace(transformers: Sequence[Any], width: int, names: Sequence[str]) -> list[int] | None:
    """Return the place of the input column that each column comes from, after all transformers; None if not known."""
    found = list(range(width))
    for transformer in transformers:
        step = _trace(transformer, found, names)
        if step is None:
            return None
        found = step
    return found


def _trace(transformer: Any, given: list[int], names: Sequence[str]) -> list[int] | None:  # noqa: ANN401, PLR0911 -- anybody's; a kind each
    if transformer == "passthrough":
        return given
    if transformer == "drop":
        return []
    if kinds.is_exactly(transformer, ONE_TO_ONE):
        return given
    if kinds.is_exactly(transformer, {"FunctionTransformer"}):
        return given if transformer.func is None else None
    if kinds.is_exactly(transformer, {"SimpleImputer"}):
        kept = [at for at, value in zip(given, transformer.statistics_, strict=True) if value == value]  # noqa: PLR0124 -- NaN
        return kept if transformer.indicator_ is None and (len(kept) == len(given)) else None
    if kinds.is_exactly(transformer, {"OneHotEncoder"}):
        return [at for at, count in zip(given, transformer._n_features_outs, strict=True) for _ in range(count)]  # noqa: SLF001 -- no public way
    if kinds.is_exactly(transformer, {"Pipeline"}):
        found: list[int] | None = given
        for _, step in transformer.steps:
            found = None if found is None else _trace("passthrough" if step is None else step, found, names)
        return found
    if kinds.is_exactly(transformer, {"ColumnTransformer"}):
        return _trace_columns(transformer, given, names)
    return None


def _trace_columns(transformer: Any, given: list[int], names: Sequence[str]) -> list[int] | None:  # noqa: ANN401 -- as above
    width = max((part.stop for part in transformer.output_indices_.values()), default=0)
    found = [-1] * width
    for name, part, columns in transformer.transformers_:
        places = _places(columns, given, names)
        step = _trace(part, places, names) if places is not None else None
        into = transformer.output_indices_.get(name, slice(0, 0))
        if step is None or len(step) != into.stop - into.start:
            return None
        found[into] = step
    return None if -1 in found else found


def _places(columns: Any, given: list[int], names: Sequence[str]) -> list[int] | None:  # noqa: ANN401 -- a selection
    if isinstance(columns, slice):
        return None if any(isinstance(end, str) for end in (columns.start, columns.stop)) else given[columns]
    listed = [columns] if isinstance(columns, str | int) else list(np.atleast_1d(columns))
    if all(isinstance(each, bool | np.bool_) for each in listed) and listed:
        return [at for at, chosen in zip(given, listed, strict=True) if chosen]
    try:
        return [given[names.index(each)] if isinstance(each, str) else given[int(each)] for each in listed]
    except (ValueError, IndexError):
        return None
