"""Requests as rows of the log: what was read of their bodies and predicted for them, in Arrow's columns."""

from __future__ import annotations

import datetime as dt
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scoring.codecs.predictions import to_json
from scoring.models.rows import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.models.signature import Column, Signature
    from scoring.prediction_log.entries import Entry
    from scoring.prediction_log.rules import Rules

TYPES = {
    "double": pa.float64(), "float": pa.float32(), "long": pa.int64(), "integer": pa.int32(), "boolean": pa.bool_(),
    "string": pa.string(), "datetime": pa.timestamp("us"), "binary": pa.binary(),
}  # fmt: skip
WIDE = 256  # columns of a matrix; a wider one is one column of lists
LONGEST = 256 * 1024  # bytes of a value; a longer text is cut, longer binary left out
OWN = pa.schema([
    ("_time", pa.timestamp("us", "UTC")), ("_id", pa.string()), ("_row", pa.int32()), ("_version", pa.string()),
    ("_latency_ms", pa.float64()), ("_sampled", pa.bool_()), ("_outlier", pa.bool_()), ("_error", pa.string()),
])  # fmt: skip


class Writer:
    """Makes tables of a model's requests."""

    def __init__(self, signature: Signature, version: str, rules: Rules) -> None:
        self._columns = signature.columns
        self._version = version
        self._rules = rules

    def table(self, entries: list[Entry]) -> pa.Table:
        """Return the rows of requests; columns that some lack are null there."""
        groups: dict[Any, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(_kind(entry), []).append(entry)
        return join([self._uniform(group) for group in groups.values()])

    def _uniform(self, entries: list[Entry]) -> pa.Table:
        """Return the rows of requests that were read and predicted in one way."""
        counts = [max(entry.rows, 1) for entry in entries]
        of = np.repeat(np.arange(len(entries)), counts)

        def each(values: list[Any], kind: pa.DataType) -> pa.Array:
            return pa.array(values, kind).take(pa.array(of))

        own = [
            each([int(entry.time * 1e6) for entry in entries], pa.int64()).cast(OWN.field("_time").type),
            each([entry.id.decode("ascii", "replace") for entry in entries], pa.string()),
            pa.array(np.concatenate([np.arange(count, dtype=np.int32) for count in counts])),
            pa.repeat(self._version, len(of)),
            each([entry.seconds * 1000 for entry in entries], pa.float64()),
            each([entry.is_sampled for entry in entries], pa.bool_()),
            each([entry.is_outlier for entry in entries], pa.bool_()),
            each([entry.error or None for entry in entries], pa.string()),
        ]
        found = dict(zip(OWN.names, own, strict=True))
        parts = [entry.predicted for entry in entries if entry.predicted]
        if parts:
            for name, values in self._inputs([part.data for part in parts], len(of)).items():
                found[f"in.{name}"] = values
            if all(part.predictions is not None for part in parts):
                given = _outputs([part.predictions for part in parts], parts[0].method, len(of))
                found |= {f"out.{name}": values for name, values in given.items()}
        return pa.table({name: values for name, values in found.items() if len(values) == len(of)})

    def _inputs(self, data: list[Any], rows: int) -> dict[str, pa.Array]:
        if isinstance(data[0], Table):
            given = _of_tables(data, self._columns)
        elif all(isinstance(each, np.ndarray) for each in data):
            given = _of_matrix(np.concatenate(data), "input")
        elif all(isinstance(each, dict) for each in data):  # arrays by name
            given = {}
            for name in data[0]:
                given |= _of_matrix(np.concatenate([np.asarray(each[name]) for each in data]), name, by_column=False)
        elif all(hasattr(each, "columns") and hasattr(each, "iloc") for each in data):
            given = {str(name): _chained([each[name] for each in data]) for name in data[0].columns}
        else:
            given = {"input": _chained([each if isinstance(each, list) else [each] * rows for each in data])}
        types = {column.name: column.type for column in self._columns or ()}
        return {
            name: self._private(name, values, types.get(name)) for name, values in given.items() if self._keeps(name)
        }

    def _keeps(self, name: str) -> bool:
        return self._rules.keeps(name)

    def _private(self, name: str, values: Any, kind: str | None) -> pa.Array:  # noqa: ANN401 -- a column
        if name in self._rules.hash:
            listed = values.to_pylist() if isinstance(values, pa.Array) else list(values)
            return pa.array([self._rules.hashed(value) for value in listed], pa.string())
        return values if isinstance(values, pa.Array) else _array(values, TYPES.get(kind or ""))


def _kind(entry: Entry) -> tuple[Any, ...]:
    """Return what must be equal in requests whose rows are joined."""
    if not (found := entry.predicted):
        return ()
    data, given = found.data, found.predictions
    if isinstance(data, Table):
        form: Any = (bool(data.rows), data.block is not None, data.kind() if data.frame is not None else None)
    elif isinstance(data, dict):
        form = tuple((name, np.shape(values)[1:]) for name, values in data.items())
    elif isinstance(data, np.ndarray):
        form = (data.shape[1:], data.dtype.kind)
    else:
        form = tuple(map(str, data.columns)) if hasattr(data, "columns") else type(data)
    names = tuple(map(str, given.columns)) if hasattr(given, "columns") else type(given)
    return (type(data), form, found.method, names, np.shape(given)[1:] if isinstance(given, np.ndarray) else None)


def _of_tables(tables: list[Table], columns: Sequence[Column] | None) -> dict[str, Any]:
    """Return the columns of requests in one form of Table."""
    if tables[0].rows:
        values: list[Any] = list(zip(*chain.from_iterable(table.rows for table in tables), strict=True))
    elif tables[0].block is not None:
        joined = np.concatenate([table.block for table in tables if table.block is not None])
        if columns is None and joined.shape[1] > WIDE:
            return _of_matrix(joined, "input")
        values = list(joined.T)
    else:
        frames = [table.frame for table in tables if table.frame is not None]
        return {str(name): _chained([frame[name] for frame in frames]) for name in frames[0].columns}
    if columns is None and len(values) > WIDE:
        return {"input": _array([list(row) for table in tables for row in table.rows], None)}
    names = [column.name for column in columns] if columns else [str(at) for at in range(len(values))]
    return dict(zip(names, values, strict=True))


def _of_matrix(values: np.ndarray, name: str, *, by_column: bool = True) -> dict[str, Any]:
    """Return an array [rows, ...] as columns: one for each of few, or one of lists."""
    values = np.asarray(values)
    if values.ndim == 1:
        return {name: values}
    flat = values.reshape(len(values), -1)
    if by_column and values.ndim == 2 and flat.shape[1] <= WIDE:  # noqa: PLR2004 -- a matrix
        return {str(at): column for at, column in enumerate(flat.T)}
    if flat.shape[1] * flat.itemsize > LONGEST or flat.dtype.kind not in "biuf":
        return {name: pa.nulls(len(values), pa.list_(pa.float64()))}
    listed = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(flat).ravel()), max(flat.shape[1], 1))
    return {name: listed.cast(pa.list_(listed.type.value_type))}


