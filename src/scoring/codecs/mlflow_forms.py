"""Every form of input of MLflow's scoring protocol, read with pandas by MLflow's rules, for plain columns.

What is accepted, and what it becomes, follows MLflow 3.17 (mlflow.pyfunc.scoring_server, mlflow.utils.proto_json_utils,
mlflow.models.utils); the differences that are on purpose stand in docs/api.md: nothing is cut or wrapped silently.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scoring.bounds import DEFAULT, measure, measure_split
from scoring.codecs import slices
from scoring.codecs.casting import cast, enforce, to_array, typed_rows, wrong
from scoring.errors import Refusal, bad, lacking
from scoring.models.rows import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.bounds import Bounds
    from scoring.models.aliases import Json
    from scoring.models.signature import Column

MESSAGES = ("messages", "prompt", "input")
ARRAYS = ("instances", "inputs")
FORMS = ("dataframe_split", "dataframe_records", *ARRAYS)
WANTED = f"the body must be a JSON object with exactly one of {', '.join(FORMS)}"
LARGE = 64 * 1024  # bytes
BOM = b"\xef\xbb\xbf"
RAGGED = "dataframe_split is not a table: every row needs as many values as there are columns"
LENGTHS = "the columns are not a table: they must have the same length"


def parse(body: bytes, bounds: Bounds = DEFAULT) -> dict[str, Any]:
    """Return a JSON body as Python objects, with NaN and Infinity as in MLflow; raise Refusal for what is no JSON."""
    try:
        if (encoding := json.detect_encoding(body)) not in {"utf-8", "utf-8-sig"}:  # MLflow takes it, too
            body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
        bounds.check_json(body)
        value = slices.load(body.removeprefix(BOM)) if len(body) > LARGE else json.loads(body)
    except RecursionError:
        raise bad(f"the JSON is nested deeper than {bounds.max_depth} levels") from None
    except ValueError:  # UnicodeDecodeError is one
        raise bad("the body is not valid JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise bad(WANTED)
    return value


def to_table(value: dict[str, Any], columns: Sequence[Column], bounds: Bounds = DEFAULT) -> Table:
    """Return the rows of a parsed JSON body, or raise Refusal."""
    given = [form for form in FORMS if form in value]
    if len(given) != 1:
        raise bad(WANTED)
    data = _with_own_names(value[given[0]], columns)
    if given[0] == "dataframe_split":
        frame = _cast(_split(data, columns, bounds), columns)
    elif given[0] == "dataframe_records":
        frame = _cast(_records(data, columns, bounds), columns)
    else:
        frame = _tensors(data, columns, bounds, of_rows=given[0] == "instances")
    return from_frame(frame, columns)


def is_message(value: dict[str, Any]) -> bool:
    """Whether a parsed JSON body has one of the keys by which MLflow takes it for a request to a language model."""
    return any(key in value for key in MESSAGES)


def from_message(value: dict[str, Any], columns: Sequence[Column], bounds: Bounds = DEFAULT) -> Table:
    """Return what such a body is for a model with columns of these names, mostly one row, or raise Refusal."""
    texts = all(np.isscalar(each) or each is None or _is_texts(each) for each in value.values())
    return from_frame(_frame_of([value] if texts else value, columns, bounds), columns)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def own_names(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the names that are not texts, by the text that stands for them where all names are texts.

    Such are the names of a matrix's columns.
    """
    return {str(column.name): column.name for column in columns if not isinstance(column.name, str)}


def _with_own_names(data: Json, columns: Sequence[Column]) -> Json:
    """Return the data of any form with the signature's names in the place of their texts."""
    if not (own := own_names(columns)):
        return data

    def rename(row: Json) -> Json:
        return {own.get(name, name): value for name, value in row.items()} if isinstance(row, dict) else row

    if isinstance(data, dict) and isinstance(given := data.get("columns"), list):
        return {**data, "columns": [own.get(name, name) if isinstance(name, str) else name for name in given]}
    return [rename(row) for row in data] if isinstance(data, list) else rename(data)


def from_frame(frame: pd.DataFrame, columns: Sequence[Column]) -> Table:
    """Return the signature's columns of a DataFrame, in its order and of its types, or raise Refusal."""
    if own := own_names(columns):
        frame = frame.rename(columns=own)
    missing = [column.name for column in columns if column.required and column.name not in frame]
    if missing:
        raise lacking([str(name) for name in missing])
    present = [column for column in columns if column.name in frame]
    if any(isinstance(frame[column.name], pd.DataFrame) for column in present):
        raise bad("a column appears twice")
    kept = pd.DataFrame({column.name: enforce(frame[column.name], column) for column in present}, index=frame.index)
    return Table(len(kept), frame=kept)


def check(form: str, data: Json, bounds: Bounds) -> None:
    """Raise Refusal for the data of a form that are no table, or too large a one."""
    if form == "dataframe_split":
        if not isinstance(data, dict) or "data" not in data or data.keys() - {"columns", "data", "index"}:
            raise bad("dataframe_split must be an object with data, columns and optionally index")
        bounds.check(*measure_split(data))
        rows, names = data["data"], data.get("columns")
        widths = {len(row) for row in rows if isinstance(row, list)} if isinstance(rows, list) else set()
        if len(widths | ({len(names)} if widths and isinstance(names, list) else set())) > 1:
            raise bad(RAGGED)
    elif form == "dataframe_records" and not isinstance(data, list):
        raise bad("dataframe_records must be a list of objects, one per row")
    else:
        bounds.check(*measure(data))
        if form in ARRAYS:
            bounds.check_texts(data)


