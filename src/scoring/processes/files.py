"""Predict the rows of a file without a server: python -m scoring.processes.files FOLDER --file rows.csv > out.csv.

The model is loaded, and rows are read, as the server does both: chunk after chunk, so that a file may be larger than
the memory. Predictions go to stdout; what the model prints, and how far we are, to stderr. Exit code 1: the file or
the params are refused; 3: the model does not load.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pandas as pd

from scoring import loading
from scoring import settings as server_settings
from scoring.bounds import Bounds
from scoring.codecs import csv_body, mlflow_forms
from scoring.codecs import predictions as output
from scoring.codecs.media import CSV, JSON, PARQUET, parquet
from scoring.errors import ColumnsRefusal, ModelError, Refusal, ValueRefusal, bad
from scoring.models.rows import frame as to_frame
from scoring.processes.batch import records
from scoring.processes.columns import to_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

    from scoring.models.aliases import Json, Predictions
    from scoring.models.base import Model
    from scoring.models.rows import Table

MEDIA = {".csv": CSV, ".parquet": PARQUET, ".json": JSON}
FORMS = ("csv", "parquet", "json")
BYTES, ROWS = 4 * 1024 * 1024, 20_000  # of a chunk
LONGEST = 64 * 1024 * 1024  # bytes of a CSV record
SHOWN = 40  # signs of a wrong value
SAID_S = 5.0  # between two lines of progress
REFUSED, DID_NOT_LOAD = 1, 3


@dataclass
class Chunk:
    """Some rows of a file, as a body for the server, and all their columns as the file has them."""

    body: bytes
    kept: pd.DataFrame
    done: float = 1.0  # the share of the file that has been read


class Writer:
    """Writes rows in one of the FORMS to a stream that is only written forwards."""

    def __init__(self, form: str, sink: IO[bytes]) -> None:
        self.form, self._sink = form, sink
        self._parquet: pq.ParquetWriter | None = None
        self.rows = 0

    def write(self, rows: pd.DataFrame) -> None:
        """Write some rows, whose columns and types are those of the rows before."""
        is_first = self.rows == 0
        if self.form == "csv":
            rows = rows.map(lambda value: base64.b64encode(value).decode() if isinstance(value, bytes) else value)
            self._sink.write(rows.to_csv(index=False, header=is_first).encode())
        elif self.form == "json":
            rows = rows.map(lambda value: str(value) if isinstance(value, Decimal | timedelta) else value)
            self._sink.write((b"[\n" if is_first else b",\n") + output.encode_bare(rows)[1:-1])
        else:
            self._write_parquet(rows)
        self.rows += len(rows)

    def _write_parquet(self, rows: pd.DataFrame) -> None:
        import pyarrow as pa  # not installed unless a file is Parquet
        import pyarrow.parquet as pq

        try:
            table = pa.Table.from_pandas(rows, preserve_index=False)
            if self._parquet is None:  # a column that is empty so far may have words later
                fields = [each.with_type(pa.string()) if pa.types.is_null(each.type) else each for each in table.schema]
                self._parquet = pq.ParquetWriter(self._sink, pa.schema(fields))
            self._parquet.write_table(table.cast(self._parquet.schema))
        except pa.ArrowException:
            raise bad("a column has no one type, as Parquet needs it; a .csv or .json file can be written") from None

    def close(self) -> None:
        """Write what ends the file."""
        if self.form == "json":
            self._sink.write(b"\n]\n")
        if self._parquet:
            self._parquet.close()


def main() -> None:
    """Read the arguments, predict, and end with the code that says how it went."""
    parser = argparse.ArgumentParser(prog="python -m scoring.processes.files", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="rows: .csv with a header, .parquet, or a .json body")
    parser.add_argument("--form", choices=FORMS, default="csv", help="what to write")
    parser.add_argument("--params", default="", help="the model's params, as JSON")
    parser.add_argument("--limit", type=int, default=0, help="predict only the first rows; 0: all")
    given, rest = parser.parse_known_args()
    settings = server_settings.load(rest)
    with os.fdopen(os.dup(1), "wb") as sink:
        os.dup2(2, 1)  # a model may print what it likes
        try:
            model = loading.load(settings)
            rows = run(model, given, sink, Bounds.of(settings))
        except ModelError as error:
            sys.exit(_fail(str(error), DID_NOT_LOAD))
        except Refusal as refusal:
            sys.exit(_fail(_explain(refusal), REFUSED))
        except OSError as error:
            sys.exit(_fail(f"the file cannot be read: {type(error).__name__}", REFUSED))
    print(f"rows: {rows}", file=sys.stderr)


def run(model: Model, given: argparse.Namespace, sink: IO[bytes], bounds: Bounds) -> int:
    """Predict a file's rows and write them; return how many. Raises Refusal for what the model does not take."""
    mime, params = MEDIA[given.file.suffix.lower()], json.loads(given.params) if given.params else None
    if mime is JSON and model.signature.columns is None:
        return _answer(model, given, sink, bounds, params)
    if mime is not JSON:
        model.params_of(params)  # if they are wrong, no rows are
    writer, said = Writer(given.form, sink), time.monotonic()
    for chunk in read(given.file, given.limit):
        try:
            _predict(model, chunk, mime, params, bounds, writer)
        except ValueRefusal as wrong:
            value = wrong.value if len(wrong.value) <= SHOWN else f"{wrong.value[:SHOWN]}…"
            words = (
                f"column {wrong.column} contains {value!r} in row {writer.rows + wrong.row}: not a valid {wrong.kind}"
            )
            raise bad(words) from None
        except ColumnsRefusal:
            raise
        except Refusal as refusal:
            where = f" (rows {writer.rows + 1} to {writer.rows + len(chunk.kept)})" if mime is not JSON else ""
            raise Refusal(refusal.status, f"{refusal.message}{where}") from refusal.__cause__
        if time.monotonic() > said + SAID_S:
            said = time.monotonic()
            print(f"predicted {writer.rows:,} rows, {chunk.done:.0%} of the file", file=sys.stderr, flush=True)
        if given.limit and writer.rows >= given.limit:
            break
    if not writer.rows:
        raise bad("the file has no rows")
    writer.close()
    return writer.rows


