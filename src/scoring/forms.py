"""Every form of input that MLflow's scoring protocol has, read with pandas by MLflow's rules, for models with plain columns.

What is accepted, and what it becomes, follows MLflow 3.17 (mlflow.pyfunc.scoring_server, mlflow.utils.proto_json_utils,
mlflow.models.utils); the differences that are on purpose stand in docs/api.md: nothing is cut or wrapped silently.
"""

from __future__ import annotations

import base64
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scoring.errors import bad
from scoring.signature import SCALARS
from scoring.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.signature import Column

MESSAGES = ("messages", "prompt", "input")
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
WANTED = f"the body is a JSON object with exactly one of {', '.join(FORMS)}"
BITS = {"integer": 32, "long": 64}


def parse(body: bytes, max_depth: int) -> dict[str, Any]:
    """Return a JSON body as Python objects, NaN and Infinity let through as in MLflow; raise Refusal for what is none."""
    try:
        value = json.loads(body)
    except RecursionError:
        raise bad(f"the JSON is nested deeper than {max_depth} levels") from None
    except ValueError:  # UnicodeDecodeError is one
        raise bad("the body is not valid JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise bad(WANTED)
    level: list[Any] = [value]
    for _ in range(max_depth):
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each) if isinstance(child, dict | list)]
        if not level:
            return value
    raise bad(f"the JSON is nested deeper than {max_depth} levels")


def to_table(value: dict[str, Any], columns: Sequence[Column]) -> Table:
    """Return the rows of a parsed JSON body, or raise Refusal."""
    given = [form for form in FORMS if form in value]
    if len(given) != 1:
        raise bad(WANTED)
    data = value[given[0]]
    if given[0] == "dataframe_split":
        frame = _cast(_split(data), columns)
    elif given[0] == "dataframe_records":
        frame = _cast(_records(data), columns)
    else:
        frame = _tensors(data, columns, of_rows=given[0] == "instances")
    return from_frame(frame, columns)


def is_message(value: dict[str, Any]) -> bool:
    """Whether a parsed JSON body has one of the keys by which MLflow takes it for a request to a language model."""
    return any(key in value for key in MESSAGES)


def from_message(value: dict[str, Any], columns: Sequence[Column]) -> Table:
    """Return what such a body is for a model with columns of these names, mostly one row, or raise Refusal."""
    texts = all(np.isscalar(each) or each is None or _is_texts(each) for each in value.values())
    return from_frame(_frame_of([value] if texts else value), columns)


def _is_texts(value: Any) -> bool:  # noqa: ANN401 -- any JSON
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def from_csv(body: bytes, columns: Sequence[Column]) -> Table:
    """Return the rows of a CSV body with a header line, or raise Refusal."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise bad("the CSV is not valid UTF-8") from None
    try:
        frame = pd.read_csv(io.StringIO(text), dtype={column.name: SCALARS[column.type] for column in columns})
    except Exception:  # noqa: BLE001 -- pandas raises many, with the caller's values in their words
        raise bad("the CSV cannot be read as a table with the model's columns and types") from None
    return from_frame(frame, columns)


def from_parquet(body: bytes, columns: Sequence[Column]) -> Table:
    """Return the rows of a Parquet body, or raise Refusal."""
    try:
        frame = pd.read_parquet(io.BytesIO(body))
    except Exception:  # noqa: BLE001 -- as above
        raise bad("the body is not a Parquet file that can be read as a table") from None
    return from_frame(frame, columns)


def from_frame(frame: pd.DataFrame, columns: Sequence[Column]) -> Table:
    """Return the signature's columns of a DataFrame, in its order and of its types, or raise Refusal."""
    missing = [column.name for column in columns if column.required and column.name not in frame]
    if missing:
        raise bad(f"columns that the model needs are missing: {', '.join(map(str, missing))}")
    present = [column for column in columns if column.name in frame]
    if any(isinstance(frame[column.name], pd.DataFrame) for column in present):
        raise bad("a column is there twice")
    kept = pd.DataFrame({column.name: _enforce(frame[column.name], column) for column in present}, index=frame.index)
    return Table(len(kept), frame=kept)


def _split(data: Any) -> pd.DataFrame:  # noqa: ANN401 -- any JSON
    if not isinstance(data, dict) or "data" not in data or data.keys() - {"columns", "data", "index"}:
        raise bad("dataframe_split is an object with data, columns and, if need be, index")
    try:
        return pd.DataFrame(index=data.get("index"), columns=data.get("columns"), data=data["data"])
    except Exception:  # noqa: BLE001 -- pandas raises many
        raise bad("dataframe_split is no table: every row needs as many values as there are columns") from None


def _records(data: Any) -> pd.DataFrame:  # noqa: ANN401 -- any JSON
    if not isinstance(data, list):
        raise bad("dataframe_records is a list of objects, one a row")
    try:
        return pd.DataFrame(data=data)
    except Exception:  # noqa: BLE001 -- pandas raises many
        raise bad("dataframe_records is no table: it is a list of objects, one a row") from None


