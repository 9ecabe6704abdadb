"""The short way from a JSON body to rows: strict, by the signature, in compiled code.

What it declines, `mlflow_forms` reads.

A body is taken here only when it is plain: dataframe_split, dataframe_records or inputs by column, every value of
exactly the column's type. The result is then what MLflow's own parsing and casting gives (tests/contract compares
them).
"""

from __future__ import annotations

import hashlib
from operator import itemgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, UnsetType

from scoring.bounds import DEFAULT
from scoring.codecs.simd import count_brackets, parse_numbers
from scoring.models.rows import Table
from scoring.models.signature import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.bounds import Bounds
    from scoring.models.signature import Column, Signature

LARGE = 4096  # bytes; from here on simdjson's way into a matrix is the shorter one
NUL = b"\\u0000"
PLANS = 64  # orders of columns that are remembered, fewer when the columns are many
NAMES = 64 * 1024  # columns in all plans together
EXTRA = 1000  # columns that a plain body may have beside those of the model
SPLIT = b'"dataframe_split"'
HUGE = 256 * 1024  # bytes
KEY = 512  # bytes; of a longer list of columns its hash is remembered
NOT_PLAIN = {"dataframe_records", "inputs", "instances", "params", "messages", "prompt", "input"}
FAILURES = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RuntimeError,
)  # simdjson's are RuntimeErrors, some of them
EXACT = 2.0**53  # below this a double holds every whole number
TYPES: dict[str, Any] = {
    "double": float,
    "float": float,
    "long": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "integer": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "boolean": bool,
    "string": str,
}


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    data: Raw
    columns: Raw


class _Body(msgspec.Struct):
    dataframe_split: _Split | UnsetType = UNSET
    dataframe_records: Raw | UnsetType = UNSET
    inputs: Raw | UnsetType = UNSET
    instances: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    messages: Raw | UnsetType = UNSET
    prompt: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET


class Decoder:
    """Reads plain JSON bodies for one signature."""

    def __init__(self, columns: Sequence[Column], bounds: Bounds = DEFAULT) -> None:
        self.width = len(columns)
        self._bounds = bounds
        self._names = [column.name for column in columns]
        self._kinds = [TYPES.get(column.type) for column in columns]
        self._kind_of = dict(zip(self._names, self._kinds, strict=True))
        self._able = all(self._kinds)
        self._body = msgspec.json.Decoder(_Body)
        self._list = msgspec.json.Decoder(list[str])
        self._plans: dict[bytes, tuple[msgspec.json.Decoder[Any], Callable[[Any], Any] | None]] = {}
        self._integers = [at for at, column in enumerate(columns) if column.type in {"long", "integer"}]
        self._bound = 2.0**31 if any(column.type == "integer" for column in columns) else EXACT
        self._numeric = all(column.type in NUMBERS for column in columns)
        if self._able:
            fields = [(f"f{at}", kind) for at, kind in enumerate(self._kinds)]
            rename = {f"f{at}": name for at, name in enumerate(self._names)}
            self._records = msgspec.json.Decoder(_list_of(msgspec.defstruct("Record", fields, rename=rename)))
            lists = [(f"f{at}", _list_of(kind)) for at, kind in enumerate(self._kinds)]
            self._by_column = msgspec.json.Decoder(
                msgspec.defstruct("Inputs", lists, rename=rename, forbid_unknown_fields=True)
            )

    def decode(self, body: bytes) -> Table | None:
        """Return the rows of a plain body; None for any other, right or wrong; raise Refusal for too many rows."""
        if not self._able:
            return None
        try:
            if len(body) > LARGE and self._numeric:
                return self._decode_large(body)
            if not body.isascii():
                body.decode()  # msgspec does not look at text that it skips
            return self._decode_small(body, self._body.decode(body))
        except FAILURES:
            return None

    def _decode_small(self, whole: bytes, body: _Body) -> Table | None:
        if any(form is not UNSET for form in (body.params, body.instances, body.messages, body.prompt, body.input)):
            return None
        given = [form is not UNSET for form in (body.dataframe_split, body.dataframe_records, body.inputs)]
        if sum(given) != 1:
            return None
        if body.dataframe_split is not UNSET:
            decoder, order = self._plan(bytes(body.dataframe_split.columns))
            rows = decoder.decode(body.dataframe_split.data)
            if order:
                rows = [order(row) for row in rows]
        elif body.dataframe_records is not UNSET:
            rows = [msgspec.structs.astuple(record) for record in self._records.decode(body.dataframe_records)]
        elif NUL in bytes(body.inputs):  # type: ignore[arg-type]
            return None  # numpy drops it at the end of a text, under MLflow too
        else:
            rows = list(zip(*msgspec.structs.astuple(self._by_column.decode(body.inputs)), strict=True))  # type: ignore[arg-type]
        if whole.count(b"[") + whole.count(b"{") > self._bounds.max_depth:
            lists = (
                len(rows) if body.inputs is UNSET else len(self._names)
            )  # of values; what else is nested, is in what nobody reads
            if not self._bounds.is_shallow(whole, lists - 1):
                return None
        return Table(len(rows), rows) if rows else None

    def _plan(self, columns: bytes) -> tuple[msgspec.json.Decoder[Any], Callable[[Any], Any] | None]:
        """Return the decoder for rows in a request's order of columns, and their indices in the signature's order."""
        key = columns if len(columns) <= KEY else hashlib.sha256(columns).digest()
        if plan := self._plans.pop(key, None):
            self._plans[key] = plan  # the newest again
            return plan
        given = self._list.decode(columns)
        at = self._positions(given)
        kinds = tuple(self._kind_of.get(name, Any) for name in given)
        decoder = msgspec.json.Decoder(_list_of(GenericAlias(tuple, kinds)))
        order = None
        if given != self._names:
            order = itemgetter(*at) if len(at) > 1 else lambda row: (row[at[0]],)
        if len(given) == len(self._names):
            self._plans[key] = decoder, order
            if len(self._plans) > max(2, min(PLANS, NAMES // len(given))):
                self._plans.pop(next(iter(self._plans)), None)
        return decoder, order

    def _positions(self, given: list[str]) -> list[int]:
        """Return where the signature's columns stand among a request's.

        Raise KeyError or ValueError where they do not, or twice.
        """
        if len(given) > len(self._names) + EXTRA:
            raise ValueError(len(given))
        place = {name: at for at, name in enumerate(given)}
        if len(place) != len(given):
            raise ValueError(given)
        return [place[name] for name in self._names]

    def _decode_large(self, body: bytes) -> Table | None:
        """Read a dataframe_split of numbers into a matrix; None for another form, or rows that are surely too long."""
        if SPLIT not in body or (
            len(body) > HUGE and body.count(b",") > (count_brackets(body) + 1) * (self.width + EXTRA)
        ):
            return None
        document: Any = parse_numbers(body)
        keys, split = list(document.keys()), document["dataframe_split"]
        given = split["columns"].as_list()
        if len(set(keys)) != len(keys) or NOT_PLAIN & set(keys) or sorted(split.keys()) != ["columns", "data"]:
            return None
        at = self._positions(given)
        rows = split["data"]
        n, width = len(rows), len(given)
        self._bounds.check_rows(n)
        # simdjson flattens whatever is nested: so every row has the right length, and there are no further brackets in
        # the body.
        if (
            n == 0
            or set(map(len, rows)) != {width}
            or count_brackets(body) != n + 2
            or body.count(b"{") >= self._bounds.max_depth
        ):
            return None
        block = np.frombuffer(rows.as_buffer(of_type="d"), dtype=np.float64).reshape(n, width)
        if given != self._names:
            block = block[:, at]
        if self._integers:
            whole = block[:, self._integers]
            if np.abs(whole).max() >= self._bound or (whole != np.trunc(whole)).any():
                return None
        return Table(n, block=block)


def decoder_for(signature: Signature, bounds: Bounds = DEFAULT) -> Decoder | MatrixDecoder | None:
    """Return the decoder for a signature, if it has a short way.

    Names that no struct can have, such as numbers, leave it none.
    """
    try:
        if signature.columns:
            return Decoder(signature.columns, bounds)
        return MatrixDecoder(*signature.tensor, bounds) if signature.tensor else None
    except Exception:  # noqa: BLE001 -- whatever msgspec raises for odd names; `mlflow_forms` or MLflow's parser reads the bodies then
        return None


class _Matrix(msgspec.Struct):
    inputs: Raw | UnsetType = UNSET
    instances: Raw | UnsetType = UNSET
    dataframe_split: Raw | UnsetType = UNSET
    dataframe_records: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    messages: Raw | UnsetType = UNSET
    prompt: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET


def _list_of(kind: object) -> GenericAlias:
    """Return `list[kind]`, for a kind that only the signature says."""
    return GenericAlias(list, kind)


class MatrixDecoder:
    """Reads plain JSON bodies for a signature that is one matrix: `inputs` or `instances` with n rows of numbers."""

    def __init__(self, kind: str, width: int, bounds: Bounds = DEFAULT) -> None:
        self._kind = kind
        self._bounds = bounds
        self.width = width
        value = {"int64": TYPES["long"], "int32": TYPES["integer"]}.get(kind, float)
        self._rows = msgspec.json.Decoder(_list_of(GenericAlias(tuple, (value,) * width)))
        self._body = msgspec.json.Decoder(_Matrix)

    def decode(self, body: bytes) -> Table | None:
        """Return the rows of a plain body; None for any other, right or wrong."""
        try:
            if not body.isascii():
                body.decode()  # msgspec does not look at text that it skips
            given = self._body.decode(body)
            forms = [form for form in msgspec.structs.astuple(given) if form is not UNSET]
            if len(forms) != 1 or (given.inputs is UNSET and given.instances is UNSET):
                return None
            if len(body) > LARGE and self._kind.startswith("float"):
                table = self._decode_large(bytes(forms[0]))
            else:
                rows = self._rows.decode(forms[0])
                table = Table(len(rows), rows) if rows else None
        except FAILURES:
            return None
        return table if table and self._bounds.is_shallow(body, table.n) else None

    def _decode_large(self, data: bytes) -> Table | None:
        rows: Any = parse_numbers(data)
        n = len(rows)
        self._bounds.check_rows(n)
        if n == 0 or set(map(len, rows)) != {self.width} or count_brackets(data) != n + 1:
            return None
        return Table(n, block=np.frombuffer(rows.as_buffer(of_type="d"), dtype=np.float64).reshape(n, self.width))
