"""One part: its rows are read, predicted and written; those that the model does not take are set aside, with why."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from scoring import rehearsal
from scoring.bounds import Bounds
from scoring.errors import ColumnsRefusal, Refusal, ValueRefusal, bad
from scoring.processes.batch import rows, writers
from scoring.processes.batch.plan import Done, Part
from scoring.processes.columns import NAME, to_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scoring.models.aliases import Json
    from scoring.models.base import Model
    from scoring.processes.batch.rows import Chunk
    from scoring.processes.batch.storage import Place

SHOWN = 40  # characters of a wrong value
BOUNDS = Bounds()


class TooManyError(Exception):
    """More rows were set aside than may be; `reason` is the first one's."""


class Scorer:
    """A model, and what is made of the parts."""

    def __init__(  # noqa: PLR0913, PLR0917 -- each an option
        self, model: Model, data: Place, out: Place, keys: Sequence[str] | None, params: Json, most: int
    ) -> None:
        if model.signature.columns is None:
            raise bad("the model takes tensors, not named columns: make predict FILE=….json scores those")
        self._model, self._data, self._out, self._keys, self._most = model, data, out, keys, most
        self._columns = model.signature.columns
        self._method, self._share = model.params_of(params)
        self._version = model.identity.version
        if self._version == "unregistered":
            self._version = model.identity.checksum.rpartition(":")[2][:12] or self._version

    def score(self, part: Part) -> Iterator[Done | dict[str, int]]:
        """Predict a part; yield the rows predicted and set aside, and bytes read, since the last time; then the end.

        Its output, its rejects and the record of it are there whole, in this order, or not at all. Raises Refusal for
        a file that does not fit the model as a whole, TooManyError, and OSError.
        """
        started, rejects = time.monotonic(), list[tuple[int, str]]()
        with self._data.open(part.source) as file, self._out.write(part.output) as written:
            names = rows.list_columns(file, part.source, self._columns)
            kept = rows.check_columns(names, self._columns, self._keys)
            known = {str(each.name) for each in self._columns}
            wanted = [name for name in names if name in known or name in set(kept)]
            is_parquet = part.output.endswith(rows.PARQUET)
            writer = writers.ParquetWriter(written.file) if is_parquet else writers.CsvWriter(written.file)
            count = 0
            for chunk in rows.read(file, part.source, part.begin, part.end, part.place, wanted):
                before = count, len(rejects)
                for found in self._predict(chunk, kept, rejects):
                    writer.write(found)
                    count += found.num_rows if hasattr(found, "num_rows") else len(found)
                yield {"rows": count - before[0], "rejects": len(rejects) - before[1], "bytes": chunk.size}
            if not count:
                writer.write(writers.join(rows.read_none(file, part.source, kept), self._predict_none(), self._version))
            writer.close()
        if rejects:
            text = io.StringIO()
            place = "row" if part.source.lower().endswith(rows.PARQUET) else "line"
            csv.writer(text, lineterminator="\n").writerows([("file", place, "reason")])
            csv.writer(text, lineterminator="\n").writerows((part.source, *each) for each in rejects)
            with self._out.write(part.rejects) as aside:
                aside.file.write(text.getvalue().encode(errors="backslashreplace"))  # a name may be no UTF-8
        seconds = round(time.monotonic() - started, 3)
        total = count + len(rejects)
        yield Done(
            part.number, part.source, part.output, total, count, len(rejects), written.size, written.sha256, seconds
        )

    def _predict(self, chunk: Chunk, kept: list[str], rejects: list[tuple[int, str]]) -> Iterator[Any]:
        """Yield the rows of a chunk with their predictions, halving it until only wrong rows are left out."""
        try:
            found = self._try(chunk, kept)
        except ColumnsRefusal:
            raise
        except Exception as error:  # noqa: BLE001 -- a model may raise anything
            if halves := chunk.halve():
                for half in halves:
                    yield from self._predict(half, kept, rejects)
                return
            if not chunk.is_one():
                raise bad(f"the records from {chunk.place} on cannot be told apart: {explain(error)}") from None
            rejects.append((chunk.place, explain(error)))
            if len(rejects) > self._most:
                raise TooManyError(f"{rejects[0][1]}, at {rejects[0][0]}") from None
            return
        yield found

    def _try(self, chunk: Chunk, kept: list[str]) -> Any:  # noqa: ANN401 -- a table of pyarrow's or pandas'
        table, others = chunk.read(self._columns, kept, BOUNDS)
        predictions = self._model.predict([table], self._method, self._share)
        added = to_columns(predictions, self._model.classes if self._method == "predict_proba" else None)
        if len(added) != table.n:
            raise ColumnsRefusal(400, f"the model predicts {len(added)} values for {table.n} rows")
        return writers.join(others, added, self._version)

    def _predict_none(self) -> pd.DataFrame:
        """Return the columns of predictions, without rows, as the model's example shows them."""
        example = rehearsal.read(self._model)
        if example is None:
            return pd.DataFrame({NAME: []}, dtype=float)
        predictions = self._model.predict([example], self._method, self._share)
        return to_columns(predictions, self._model.classes if self._method == "predict_proba" else None).head(0)


def explain(error: Exception) -> str:
    """Return in one line why a row is not predicted."""
    if isinstance(error, ValueRefusal):
        value = error.value if len(error.value) <= SHOWN else f"{error.value[:SHOWN]}…"
        return f"column {error.column} contains {value!r}: not a valid {error.kind}"
    if isinstance(error, Refusal):
        cause = str(error.__cause__ or "").splitlines()
        return f"{error.message}: {cause[0]}" if cause else error.message
    words = str(error).splitlines()
    return f"the model cannot predict it: {type(error).__name__}{': ' + words[0] if words else ''}"


def to_json(done: Done) -> dict[str, Any]:
    """Return a record as JSON."""
    return asdict(done)
