"""The values of one column as the signature's type: MLflow's rules, less what it cuts or wraps without a word."""

from __future__ import annotations

import base64
import re
import warnings
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scoring.errors import DATES, bad
from scoring.models.signature import SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.models.aliases import Json, Values
    from scoring.models.signature import Column

TEXTS: dict[str, Callable[[Any], Any]] = {  # what numpy makes of a value: a zero character ends none of its texts
    "string": lambda value: str(value).rstrip("\0"),
    "binary": lambda value: str(value).encode("ascii").rstrip(b"\0"),
}
NUMPYS: dict[str, type[np.str_ | np.bytes_]] = {"string": np.str_, "binary": np.bytes_}
SMALL = 65536  # bytes of an array of texts, each of which takes as much memory as the longest
EXACT = 4  # bytes: a double holds every integer of as many
BITS = {"integer": 32, "long": 64}
DATETIME = "datetime64[ns]"  # UTC, without a zone
DATE = re.compile(r"(?<![.\d])\d{4}|\d{1,2}[-/. ]+\w+[-/. ,]+\d{1,2}")  # a year, or a day, month and year
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def cast(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    """Return a column of a JSON table as the signature's type; raise whatever pandas raises, or Refusal."""
    if column.type == "binary":
        return values.map(lambda text: base64.decodebytes(bytes(text, "utf8")))
    if column.type == "string":
        return values if isinstance(values.dtype, pd.StringDtype) else values.astype(object)
    if column.type == "datetime":
        return parse_dates(values)
    if column.type in BITS:
        _check_whole(values, column)
    return values.astype(SCALARS[column.type])


def parse_dates(values: Values) -> pd.Series[Any]:
    """Return values as a Series of DATETIME: an offset is taken into account, text without one is UTC.

    Raise ValueError or TypeError.

    A number is refused, as text, too: nobody can know whether it counts seconds or nanoseconds, or is a year. So is a
    time of day.
    """
    given = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
    kind = getattr(given.dtype, "kind", "O")
    if kind not in "OMUT" and not isinstance(given.dtype, pd.StringDtype) and not given.isna().all():
        raise TypeError(kind)
    if kind != "M":
        for value in given:
            if isinstance(value, str) and NUMBER.fullmatch(value):
                raise ValueError(value)
            if isinstance(value, Number | np.bool_) and value == value:  # noqa: PLR0124 -- NaN is no date, and none is wanted
                raise TypeError(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = pd.to_datetime(given, utc=True)
        except ValueError:  # they are not all written as the first is; as ISO 8601 has them, they need not be
            parsed = pd.to_datetime(given, utc=True, format="ISO8601")
    for value, moment in zip(given, parsed, strict=True) if kind != "M" else ():
        if (
            isinstance(value, str) and not DATE.search(value) and moment is not pd.NaT
        ):  # pandas takes "12:30" for today, and "now" for now
            raise ValueError(value)
    return parsed.dt.tz_localize(None).astype(DATETIME)


def _check_whole(values: Values, column: Column) -> None:
    """Refuse what a cast to integers would cut or wrap without a word."""
    limit = 2 ** (BITS[column.type] - 1)
    for value in values if isinstance(values, list) or values.dtype == object else values[~pd.isna(values)].tolist():
        if isinstance(value, float) and not value.is_integer():
            raise wrong(column)
        if isinstance(value, int | float) and not -limit <= value < limit:
            raise wrong(column)


def to_array(value: Json, column: Column | None) -> Values:
    """Convert a value, or a list of them, as numpy does to the column's type; what no column takes stays as it is."""
    try:
        if column is None or column.type in TEXTS:
            return _to_objects(value, None if column is None else TEXTS[column.type])
        if column.type == "datetime":
            parsed = parse_dates(value if isinstance(value, list) else [value]).to_numpy()
            return parsed if isinstance(value, list) else parsed[0]
        if column.type in BITS:
            _check_whole(value if isinstance(value, list) else [value], column)
        kind = SCALARS[column.type]
        return np.array(value, kind) if isinstance(value, list) else np.array([value], kind)[0]
    except Exception:  # noqa: BLE001 -- numpy raises many
        raise (wrong(column) if column else bad("a column that the model does not use mixes types of values")) from None


def typed_rows(rows: list[dict[str, Any]], by_name: dict[str, Column]) -> list[dict[str, Any]]:
    """Return rows whose values have the signature's types."""
    typed = [{name: value if name in by_name else to_array(value, None) for name, value in row.items()} for row in rows]
    for name in {name for row in rows for name in row if name in by_name}:
        for row, value in zip((row for row in typed if name in row), _to_arrays(rows, by_name[name]), strict=True):
            row[name] = value
    return typed


def _to_arrays(rows: list[dict[str, Any]], column: Column) -> list[Any]:
    """Convert a column's values in rows that have it: single values together, as one by one is slow."""
    values = [row[column.name] for row in rows if column.name in row]
    if column.type == "datetime" and any(isinstance(value, list) for value in values):
        raise wrong(column)
    single = iter(to_array([value for value in values if not isinstance(value, list)], column))
    arrays = [to_array(value, column) if isinstance(value, list) else next(single) for value in values]
    return [_of_numpy(each, NUMPYS[column.type]) for each in arrays] if column.type in NUMPYS else arrays


def _of_numpy(texts: Values, kind: type[np.str_ | np.bytes_]) -> Values:
    """Return a text, or an array of texts that takes little memory, as numpy's own kind, as in MLflow's rows."""
    if not isinstance(texts, np.ndarray):
        return kind(texts)
    longest = max(map(len, texts.ravel()), default=0)
    return texts.astype(kind) if 4 * longest * texts.size <= SMALL else texts


def _to_objects(value: Json, convert: Callable[[Any], Any] | None) -> Json:
    """Return what numpy makes of texts, as objects.

    An array of numpy's texts gives each as much memory as the longest takes.
    """
    array = (
        np.array(value, object) if isinstance(value, list) or convert is None else np.array([value, None], object)[:1]
    )
    flat = array.ravel()
    if any(isinstance(each, list) for each in flat):
        raise ValueError(array.shape)
    if convert is not None:
        flat[:] = [convert(each) for each in flat]
    if isinstance(value, list) or convert is None:
        return flat.reshape(array.shape)
    return np.bytes_(flat[0]) if isinstance(flat[0], bytes) else flat[0]


def enforce(values: pd.Series[Any], column: Column) -> Values:
    """Return a column as the signature's type where that loses nothing, or raise Refusal.

    MLflow's `_enforce_mlflow_datatype`.
    """
    if values.dtype == object and column.type not in {"binary", "string"}:
        values = values.infer_objects()
    wanted, kind = np.dtype(SCALARS[column.type]), getattr(values.dtype, "kind", "O")
    text = values.dtype == object or isinstance(values.dtype, pd.StringDtype)
    if (
        values.dtype == wanted
        or (text and column.type in {"string", "binary"})
        or (column.type == "boolean" and values.dtype == object)
    ):
        return values
    try:
        if column.type == "datetime" and (text or kind == "M"):
            return parse_dates(values)
        if column.type == "double" and values.dtype == object:
            return pd.to_numeric(values)
        if column.type not in {"string", "binary", "datetime"} and _widens(values, kind, wanted):
            return values.astype(wanted)
    except (TypeError, ValueError):
        pass
    raise wrong(column)


def _widens(values: pd.Series[Any], kind: str, wanted: np.dtype[Any]) -> bool:
    """Whether every value of a column of numbers is one of the wanted type."""
    size = getattr(values.dtype, "itemsize", 0)
    return bool(
        (kind == wanted.kind and size <= wanted.itemsize)
        or (kind == "u" and wanted.kind == "i" and size < wanted.itemsize)
        or (kind in "iu" and wanted == np.float64 and size <= EXACT)
        or (values.dtype == np.int64 and wanted.kind == "f" and values.isin([0, 1]).all())
    )


def wrong(column: Column) -> Exception:
    """Return the refusal of a value that is not of a column's type."""
    wanted = DATES if column.type == "datetime" else column.type
    return bad(f"column {column.name} contains a value that is not a valid {wanted}")
