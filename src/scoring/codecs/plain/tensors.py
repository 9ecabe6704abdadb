"""Plain requests of the Open Inference Protocol: JSON with one tensor a column, or one of doubles, read in one pass.

What it declines, `open_inference` and `codecs.tensors` read. Columns are taken here only when each has its own
datatype, flat data and the shape [rows] or [rows, 1]; where they are few values, only in the signature's order.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from scoring.bounds import DEFAULT, count_opened
from scoring.codecs.open_inference import ROWS, Infer, Output, Request
from scoring.codecs.plain.numbers import NumberReader
from scoring.codecs.plain.simd import count, parse_numbers
from scoring.models.rows import Table
from scoring.models.signature import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.bounds import Bounds
    from scoring.models.signature import Column, Signature

LARGE = 512  # bytes a column; from here on simdjson's way into a matrix is the shorter one
MOST = 64  # columns; more are seldom sent so
AROUND = 3  # objects of a request with one tensor: itself, the tensor and its parameters
ROW = 256  # bytes a column, which one row does not exceed
DEEP = 4  # levels of a plain request
LISTS = 3  # and lists, where its data are flat
SMALL = 2048  # bytes; of fewer, the tensor is as soon read otherwise
BELOW = 2  # levels that are in a tensor's own object: itself, and its shape or its data
PARTS = 4  # of a tensor: name, shape, datatype and data
WHOLE = ("long", "integer")
KINDS: dict[str, tuple[str, Any]] = {  # by the column's type: datatype, and what its data are
    "double": ("FP64", float),
    "float": ("FP32", float),
    "long": ("INT64", Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]),
    "integer": ("INT32", Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]),
    "boolean": ("BOOL", bool),
    "string": ("BYTES", str),
}
FAILURES = (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RuntimeError)
LARGEST = float(np.finfo(np.float32).max)


class TensorReader:
    """Reads such requests for one signature: columns, a matrix of so many doubles, or either."""

    def __init__(self, columns: Sequence[Column], width: int, bounds: Bounds = DEFAULT) -> None:
        self._bounds = bounds
        self._width = width  # of a matrix; 0 where there may be none
        self._names = [column.name for column in columns]
        self._datatypes = [KINDS[column.type][0] for column in columns]
        self._numeric = all(column.type in NUMBERS for column in columns)
        self._numbers = NumberReader(columns, bounds)
        self._whole = [at for at, column in enumerate(columns) if column.type in WHOLE]
        self._buffers = ["i" if column.type in WHOLE else "d" for column in columns]  # what simdjson makes of them
        self._singles = [at for at, column in enumerate(columns) if column.type == "float"]
        self._row = _decoder_of([_cell_of(column) for column in columns])
        self._decoder = _decoder_of([_struct_of(column) for column in columns])

    def decode(self, body: bytes) -> tuple[Table, Request] | None:
        """Return the rows of a plain request and what else it says; None for any other, right or wrong.

        Raises Refusal for too many rows.
        """
        try:
            if len(body) <= ROW * len(self._names) and not self._singles and (row := self._read_row(body)):
                return row
            opened = count(body, b"[", b"{") if len(body) > SMALL else [0, 0]  # simdjson flattens whatever is nested
            is_matrix = bool(self._width) and 0 < opened[1] <= AROUND
            if is_matrix or (self._numeric and len(body) > max(SMALL, LARGE * len(self._names))):
                found = self._read_numbers(body, opened, is_matrix=is_matrix)
            else:
                found = self._read_small(body)
        except FAILURES:
            return None
        if found is None or found[0].n * max(self._width, len(self._names)) > self._bounds.max_cells:
            return None
        table, infer = found
        return table, Request(infer, memoryview(b""), self._bounds)

    def _read_numbers(self, body: bytes, opened: list[int], *, is_matrix: bool) -> tuple[Table, Infer] | None:
        """Read one tensor, or one a column: two without parameters are as many objects as one with them."""
        width = len(self._names)
        is_columns = width > 0 and opened[0] == 1 + 2 * width and opened[1] - width in {1, 2}
        if not (is_matrix or is_columns):
            return None
        document: Any = parse_numbers(body)
        if len(document) > len(_BESIDE) + 1:
            return None
        if is_matrix and len(document["inputs"]) == 1:
            return self._read_matrix(document, opened)
        return self._read_columns(document, opened[1]) if is_columns else None

    def _read_matrix(self, document: Any, opened: list[int]) -> tuple[Table, Infer] | None:  # noqa: ANN401 -- as below
        infer, extra = self._beside(document)
        (tensor,) = document["inputs"]
        if len(tensor["shape"]) != ROWS:
            return None
        n, width = np.frombuffer(_shape_of(tensor), np.int64).tolist()
        data, lists = tensor["data"], opened[0]
        if (
            infer is None
            or n == 0
            or width != self._width
            or n * width > self._bounds.max_cells
            or not _is_alone(tensor, "FP64")
            or lists not in {LISTS, LISTS + n}
            or opened[1] != AROUND - 1 + extra
            or len(data) != (n * width if lists == LISTS else n)
            or (lists > LISTS and set(map(len, data)) != {width})
        ):
            return None
        self._bounds.check_rows(n)
        block = np.frombuffer(data.as_buffer(of_type="d"), np.float64).reshape(n, width)
        return Table(n, block=block), infer

    def _read_row(self, body: bytes) -> tuple[Table, Request] | None:
        """Return a request of one row, which compiled code checks all by itself; None for any other."""
        try:
            given: Any = self._row.decode(body if body.isascii() else body.decode())
        except msgspec.MsgspecError:
            return None
        if (given.parameters or given.outputs) and not self._bounds.is_shallow(body):
            return None
        row = tuple(chain.from_iterable(map(_DATA, given.inputs)))
        return Table(1, [row]), self._request(given)

    def _request(self, given: Any) -> Request:  # noqa: ANN401 -- one of the structs that are made of the signature
        return Request(Infer([], given.id, given.parameters, given.outputs), memoryview(b""), self._bounds)

    def _read_small(self, body: bytes) -> tuple[Table, Infer] | None:
        if not body.isascii():
            body.decode()  # msgspec does not look at text that it skips
        if not self._names or not self._bounds.seems_plain(body, 1):
            return None
        given: Any = self._decoder.decode(body)
        data = [tensor.data for tensor in given.inputs]
        n, width = len(data[0]), len(data)
        shapes = ([n], [n, 1])
        if (
            n == 0
            or any(tensor.shape not in shapes or len(tensor.data) != n for tensor in given.inputs)
            or count_opened(body) - (1 + BELOW) * width + BELOW > self._bounds.max_depth
            or any(tensor.parameters and "binary_data_size" in tensor.parameters for tensor in given.inputs)
        ):
            return None
        self._bounds.check_rows(n)
        infer = self._request(given).infer
        if not self._numeric:
            if any(max(map(abs, data[at])) > LARGEST for at in self._singles):
                return None
            return Table(n, list(zip(*data, strict=True))), infer
        block = np.array(list(chain.from_iterable(data)), np.float64).reshape(width, n).T
        return self._finish(block, infer)

    def _read_columns(self, document: Any, objects: int) -> tuple[Table, Infer] | None:  # noqa: ANN401 -- as below
        width = len(self._names)
        infer, extra = self._beside(document)
        found = {tensor["name"]: tensor for tensor in document["inputs"]}
        if infer is None or objects != 1 + width + extra or len(found) != width:
            return None
        tensors = [found[name] for name in self._names]
        n = len(tensors[0]["data"])
        self._bounds.check_rows(n)
        if n * width > self._bounds.max_cells:
            return None
        shapes = {np.array(shape, np.int64).tobytes() for shape in ([n], [n, 1])}
        found_columns = []
        for tensor, datatype, kind in zip(tensors, self._datatypes, self._buffers, strict=True):
            data = tensor["data"]
            if not _is_alone(tensor, datatype) or _shape_of(tensor) not in shapes or len(data) != n:
                return None
            found_columns.append(data.as_buffer(of_type=kind))
        joined = np.frombuffer(b"".join(found_columns), np.float64).reshape(width, n)
        block = np.array(joined.T, order="C")
        if self._whole:
            block[:, self._whole] = joined.view(np.int64)[self._whole].T
        return self._finish(block, infer) if n else None

    @staticmethod
    def _beside(document: Any) -> tuple[Infer | None, int]:  # noqa: ANN401 -- simdjson's values have no types
        """Return what a request says beside its inputs, and in how many objects; None where that is not plain."""
        keys = list(document.keys())
        beside = set(keys) - {"inputs"}
        if len(set(keys)) != len(keys) or not beside <= {"id", "parameters"}:
            return None, 0
        given = {key: document[key] for key in beside}
        is_object = hasattr(given.get("parameters"), "as_dict")
        if is_object:
            given["parameters"] = given["parameters"].as_dict()
        return msgspec.convert({"inputs": [], **given}, Infer), int(is_object)

    def _finish(self, block: np.ndarray, infer: Infer) -> tuple[Table, Infer] | None:
        """Return numbers as a table; None for those that a column's type does not hold."""
        for at in self._singles:
            if np.abs(block[:, at]).max() > LARGEST:
                return None
            block[:, at] = block[:, at].astype(np.float32)
        return (Table(len(block), block=block), infer) if self._numbers.holds(block) else None


