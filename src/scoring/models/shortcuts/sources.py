"""Rows by column, from which transformers make a matrix."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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
