"""Which way a method's predictions are come by: the shortest that is proven to equal the longer ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sklearn

from scoring.models import mixed, proof
from scoring.models.rows import Table, frame, matrix
from scoring.models.shortcuts import sklearn_fast
from scoring.models.signature import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.models.aliases import Data, Estimator, Predictions
    from scoring.models.signature import Signature

NAMES = "it predicts differently from a matrix"


@dataclass(frozen=True)
class Way:
    """How a method's predictions are come by: `name` is one of the four, `why` says why it is not a shorter one.

    shortcut: the arithmetic alone; matrix: scikit-learn's method with a matrix; frame: the same with a DataFrame;
    mlflow: mlflow.pyfunc.
    """

    name: str
    why: str = ""


class Call(NamedTuple):
    """What takes a matrix whose values are all below LARGEST, and whether some of them may be NaN."""

    predict: Callable[[np.ndarray], Any]
    takes_nan: bool = False

    def takes(self, rows: np.ndarray) -> bool:
        """Whether these rows are such a matrix."""
        return proof.is_within(rows, takes_nan=self.takes_nan) and len(rows) > 0


class Chooser:
    """Finds the ways of one estimator."""

    def __init__(self, estimator: Estimator, signature: Signature, dtype: np.dtype[Any], foreign: str) -> None:
        self._estimator, self._signature, self._dtype, self._foreign = estimator, signature, dtype, foreign
        self.longest = "matrix" if signature.tensor else "frame"

    def choose(self, method: str, example: Table | None) -> tuple[Way, Call | mixed.Call | None]:
        """Return the way of a method, and what to call with rows: None for the method with a DataFrame."""
        if self._foreign:  # others' code may do anything with a DataFrame that it does not do with a matrix
            return Way(self.longest, f"{self._foreign} is not scikit-learn's own"), None
        columns, why = self._signature.columns or (), NAMES
        try:
            if self._dtype.kind == "O":
                odd = next(column for column in columns if not column.is_number)
                why = f"column {odd.name} is {'optional' if odd.type in NUMBERS else odd.type}"
            elif (found := self._prove(method, example))[0] != Way("frame", NAMES):
                return found
            short = mixed.find(self._estimator, method, columns, example)
        except Exception as error:  # noqa: BLE001 -- a short way that cannot be built is none
            return Way(self.longest, f"a shorter path failed: {type(error).__name__}"), None
        return (Way("frame", f"{why}, and {short}"), None) if isinstance(short, str) else (Way("shortcut"), short)

    def _prove(self, method: str, example: Table | None) -> tuple[Way, Call | None]:
        columns, call = self._signature.columns or (), getattr(self._estimator, method)
        width = self._signature.tensor[1] if self._signature.tensor else len(columns)
        given = proof.finite(proof.make_up(width) if example is None else matrix([example], self._dtype))
        short = self._find(method, width)
        if isinstance(short, str) and proof.is_slow(call, self._frame(self._typed(given.copy()))):
            return Way(self.longest, f"{short}, which is slow by itself"), None
        groups, missing = [self._typed(rows) for rows in proof.groups(given)], self._typed(proof.with_nan(given))
        if columns and not self._is_nameless(call, groups, missing):
            return Way("frame", NAMES), None
        bare = _without_checks(call)
        if not proof.agree(call, bare, groups):
            return Way("matrix", "it predicts differently without its own checks"), Call(call)
        if isinstance(short, str):
            return Way("matrix", short), Call(bare)
        more = [self._typed(rows) for rows in proof.more_groups(self._estimator, given)]
        if not (proof.agree(call, short, groups) and all(proof.agree(call, short, [rows]) for rows in more)):
            return Way("matrix", mixed.DIFFERENT), Call(bare)
        return Way("shortcut"), Call(short, proof.agree(call, short, [missing]))

    def shorten(
        self, call: Callable[[Data], Any], short: Callable[[np.ndarray], Any], example: Table
    ) -> tuple[Way, Call | None]:
        """Return `short`, which takes a matrix, for another library's model if it predicts as `call` of a DataFrame."""

        def by_frame(rows: np.ndarray) -> Predictions:
            return call(self._frame(rows))

        try:
            given = proof.finite(matrix([example], self._dtype))
            if proof.is_slow(by_frame, self._typed(given.copy())):
                return Way("mlflow", "it is slow by itself"), None
            groups = [self._typed(rows) for rows in proof.groups(given)]
            more = [self._typed(rows) for rows in proof.more_groups(None, given)]
            if not (
                proof.agree(by_frame, short, groups) and all(proof.agree(by_frame, short, [each]) for each in more)
            ):
                return Way("mlflow", mixed.DIFFERENT), None
            return Way("shortcut"), Call(short, proof.agree(by_frame, short, [self._typed(proof.with_nan(given))]))
        except Exception as error:  # noqa: BLE001 -- as above
            return Way("mlflow", f"a shorter path failed: {type(error).__name__}"), None

    def _find(self, method: str, width: int) -> Callable[[np.ndarray], Any] | str:
        if (wanted := getattr(self._estimator, "n_features_in_", width)) != width:
            return f"it was trained with {wanted} columns, and its signature has {width}"  # trees would read beyond
        try:
            return sklearn_fast.find(self._estimator, method)
        except Exception as error:  # noqa: BLE001 -- another scikit-learn's inside, to which the shortcut was not made
            return f"its shortcut failed: {type(error).__name__}"

    def _is_nameless(self, call: Callable[[Any], Any], groups: list[np.ndarray], missing: np.ndarray) -> bool:
        """Whether a matrix gives what a DataFrame gives: to the bit where it lies in memory as that does.

        BLAS may add in its order.
        """

        def by_frame(rows: np.ndarray) -> Predictions:
            return call(self._frame(rows))

        def alike(rows: np.ndarray) -> Predictions:
            return call(np.asarray(self._frame(rows), self._dtype))

        agree = proof.agree(by_frame, alike, groups) and proof.agree(by_frame, alike, [missing])
        return agree and proof.close(by_frame(groups[0]), call(groups[0]))

    def _frame(self, rows: np.ndarray) -> Data:
        return frame([Table(len(rows), block=rows)], self._signature.columns) if self._signature.columns else rows

    def _typed(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the proof as the signature's types have them: integers whole, and none too large."""
        if self._signature.tensor is None:
            for at, column in enumerate(self._signature.columns or ()):
                if column.type in {"long", "integer"}:
                    limit = 2.0**31 - 1 if column.type == "integer" else proof.LARGEST
                    rows[:, at] = np.clip(np.nan_to_num(rows[:, at]), -limit, limit).round()
                elif column.type == "float":
                    rows[:, at] = rows[:, at].astype(np.float32)
        elif self._dtype.kind == "i":
            limit = float(min(np.iinfo(self._dtype.name).max, proof.LARGEST))
            rows = np.clip(np.nan_to_num(rows), -limit, limit)
        return np.ascontiguousarray(rows, dtype=self._dtype)


def _without_checks(call: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """Return a method of scikit-learn's without its search for NaN and infinity, which is done already."""

    def predict(rows: np.ndarray) -> Predictions:
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return call(rows)

    return predict
