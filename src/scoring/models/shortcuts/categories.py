"""Encoders as tables: what a column's categories become is asked of scikit-learn once, and looked up from then on.

An encoder, and the imputers before it, treat each column and each value by itself. So their results for each
known category, of one that is unknown and of what is missing say everything: how they encode, and what they drop, join
or refuse.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.models.shortcuts.sources import Made, UnknownError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.models.aliases import Estimator, Values
    from scoring.models.shortcuts.sources import Source

ENCODERS = {"OneHotEncoder", "OrdinalEncoder"}
MOST_CELLS = 2**20  # of the tables of an encoder: 8 MB


class Index(dict[Any, int]):
    """The places of values in a table.

    NaN is looked up as missing, whatever else is not there as unknown; KeyError where the encoder refuses that.
    """

    missing: int | None = None
    unknown: int | None = None

    def __missing__(self, value: object) -> int:
        """Return the place of a value that is no key."""
        place = self.missing if value != value else None if value is None else self.unknown  # noqa: PLR0124 -- NaN
        if place is None:
            raise KeyError(value)
        return place


def build(steps: list[Estimator], at: list[int] | None) -> Made:
    """Return what an encoder, the last of the steps, makes of the columns `at`, with imputers before it."""
    *before, encoder = steps
    for step in before:
        check_imputer(step)
    widths = _widths(encoder)
    if sum((len(each) + 3) * width for each, width in zip(encoder.categories_, widths, strict=True)) > MOST_CELLS:
        raise UnknownError(f"its {type(encoder).__name__} has many categories")
    ends = np.cumsum(widths).tolist()
    places = [slice(end - width, end) for width, end in zip(widths, ends, strict=True)]
    tables = [_table(steps, column, place) for column, place in enumerate(places)]
    columns = list(range(len(tables))) if at is None else at
    if len(columns) != len(tables):
        raise UnknownError("its encoder was trained with other columns")

    def encode(source: Source) -> np.ndarray:
        parts = [
            table.take([*map(index.__getitem__, source.values(column))], axis=0)
            for column, (index, table) in zip(columns, tables, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    known = {column: [*index] for column, (index, _) in zip(columns, tables, strict=True)}
    return Made(encode, getattr(encoder, "sparse_output", False), known)


def check_imputer(step: Estimator) -> None:
    """Raise UnknownError for an imputer that does more than to put a value in the place of what is missing."""
    if step.add_indicator:
        raise UnknownError("its SimpleImputer adds an indicator")
    if not _is_missing(step.missing_values):
        raise UnknownError(f"its SimpleImputer takes {step.missing_values!r} for missing")
    if any(map(_is_missing, step.statistics_.tolist())):
        raise UnknownError("its SimpleImputer leaves out a column")


def _widths(encoder: Estimator) -> list[int]:
    """Return how many columns each column becomes."""
    if type(encoder).__name__ == "OneHotEncoder":
        return [int(width) for width in encoder._n_features_outs]  # noqa: SLF001 -- no public way
    return [1] * len(encoder.categories_)


def _table(steps: list[Estimator], column: int, place: slice) -> tuple[Index, np.ndarray]:
    """Return where a column's values stand in a table, and the table [values, encoded columns]."""
    categories = steps[-1].categories_[column]
    known = [value for value in categories.tolist() if not _is_missing(value)]
    found, rows = Index({value: at for at, value in enumerate(known)}), []
    if known:
        rows.append(_ask(steps, column, _typed(known, categories))[:, place])
    odd: dict[str, Any] = {"unknown": _typed([_another(known)], categories)}
    if categories.dtype.kind in "OU":
        odd |= {"missing": np.array([np.nan], object), "none": np.array([None], object)}
    elif categories.dtype.kind == "f":
        odd |= {"missing": np.array([np.nan])}
    size = len(known)
    for name, value in odd.items():
        try:
            row = _ask(steps, column, value)[:, place]
        except (ValueError, TypeError):  # it is refused
            continue
        rows.append(row)
        if name == "none":
            found[None] = size
        else:
            setattr(found, name, size)
        size += 1
    if not rows:
        raise UnknownError("its encoder takes no value")
    return found, np.ascontiguousarray(np.concatenate(rows))


def _ask(steps: list[Estimator], column: int, values: np.ndarray) -> np.ndarray:
    """Return the encoded rows of these values in one column, and of a known one in each other."""
    import pandas as pd

    others = [
        _typed([next((value for value in each.tolist() if not _is_missing(value)), np.nan)], each)
        for each in steps[-1].categories_
    ]
    columns = [values if at == column else np.repeat(other, len(values)) for at, other in enumerate(others)]
    names = getattr(steps[0], "feature_names_in_", None)
    rows: Values = np.column_stack(columns) if names is None else pd.DataFrame(dict(zip(names, columns, strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            rows = step.transform(rows)
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)


def _typed(values: Sequence[Any], like: np.ndarray) -> np.ndarray:
    return np.array(values, object if like.dtype.kind in "OU" else like.dtype)


def _another(known: Sequence[Any]) -> Any:  # noqa: ANN401 -- a text, a number or a truth value
    """Return a value of the kind of these that is none of them."""
    if all(isinstance(value, str) for value in known):
        return "".join(known)[:64] + "_" * (1 + max(map(len, known), default=0))
    if all(isinstance(value, bool) for value in known):
        return len(set(known)) == 1 and not known[0]
    return math.floor(max(known)) + 1


def _is_missing(value: object) -> bool:
    return value is None or value != value  # noqa: PLR0124 -- NaN