_BESIDE: list[tuple[str, Any, Any]] = [
    ("id", str | None, None),
    ("parameters", dict[str, Any] | None, None),
    ("outputs", list[Output] | None, None),
]


_DATA = attrgetter("data")


def _decoder_of(tensors: list[type[msgspec.Struct]]) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a request with these inputs in this order."""
    inputs = GenericAlias(tuple, tuple(tensors))
    return msgspec.json.Decoder(
        msgspec.defstruct("Columns", [("inputs", inputs), *_BESIDE], forbid_unknown_fields=True)
    )


def _cell_of(column: Column) -> type[msgspec.Struct]:
    """Return what a column's tensor with one value is, of the shape [1] or [1, 1]."""
    datatype, kind = KINDS[column.type]
    return msgspec.defstruct(
        "Cell",
        [
            ("name", Literal[column.name]),
            ("shape", Annotated[list[Literal[1]], msgspec.Meta(min_length=1, max_length=2)]),
            ("datatype", Literal[datatype]),
            ("data", GenericAlias(tuple, (kind,))),
        ],
        forbid_unknown_fields=True,
    )


def _struct_of(column: Column) -> type[msgspec.Struct]:
    """Return what a column's tensor is, as compiled code checks it."""
    datatype, kind = KINDS[column.type]
    return msgspec.defstruct(
        "Tensor",
        [
            ("name", Literal[column.name]),
            ("shape", list[int]),
            ("datatype", Literal[datatype]),
            ("data", GenericAlias(list, kind)),
            ("parameters", dict[str, Any] | None, None),
        ],
        forbid_unknown_fields=True,
    )


def _is_alone(tensor: Any, datatype: str) -> bool:  # noqa: ANN401 -- as above
    """Whether a tensor of a type has nothing beside its name, shape and data."""
    return len(tensor) == PARTS and isinstance(tensor["name"], str) and tensor["datatype"] == datatype


def _shape_of(tensor: Any) -> bytes:  # noqa: ANN401 -- as above
    """Return a shape as int64; raise TypeError for one that is not whole numbers."""
    return bytes(tensor["shape"].as_buffer(of_type="i"))


def reader_for(signature: Signature, bounds: Bounds = DEFAULT) -> TensorReader | None:
    """Return the reader for a signature; None for many columns, or one of a type or name that it does not know."""
    columns = signature.columns or ()
    kind, width = signature.tensor or ("", 0)
    if columns and all(column.type == "double" for column in columns):
        width = len(columns) if len(columns) > 1 else 0  # the only one is a column
    elif kind != "float64":
        width = 0
    if not (columns or width) or len(columns) > MOST or bounds.max_depth < DEEP:
        return None
    is_known = all(column.type in KINDS and isinstance(column.name, str) for column in columns)
    return TensorReader(columns, width, bounds) if is_known else None
