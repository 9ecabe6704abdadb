"""The short way from a JSON body to rows: strict, by the signature, in compiled code.

What it declines, `mlflow_forms` reads.

A body is taken here only when it is plain: dataframe_split, dataframe_records, inputs by column or instances that are
objects, every value of exactly the column's type, or null where that means NaN or no text. The result is then what
MLflow's own parsing and casting gives (tests/contract compares them). Large bodies of numbers become a matrix
(`plain.numbers`).
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from operator import itemgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from scoring.bounds import DEFAULT
from scoring.codecs.plain.numbers import HUGE, NumberReader, read_lists
from scoring.models.rows import Table
from scoring.models.signature import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.bounds import Bounds
    from scoring.models.signature import Column, Signature

LARGE = 4096  # bytes; from here on simdjson's way into a matrix is the shorter one
NUL = b"\\u0000"
NULL = b"null"
PLANS = 64  # orders of columns that are remembered, fewer when the columns are many
NAMES = 64 * 1024  # columns in all plans together
KEY = 512  # bytes; of a longer list of columns its hash is remembered
FAILURES = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RuntimeError,
)  # simdjson's are RuntimeErrors, some of them
TYPES: dict[str, Any] = {
    "double": float,
    "float": float,
    "long": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "integer": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "boolean": bool,
    "string": str,
}
OR_NULL = {"double": float | None, "float": float | None, "string": str | None}  # in a table; other columns need values
OR_NAN = {"double": float | None, "float": float | None}  # in an array, where numpy writes a null among texts as "None"


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
        self._kinds = [(TYPES | OR_NULL).get(column.type) for column in columns]
        self._kind_of = dict(zip(self._names, self._kinds, strict=True))
        self._able = all(self._kinds)
        self._body = msgspec.json.Decoder(_Body)
        self._list = msgspec.json.Decoder(list[str])
        self._plans: dict[bytes, tuple[msgspec.json.Decoder[Any], Callable[[Any], Any] | None]] = {}
        self._numbers = NumberReader(columns, bounds)
        self._numeric = all(column.type in NUMBERS for column in columns)
        if self._able:
            self._texts = [at for at, column in enumerate(columns) if column.type == "string"]
            rename = {f"f{at}": name for at, name in enumerate(self._names)}
            fields = [(f"f{at}", kind) for at, kind in enumerate(self._kinds)]
            self._records = msgspec.json.Decoder(_list_of(msgspec.defstruct("Record", fields, rename=rename)))
            fields = [(f"f{at}", (TYPES | OR_NAN)[column.type]) for at, column in enumerate(columns)]
            self._instances = msgspec.json.Decoder(
                _list_of(msgspec.defstruct("Instance", fields, rename=rename, forbid_unknown_fields=True))
            )
            fields = [(name, _list_of(kind)) for name, kind in fields]
            self._by_column = msgspec.json.Decoder(
                msgspec.defstruct("Inputs", fields, rename=rename, forbid_unknown_fields=True)
            )

    def decode(self, body: bytes) -> Table | None:
        """Return the rows of a plain body; None for any other, right or wrong; raise Refusal for too many rows."""
        if not self._able:
            return None
        try:
            if len(body) > LARGE and self._numeric:
                with suppress(*FAILURES):
                    if table := self._numbers.read(body):
                        return table
                if len(body) > HUGE and NULL not in body:
                    return None
            if not self._bounds.seems_plain(body, self.width):
                return None
            if not body.isascii():
                body.decode()  # msgspec does not look at text that it skips
            return self._decode_small(body, self._body.decode(body))
        except FAILURES:
            return None

    def _decode_small(self, whole: bytes, body: _Body) -> Table | None:
        if any(form is not UNSET for form in (body.params, body.messages, body.prompt, body.input)):
            return None
        given = [
            form is not UNSET for form in (body.dataframe_split, body.dataframe_records, body.inputs, body.instances)
        ]
        if sum(given) != 1:
            return None
        rows = self._rows_of_table(body) if given[0] or given[1] else self._rows_of_arrays(body)
        lists = (
            len(self._names) if given[2] else len(rows)
        )  # and objects, of values; what else is nested, is in what nobody reads
        if not rows or len(rows) * self.width > self._bounds.max_cells or not self._bounds.is_shallow(whole, lists - 1):
            return None
        empty = (at for at in self._texts if all(row[at] is None for row in rows)) if NULL in whole else ()
        return Table(len(rows), rows, nulls=tuple(empty))

    def _rows_of_table(self, body: _Body) -> list[Any]:
        if body.dataframe_split is UNSET:
            return [msgspec.structs.astuple(record) for record in self._records.decode(body.dataframe_records)]  # type: ignore[arg-type]
        decoder, order = self._plan(bytes(body.dataframe_split.columns))
        rows = decoder.decode(body.dataframe_split.data)
        return [order(row) for row in rows] if order else rows

    def _rows_of_arrays(self, body: _Body) -> list[Any]:
        data: Any = body.instances if body.inputs is UNSET else body.inputs
        if NUL in bytes(data):
            return []  # numpy drops it at the end of a text, under MLflow too
        if body.inputs is UNSET:
            return [msgspec.structs.astuple(instance) for instance in self._instances.decode(data)]
        return list(zip(*msgspec.structs.astuple(self._by_column.decode(data)), strict=True))

    def _plan(self, columns: bytes) -> tuple[msgspec.json.Decoder[Any], Callable[[Any], Any] | None]:
        """Return the decoder for rows in a request's order of columns, and their indices in the signature's order."""
        key = columns if len(columns) <= KEY else hashlib.sha256(columns).digest()
        if plan := self._plans.pop(key, None):
            self._plans[key] = plan  # the newest again
            return plan
        given = self._list.decode(columns)
        at = self._numbers.positions(given)
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
            if len(body) > LARGE and self._kind.startswith("float"):
                block = read_lists(body, self.width, self._bounds)
                return None if block is None else Table(len(block), block=block)
            if not self._bounds.seems_plain(body, self.width):
                return None
            if not body.isascii():
                body.decode()  # msgspec does not look at text that it skips
            given = self._body.decode(body)
            forms = [form for form in msgspec.structs.astuple(given) if form is not UNSET]
            if len(forms) != 1 or (given.inputs is UNSET and given.instances is UNSET):
                return None
            rows = self._rows.decode(forms[0])
        except FAILURES:
            return None
        return Table(len(rows), rows) if rows and self._bounds.is_shallow(body, len(rows)) else None
