"""The shortcut of rows with texts and numbers: by column, without pandas, and proven on such rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from scoring.models import proof
from scoring.models.rows import Table, columns, frame
from scoring.models.shortcuts import sklearn_fast
from scoring.models.shortcuts.sources import UnknownError
from scoring.models.signature import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.models.aliases import Estimator, Predictions, Values
    from scoring.models.shortcuts.sources import Made
    from scoring.models.signature import Column

DIFFERENT = "the shortcut predicts differently"
MATRIX = {*NUMBERS, "boolean"}  # types of columns that may be numbers of a matrix
WHOLE = {"long": proof.LARGEST, "integer": 2.0**31 - 1}  # largest values
UNKNOWN = "a text that no model knows"
KNOWN = 0.7  # share of known categories where there are unknown ones
MOST_CELLS = 2**22  # of a matrix that takes the place of a sparse one
CATEGORIES = 256  # of a column that are tried


class _Columns(NamedTuple):
    """Columns as a source: the numbers among them also as a matrix [columns, rows], by their places in it."""

    columns: list[Values]
    matrix: np.ndarray
    places: dict[int, int]
    single: frozenset[int]  # columns of float32

    def numbers(self, at: Sequence[int] | None) -> np.ndarray:
        """Return columns as a DataFrame's matrix has them: one column after the other in memory."""
        at = range(len(self.columns)) if at is None else at
        found = self.matrix[[self.places[each] for each in at]]
        return (found.astype(np.float32) if self.single.issuperset(at) else found).T

    def values(self, at: int) -> Sequence[Any]:
        """Return a column as it came."""
        values = self.matrix[self.places[at]] if at in self.single else self.columns[at]
        return values.tolist() if isinstance(values, np.ndarray) else values  # type: ignore[no-any-return]


class Call:
    """A method that takes columns, without its checks and a DataFrame."""

    def __init__(self, wanted: Sequence[Column], made: Made, end: Callable[[np.ndarray], Any]) -> None:
        self.wanted, self.made, self.end = wanted, made, end
        numbers = [at for at, column in enumerate(wanted) if column.type in MATRIX]
        self._places = {at: place for place, at in enumerate(numbers)}
        self._single = frozenset(at for at in numbers if wanted[at].type == "float")
        self.takes_nan = True
        self._width = 0  # of the matrix, once one was made

    def predict(self, tables: Sequence[Table]) -> Predictions | None:
        """Return predictions; None for rows that only the method itself may take."""
        matrix = self.encode(tables)
        return None if matrix is None else self.end(matrix)

    def encode(self, tables: Sequence[Table]) -> np.ndarray | None:
        """Return the matrix that the last step takes; None as above."""
        taken = columns(tables, self.wanted)
        if taken is None or (self.made.is_sparse and len(taken[0]) * self._width > MOST_CELLS):
            return None
        if not (source := self._read(taken)):
            return None
        try:
            matrix = self.made.apply(source)
        except (KeyError, TypeError):  # a category that is refused, and pandas's NA, which is not even itself
            return None
        self._width = matrix.shape[1]
        return matrix

    def _read(self, taken: list[Values]) -> _Columns | None:
        matrix = np.array([taken[at] for at in self._places], np.float64).reshape(len(self._places), len(taken[0]))
        for at in self._single:
            matrix[self._places[at]] = matrix[self._places[at]].astype(np.float32)
        if not proof.is_within(matrix, takes_nan=self.takes_nan) or len(taken[0]) == 0:
            return None
        return _Columns(taken, matrix, self._places, self._single)


def find(estimator: Estimator, method: str, wanted: Sequence[Column], example: Table | None) -> Call | str:
    """Return a method's shortcut by column, proven to predict what it does of a DataFrame, or why there is none."""
    if example is None:
        return "it has no example"
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or list(names) != [column.name for column in wanted]:
        return "it was trained with other columns"
    try:
        made, end = sklearn_fast.split(estimator, method)
    except UnknownError as unknown:
        return str(unknown)
    if proof.is_slow(getattr(estimator, method), frame([example], wanted)):
        return "it is slow by itself"
    judged = _Proof(estimator, method, Call(wanted, made, end), example)
    return judged.call if judged.holds() else DIFFERENT