def _outputs(given: list[Any], method: str, rows: int) -> dict[str, pa.Array]:
    """Return predictions as columns, named after the method that gave them, or by their own names."""
    name = "prediction" if method == "predict" else method
    if all(isinstance(each, np.ndarray) and each.ndim for each in given):
        joined = np.concatenate(given)
        if joined.ndim == 2 and joined.shape[1] <= WIDE:  # noqa: PLR2004 -- a column for each class or target
            return {f"{name}.{at}": _array(column, None) for at, column in enumerate(joined.T)}
        found = _of_matrix(joined, name, by_column=False)[name]
        return {name: found if isinstance(found, pa.Array) else _array(found, None)}
    if all(hasattr(each, "columns") and hasattr(each, "iloc") for each in given):
        return {str(column): _array(_chained([each[column] for each in given]), None) for column in given[0].columns}
    if all(hasattr(each, "iloc") for each in given):  # of pandas, without columns
        return {name: _array(_chained(given), None)}
    values = [to_json(each) for each in given]
    listed = [value for each in values for value in (each if isinstance(each, list) else [each])]
    return {name: _array(listed, None)} if len(listed) == rows else {}


def _chained(parts: list[Any]) -> list[Any]:
    return [value for part in parts for value in (part.tolist() if hasattr(part, "tolist") else part)]


def _array(values: Any, kind: pa.DataType | None) -> pa.Array:  # noqa: ANN401 -- a column in any form
    """Return a column in its own type; what has another type there is null, or else all of it is JSON."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind in "biufM":
            found = pa.array(np.ascontiguousarray(values))
            return found if kind is None or found.type == kind else found.cast(kind, safe=False)
        values = values.tolist()
    if kind is not None and pa.types.is_primitive(kind):  # nothing in it is long
        try:
            return pa.array(values, kind, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
    values = [_plain(value) for value in values]
    try:
        found = pa.array(values, kind, from_pandas=True)
        return found.cast(pa.string()) if pa.types.is_null(found.type) else found
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        if kind is not None and not pa.types.is_string(kind):
            return pa.array([_or_none(value, kind) for value in values], kind)
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _plain(value: Any) -> Any:  # noqa: ANN401 -- a cell
    """Return a value as Arrow takes it, no longer than LONGEST."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST // 4 else value[: LONGEST // 4]
    if isinstance(value, bytes | bytearray):
        return bytes(value) if len(value) <= LONGEST else None
    if isinstance(value, dt.date | int | float) or value is None:
        return value
    return _text(value) if not hasattr(value, "item") else value.item()


def _or_none(value: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 -- a cell
    try:
        return pa.scalar(value, kind, from_pandas=True).as_py()
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:  # noqa: ANN401 -- a cell
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    try:
        return json.dumps(to_json(value), default=str)[: LONGEST // 4]
    except ValueError:
        return ""


def join(tables: list[pa.Table]) -> pa.Table:
    """Return one table of many, whose columns may differ."""
    return tables[0] if len(tables) == 1 else pa.concat_tables(_agreeing(tables), promote_options="default")


def _agreeing(tables: list[pa.Table]) -> list[pa.Table]:
    """Return tables whose columns of one name have one type: where they differ, text."""
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            types.setdefault(field.name, set()).add(field.type)
    odd = {name for name, found in types.items() if len(found - {pa.null()}) > 1}
    return [_with_text(table, odd) for table in tables] if odd else tables


def _with_text(table: pa.Table, names: set[str]) -> pa.Table:
    to_text: Callable[[Any], str | None] = lambda value: None if value is None else _text(value)  # noqa: E731 -- it has a type
    for name in names.intersection(table.column_names):
        values = pa.array([to_text(value) for value in table[name].to_pylist()], pa.string())
        table = table.set_column(table.column_names.index(name), name, values)
    return table