def _split(data: Json, columns: Sequence[Column], bounds: Bounds) -> pd.DataFrame:
    check("dataframe_split", data, bounds)
    rows, names = data["data"], data.get("columns")
    if isinstance(names, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
        known = {column.name for column in columns}
        kept = [at for at, name in enumerate(names) if not isinstance(name, str) or name in known]
        if len(kept) < len(names):
            rows, names = [[row[at] for at in kept] for row in rows], [names[at] for at in kept]
    try:
        return pd.DataFrame(index=data.get("index"), columns=names, data=rows)
    except Exception:  # noqa: BLE001 -- pandas raises many
        raise bad(RAGGED) from None


def _records(data: Json, columns: Sequence[Column], bounds: Bounds) -> pd.DataFrame:
    if not isinstance(data, list):
        raise bad("dataframe_records must be a list of objects, one per row")
    try:
        return pd.DataFrame(data=_known(data, columns, bounds))
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 -- pandas raises many
        raise bad("dataframe_records is not a table: send a list of objects, one per row") from None


def _known(rows: list[Any], columns: Sequence[Column], bounds: Bounds) -> list[Any]:
    """Return rows with no more than the signature's columns; raise Refusal when their table were too large."""
    bounds.check_rows(len(rows))
    if all(isinstance(row, dict) for row in rows):
        known = {column.name for column in columns}
        if not all(known.issuperset(row) for row in rows):
            rows = [{name: value for name, value in row.items() if name in known} for row in rows]
        bounds.check_sparse(len(rows), len({name for row in rows for name in row}))
        return rows
    bounds.check(*measure(rows))
    return rows


def _cast(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Give the columns of a JSON table the signature's types."""
    for column in columns:
        if column.name not in frame:
            continue
        values = frame[column.name]
        if isinstance(values, pd.DataFrame):
            raise bad("a column appears twice")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame[column.name] = cast(values, column)
        except Exception:  # noqa: BLE001 -- pandas raises many
            raise wrong(column) from None
    return frame


def _tensors(data: Json, columns: Sequence[Column], bounds: Bounds, *, of_rows: bool) -> pd.DataFrame:
    """Read `instances` (list of rows) or `inputs` (by column, or list of rows); one column may be a bare list."""
    by_name = {column.name: column for column in columns}
    bounds.check_rows(measure(data)[0])
    if isinstance(data, list) and not any(isinstance(row, dict) for row in data) and len(columns) == 1:
        data = {columns[0].name: data}
    if (
        isinstance(data, list)
        and data
        and {type(row) for row in data} == {list}
        and any(isinstance(name, int) for name in by_name)
    ):
        return _frame_of(_numbered(data, by_name), columns, bounds)
    if isinstance(data, list) and all(isinstance(row, dict) for row in data) and data:
        if not of_rows:
            return _frame_of(typed_rows(data, by_name), columns, bounds)
        gathered: dict[str, list[Any]] = {}
        for row in data:
            for name, value in row.items():
                gathered.setdefault(name, []).append(value)
        lengths = {len(values) for name, values in gathered.items() if name in by_name and by_name[name].required}
        if len(lengths) > 1:
            raise bad("the columns have different lengths")
        return _frame_of(
            {name: to_array(values, by_name.get(name)) for name, values in gathered.items()}, columns, bounds
        )
    if not isinstance(data, dict):
        raise bad("the rows name no columns: send them as objects, or by column")
    arrays = {name: to_array(value, by_name.get(name)) for name, value in data.items()}
    scalars = all(np.isscalar(array) for array in arrays.values())
    return _frame_of([arrays] if scalars else arrays, columns, bounds)


def _numbered(rows: list[list[Any]], by_name: dict[Any, Column]) -> dict[Any, Any]:
    """Return rows by column, for columns that are named as their places.

    Those of a matrix, when pandas made a table of it.
    """
    if len({len(row) for row in rows}) > 1:
        raise bad("every row needs as many values as the others")
    return {at: to_array([row[at] for row in rows], by_name[at]) for at in range(len(rows[0])) if at in by_name}


def _frame_of(data: Json, columns: Sequence[Column], bounds: Bounds) -> pd.DataFrame:
    """Return the table of the signature's columns among rows, or among columns, which have one length."""
    index = None
    if isinstance(data, list):
        data = _known(data, columns, bounds)
    else:
        data, index = _columns(data, columns, bounds)
    try:
        return pd.DataFrame(data, index)
    except Exception:  # noqa: BLE001 -- pandas raises many
        raise bad(LENGTHS) from None


def _columns(
    data: dict[str, Any], columns: Sequence[Column], bounds: Bounds
) -> tuple[dict[str, Any], list[str] | None]:
    """Return the signature's columns, and the names of the rows where a column names them.

    Raise Refusal for those of other lengths.
    """
    lengths = {
        len(each) for each in data.values() if isinstance(each, list) or (isinstance(each, np.ndarray) and each.ndim)
    }
    named = [each for each in data.values() if isinstance(each, dict)]
    index = list(dict.fromkeys(name for each in named for name in each)) if named else None
    if len(lengths) > 1 or (lengths and named):
        raise bad(LENGTHS)
    known = {column.name for column in columns}
    kept = {name: each for name, each in data.items() if name in known} or dict(list(data.items())[:1])
    rows = max(lengths, default=1) if index is None else len(index)
    bounds.check(
        rows, len(kept), sum(len(each) if isinstance(each, dict) or np.ndim(each) else 1 for each in data.values())
    )
    # pandas takes columns of plain values only
    return {
        name: each.tolist() if isinstance(each, np.ndarray) and each.ndim > 1 else each for name, each in kept.items()
    }, index
