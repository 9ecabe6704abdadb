"""Which columns of a request lie outside the range of the training: a comparison, and most often nothing else."""

from __future__ import annotations

from operator import gt, itemgetter, lt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scoring.models.rows import Table
    from scoring.models.signature import Signature

FEW = 4  # rows that are compared one by one
SHOWN = 20  # columns in a header


class Ranges:
    """The ranges of a model's columns of numbers: of names `names`, in the order of the metrics."""

    def __init__(self, known: Mapping[str, Sequence[float]], signature: Signature) -> None:
        """Take ranges by column; what the model does not take is left out."""
        columns = signature.names or [str(at) for at in range(signature.tensor[1] if signature.tensor else 0)]
        self._at = [at for at, name in enumerate(columns) if name in known]
        self.names = [columns[at] for at in self._at]
        self._low = [float(known[name][0]) for name in self.names]
        self._high = [float(known[name][1]) for name in self.names]
        whole = len(self._at) == len(columns)
        self._pick: Any = None if whole else itemgetter(*self._at) if len(self._at) > 1 else None
        self._is_plain = whole or len(self._at) > 1

    def find(self, table: Table) -> dict[str, int]:
        """Return how many rows of a request are out of range, by column; missing values are in it."""
        if not self._at:
            return {}
        if table.block is not None:
            if len(table.block) > FEW:
                return self._find_block(table.block)
            rows: Sequence[Sequence[Any]] = table.block.tolist()
        elif table.frame is not None:
            return self._find_frame(table.frame)
        else:
            rows = table.rows
        if self._is_plain and not self._is_any_out(rows):
            return {}
        return self._count(rows)

    def _is_any_out(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether a value may be out of range, as fast as can be said; True for what cannot be compared."""
        low, high, pick = self._low, self._high, self._pick
        try:
            for row in rows:
                values = pick(row) if pick else row
                if any(map(lt, values, low)) or any(map(gt, values, high)):
                    return True
        except TypeError:  # a null
            return True
        return False

    def _count(self, rows: Sequence[Sequence[Any]]) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in rows:
            for at, name, low, high in zip(self._at, self.names, self._low, self._high, strict=True):
                value = row[at]
                if isinstance(value, int | float) and not low <= value <= high and value == value:  # noqa: PLR0124 -- NaN
                    found[name] = found.get(name, 0) + 1
        return found

    def _find_block(self, block: np.ndarray) -> dict[str, int]:
        block = block if len(self._at) == block.shape[1] else block[:, self._at]
        if block.dtype.kind not in "iuf":
            return {}
        with np.errstate(invalid="ignore"):
            out = ((block < self._low) | (block > self._high)).sum(axis=0)
        return {self.names[at]: int(out[at]) for at in np.flatnonzero(out)}

    def _find_frame(self, frame: Any) -> dict[str, int]:  # noqa: ANN401 -- pandas'
        found = {}
        for name, low, high in zip(self.names, self._low, self._high, strict=True):
            if name in frame and frame[name].dtype.kind in "iuf":
                values = frame[name].to_numpy()
                if out := int(((values < low) | (values > high)).sum()):
                    found[name] = out
        return found


def write_header(found: Mapping[str, int]) -> bytes:
    """Return the names of columns as a header's value, at most SHOWN of them."""
    names = ",".join(list(found)[:SHOWN])
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in names).encode()