class _Proof:
    """Compares a shortcut with the method that it stands for, to the bit."""

    def __init__(self, estimator: Estimator, method: str, call: Call, example: Table) -> None:
        self._estimator, self._method, self.call = estimator, method, call
        self._wanted, self._known = call.wanted, call.made.known
        self._random = np.random.default_rng(0)
        self._example = frame([example], self._wanted)

    def holds(self) -> bool:
        """Whether the two agree on rows with known and unknown categories, numbers far outside, and what is missing.

        Where they do not agree on numbers that are missing, the shortcut takes none.
        """
        numbers = [column.name for column in self._wanted if column.type in MATRIX]
        given = proof.finite(self._example[numbers].to_numpy(np.float64))
        if not self._ends_agree(self._table(given, with_unknown=False)):
            return False
        near, sizes = proof.groups(given), proof.more_groups(None, given)
        known, others = ([self._table(rows, with_unknown=each) for rows in near] for each in (False, True))
        alone = [[self._table(rows, with_unknown=False)] for rows in sizes]
        if not all(self._agrees(tables) for tables in (known, *alone)) or self._agrees(others) is None:
            return False
        if not all(self._agree_without(value) for value in (np.nan, None)) or not self._agree_on_rows(given[:1]):
            return False
        floats = [column.name for column in self._wanted if column.type in {"double", "float"}]
        self.call.takes_nan = self._agrees(self._without(floats, np.nan)) is not None
        return True

    def _ends_agree(self, table: Table) -> bool:
        """Whether the last step's shortcut gives what it gives of a matrix, at its trees' thresholds, too."""
        last, made = getattr(self._estimator, "steps", [("", self._estimator)])[-1][1], self.call.made
        matrix = self.call.encode([table])
        if matrix is None:
            return False
        if last is self._estimator or made.is_sparse:  # it takes another matrix
            return True
        own = getattr(last, self._method)
        given = proof.finite(matrix)
        groups = [*proof.groups(given), *proof.more_groups(last, given)]
        return given.shape[1] == last.n_features_in_ and proof.agree(own, self.call.end, groups)

    def _agrees(self, tables: list[Table]) -> bool | None:
        """Whether the two agree on a table; False where the shortcut takes no such rows, None where they do not."""
        found = proof.outcome(self.call.predict, tables)
        if found is None:
            return False
        own = proof.outcome(getattr(self._estimator, self._method), frame(tables, self._wanted))
        return proof.same(found, own) or None

    def _agree_without(self, value: float | None) -> bool:
        """Whether the two agree on rows that lack one text each."""
        texts = [column.name for column in self._wanted if column.type == "string"]
        together = self._agrees(self._without(texts, value)) if texts else True
        return bool(together) or None not in [self._agrees(self._without([name], value)) for name in texts]

    def _agree_on_rows(self, numbers: np.ndarray) -> bool:
        """Whether the two agree on rows as they are decoded, one of which lacks a text, and on joined ones."""
        whole = tuple(self._table(numbers, with_unknown=False).rows[0])
        texts = [at for at, column in enumerate(self._wanted) if column.type == "string"]
        tables = [Table(2, rows=[whole, (*whole[:at], None, *whole[at + 1 :])]) for at in texts]
        joined = [tables, *([table] for table in tables), *([Table(1, rows=[whole]), table] for table in tables)]
        return not texts or None not in [self._agrees(each) for each in joined]

    def _without(self, names: list[Any], value: float | None) -> list[Table]:
        """Return rows of the example, the columns `names` of which lack their values: one a row, or every 64th."""
        lacking = self._example.iloc[[0] * max(1, min(proof.NAN_ROWS, len(names)))].reset_index(drop=True)
        for at, name in enumerate(names):
            values = lacking[name].to_numpy(object if value is None or lacking[name].dtype.kind != "f" else None).copy()
            values[at % proof.NAN_ROWS] = value
            lacking[name] = values
        return [Table(len(lacking), frame=lacking)]

    def _table(self, numbers: np.ndarray, *, with_unknown: bool) -> Table:
        """Return rows with these numbers [rows, n], and with known categories, or some unknown ones among them."""
        found, places = [], iter(numbers.T)
        for at, column in enumerate(self._wanted):
            values = self._typed(next(places), column) if column.type in MATRIX else None
            if (pool := self._pool(at, column)) is not None:
                chosen = self._random.integers(len(pool), size=len(numbers))
                picked = [pool[place] for place in chosen]
                if with_unknown:
                    other = [UNKNOWN] * len(picked) if values is None else values
                    keep = self._random.random(len(picked)) < KNOWN
                    picked = [one if kept else two for one, two, kept in zip(picked, other, keep, strict=True)]
                values = picked
            found.append(values)
        return Table(len(numbers), rows=list(zip(*found, strict=True)))

    def _pool(self, at: int, column: Column) -> list[Any] | None:
        """Return values for a column of categories, or of another type than numbers."""
        if known := [value for value in self._known.get(at, ()) if value is not None]:
            return [known[place] for place in self._random.permutation(len(known))[:CATEGORIES]]
        return None if column.type in MATRIX else self._example[column.name].tolist()

    @staticmethod
    def _typed(values: np.ndarray, column: Column) -> Values:
        if column.type == "boolean":
            return (values > 0).tolist()
        if column.type in WHOLE:
            return np.clip(values, -WHOLE[column.type], WHOLE[column.type]).round().astype(np.int64).tolist()
        return values.tolist()