def read(file: Path, limit: int) -> Iterator[Chunk]:
    """Yield the rows of a file, or the first `limit`, a chunk at a time."""
    rows = limit or ROWS
    if file.suffix.lower() == ".csv":
        yield from _read_csv(file, rows)
    elif file.suffix.lower() == ".parquet":
        yield from _read_parquet(file, rows)
    else:
        yield Chunk(file.read_bytes(), pd.DataFrame())


def _read_csv(file: Path, rows: int) -> Iterator[Chunk]:
    """Yield whole records with the header line before them; quotes may hold ends of lines."""
    size = max(file.stat().st_size, 1)
    with file.open("rb") as lines:
        header = b"".join(_record(lines))
        while True:
            found: list[bytes] = []
            held = 0
            while len(found) < rows and held < BYTES and (record := b"".join(_record(lines))):
                found.append(record)
                held += len(record)
            if not found:
                return
            body = header + b"".join(found)
            try:
                kept = pd.read_csv(io.BytesIO(body), dtype=str, keep_default_na=False)
            except Exception:  # noqa: BLE001 -- the codec says what is wrong with it
                kept = pd.DataFrame(index=range(len(found)))
            yield Chunk(body, kept, lines.tell() / size)


def _record(lines: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of the next record that is not empty."""
    held, is_inside = 0, False
    while line := lines.readline():
        if not held and not line.strip():
            continue
        yield line if line.endswith(b"\n") else line + b"\n"
        is_inside = records.is_open(line if held else line.removeprefix(records.BOM), is_inside=is_inside)
        held += len(line)
        if not is_inside:
            return
        if held > LONGEST:
            raise bad(f"a quote is not closed within {LONGEST} bytes")


def _read_parquet(file: Path, rows: int) -> Iterator[Chunk]:
    codec = parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError):
        raise bad(codec.NO_PARQUET) from None
    total, seen = max(opened.metadata.num_rows, 1), 0
    for batch in opened.iter_batches(rows):
        table = pa.Table.from_batches([batch])
        body = io.BytesIO()
        pq.write_table(table, body)
        seen += table.num_rows
        yield Chunk(body.getvalue(), table.to_pandas(ignore_metadata=True), seen / total)


def _predict(  # noqa: PLR0913, PLR0917 -- what a chunk needs
    model: Model, chunk: Chunk, mime: bytes, params: Json, bounds: Bounds, writer: Writer
) -> None:
    columns = model.signature.columns
    if columns is None:
        data, _, _ = model.parse(chunk.body, mime.decode(), bounds)
        method, share = model.params_of(params)
        writer.write(_join(chunk.kept, model.predict_data(data, method, share), model, method))
        return
    table, inside = _table(model, chunk.body, mime, bounds)
    method, share = model.params_of(params if params is not None else inside)
    predictions = model.predict([table], method, share)
    typed = to_frame([table], columns).reset_index(drop=True)
    kept = typed if mime is JSON else chunk.kept
    if writer.form != "csv":  # a CSV keeps the very words of the file, other files the model's types
        kept = kept.assign(**{name: typed[name] for name in typed if isinstance(name, str) and name in kept})
    writer.write(_join(kept, predictions, model, method))


def _table(model: Model, body: bytes, mime: bytes, bounds: Bounds) -> tuple[Table, Json]:
    """Return the rows of a body, and the params that it holds."""
    columns = model.signature.columns or ()
    if mime is CSV:
        return csv_body.read(body, columns, bounds), None
    if mime is PARQUET:
        return parquet().read(body, columns, bounds), None
    value = mlflow_forms.parse(body, bounds)
    return mlflow_forms.to_table(value, columns, bounds), value.get("params")


def _join(kept: pd.DataFrame, predictions: Predictions, model: Model, method: str) -> pd.DataFrame:
    """Return the file's columns with those of the predictions after them."""
    added = to_columns(predictions, model.classes if method == "predict_proba" else None)
    if len(added) != len(kept):
        raise bad(f"the model predicts {len(added)} values for {len(kept)} rows; a .json file of them can be written")
    if taken := [name for name in added if name in kept]:
        raise ColumnsRefusal(400, f"the file has a column {taken[0]} already: rename it")
    return pd.concat([kept.reset_index(drop=True), added], axis=1)


def _answer(model: Model, given: argparse.Namespace, sink: IO[bytes], bounds: Bounds, params: Json) -> int:
    """Write what the server answers to a body of a model without plain columns: of such, rows are not known."""
    data, inside, bare = model.parse(given.file.read_bytes(), JSON.decode(), bounds)
    method, share = model.params_of(params if params is not None else inside)
    predictions = model.predict_data(data, method, share)
    if given.form == "json":
        sink.write((output.encode_bare if bare else output.encode)(predictions) + b"\n")
        return len(predictions) if hasattr(predictions, "__len__") else 1
    writer = Writer(given.form, sink)
    writer.write(to_columns(predictions, None))
    writer.close()
    return writer.rows


def _explain(refusal: Refusal) -> str:
    """Return why rows are refused, in the model's own words, too, which a server keeps from its callers."""
    cause = str(refusal.__cause__ or "").splitlines()
    return f"{refusal.message}: {cause[0]}" if cause else refusal.message


def _fail(words: str, code: int) -> int:
    print(f"error: {words}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