def _cast(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Give the columns of a JSON table the signature's types."""
    for column in columns:
        if column.name not in frame:
            continue
        values = frame[column.name]
        if isinstance(values, pd.DataFrame):
            raise bad("a column is there twice")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame[column.name] = _cast_column(values, column)
        except Exception:  # noqa: BLE001 -- pandas raises many
            raise _wrong(column) from None
    return frame


def _cast_column(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    if column.type == "binary":
        return values.map(lambda text: base64.decodebytes(bytes(text, "utf8")))
    if column.type == "string":
        return values if isinstance(values.dtype, pd.StringDtype) else values.astype(object)
    if column.type == "datetime":
        parsed = pd.to_datetime(values)
        return parsed.dt.as_unit("ns") if pd.api.types.is_datetime64_any_dtype(parsed) else parsed
    if column.type in BITS:
        _check_whole(values, column)
    return values.astype(SCALARS[column.type])


def _check_whole(values: Any, column: Column) -> None:  # noqa: ANN401 -- a Series, or a list of Python values
    """Refuse what a cast to integers would cut or wrap without a word."""
    limit = 2 ** (BITS[column.type] - 1)
    for value in values if isinstance(values, list) or values.dtype == object else values[~pd.isna(values)].tolist():
        if isinstance(value, float) and not value.is_integer():
            raise _wrong(column)
        if isinstance(value, int | float) and not -limit <= value < limit:
            raise _wrong(column)


def _tensors(data: Any, columns: Sequence[Column], *, of_rows: bool) -> pd.DataFrame:  # noqa: ANN401 -- any JSON
    """Read `instances` (a list of rows) or `inputs` (by column, or a list of rows); one column may come as a bare list."""
    by_name = {column.name: column for column in columns}
    if isinstance(data, list) and not any(isinstance(row, dict) for row in data) and len(columns) == 1:
        data = {columns[0].name: data}
    if isinstance(data, list) and all(isinstance(row, dict) for row in data) and data:
        table = [{name: _array(value, by_name.get(name)) for name, value in row.items()} for row in data]
        if not of_rows:
            return _frame_of(table)
        gathered: dict[str, list[Any]] = {}
        for row in table:
            for name, value in row.items():
                gathered.setdefault(name, []).append(value)
        lengths = {len(values) for name, values in gathered.items() if name in by_name and by_name[name].required}
        if len(lengths) > 1:
            raise bad("the columns have different lengths")
        return _frame_of({name: _array(values, None) for name, values in gathered.items()})
    if not isinstance(data, dict):
        raise bad("the rows name no columns: send them as objects, or by column")
    arrays = {name: _array(value, by_name.get(name)) for name, value in data.items()}
    scalars = all(np.isscalar(array) for array in arrays.values())
    return _frame_of([arrays] if scalars else arrays)


def _frame_of(data: Any) -> pd.DataFrame:  # noqa: ANN401 -- rows or columns
    if isinstance(data, dict):  # pandas takes columns of plain values only
        data = {name: each.tolist() if isinstance(each, np.ndarray) and each.ndim > 1 else each for name, each in data.items()}
    try:
        return pd.DataFrame(data)
    except Exception:  # noqa: BLE001 -- pandas raises many
        raise bad("the columns are no table: they need the same lengths") from None


def _array(value: Any, column: Column | None) -> Any:  # noqa: ANN401 -- any JSON
    """Convert a value, or a list of them, as numpy does to the column's type."""
    kind = None if column is None else {"string": "str", "binary": "bytes"}.get(column.type, SCALARS[column.type])
    try:
        if column and column.type in BITS:
            _check_whole(value if isinstance(value, list) else [value], column)
        return np.array(value, kind) if isinstance(value, list) or column is None else np.array([value], kind)[0]
    except Exception:  # noqa: BLE001 -- numpy raises many
        raise (_wrong(column) if column else bad("a column that the model does not take holds values of different kinds")) from None


def _enforce(values: pd.Series[Any], column: Column) -> Any:  # noqa: ANN401 -- a Series
    """Return a column as the signature's type where that loses nothing, or raise Refusal: MLflow's `_enforce_mlflow_datatype`."""
    if values.dtype == object and column.type not in {"binary", "string"}:
        values = values.infer_objects()
    wanted, kind = np.dtype(SCALARS[column.type]), getattr(values.dtype, "kind", "O")
    text = values.dtype == object or isinstance(values.dtype, pd.StringDtype)
    if values.dtype == wanted or (text and column.type in {"string", "binary"}) or (column.type == "boolean" and values.dtype == object):
        return values
    try:
        if column.type == "datetime" and (kind == "M" or values.dtype == object):
            return values.astype(wanted)
        if column.type == "double" and values.dtype == object:
            return pd.to_numeric(values)
        if column.type not in {"string", "binary", "datetime"} and _widens(values, kind, wanted):
            return values.astype(wanted)
    except (TypeError, ValueError):
        pass
    raise _wrong(column)


def _widens(values: pd.Series[Any], kind: str, wanted: np.dtype[Any]) -> bool:
    """Whether every value of a column of numbers is one of the wanted type."""
    size = getattr(values.dtype, "itemsize", 0)
    return bool(
        (kind == wanted.kind and size <= wanted.itemsize)
        or (kind == "u" and wanted.kind == "i" and size < wanted.itemsize)
        or (kind in "iu" and wanted == np.float64 and size <= 4)  # noqa: PLR2004 -- bytes: a double holds every 32-bit integer
        or (values.dtype == np.int64 and wanted.kind == "f" and values.isin([0, 1]).all())
    )


def _wrong(column: Column) -> Exception:
    return bad(f"column {column.name} holds a value that is no {column.type}")
