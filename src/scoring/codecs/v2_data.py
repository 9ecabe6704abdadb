"""The data of the Open Inference Protocol's tensors, JSON or binary, as arrays."""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from math import prod
from types import GenericAlias
from typing import Any

import msgspec
import numpy as np
import simdjson

LARGE = 4096  # bytes; from here on simdjson reads numbers straight into an array
BRACKETS = re.compile(rb"[\[\s]*")
HEAD = 4096  # bytes in which the first value begins
DEEPEST = 32  # dimensions that data may have
TYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
    "BYTES": "object",
}  # fmt: skip
ITEMS: dict[str, Any] = {"b": bool, "i": int, "u": int, "f": float, "O": str}  # by numpy's kind, what stands in JSON
FAILURES = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    RuntimeError,
    msgspec.MsgspecError,
    struct.error,
)  # of numpy, simdjson, …


class Tensor(msgspec.Struct):
    """An input, as its JSON describes it."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: dict[str, Any] | None = None


def from_json(tensor: Tensor) -> np.ndarray:
    """Return a tensor whose data are JSON, flat or nested as its shape; raise one of FAILURES."""
    kind, raw, shape = np.dtype(TYPES[tensor.datatype]), memoryview(tensor.data), tuple(tensor.shape)
    depth = bytes(BRACKETS.match(raw[:HEAD])[0]).count(b"[")  # type: ignore[index]
    if depth not in {1, len(shape)} or not 1 <= depth <= DEEPEST:
        raise ValueError(shape)
    if kind.kind != "O" and len(raw) > LARGE and not _has_size(raw, shape, depth):
        raise ValueError(shape)
    array = _from_large(raw, shape) if len(raw) > LARGE and kind.kind == "f" else None
    if array is None:
        array = np.array(_reader(ITEMS[kind.kind], depth).decode(raw), "float64" if kind.kind == "f" else kind)
        if depth > 1 and array.shape != shape:
            raise ValueError(shape)
    if array.dtype != kind:
        with np.errstate(over="ignore"):
            array = array.astype(kind)
        if not np.isfinite(array).all():  # JSON has numbers only: this one is too large for the type
            raise OverflowError
    return array.reshape(shape)


def _has_size(raw: memoryview, shape: tuple[int, ...], depth: int) -> bool:
    """Whether JSON without texts has as many lists and values as its shape says.

    An empty list may look like one of a value.
    """
    signs = np.frombuffer(raw, np.uint8)
    lists, lengths = 1, shape[: depth - 1]
    for at in range(len(lengths)):
        lists += prod(lengths[: at + 1])
    size, commas = prod(shape), int(np.count_nonzero(signs == ord(",")))
    return int(np.count_nonzero(signs == ord("["))) == lists and commas <= max(size, lists) - 1


def _from_large(raw: memoryview, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return many numbers, read straight into an array; None unless they are plainly flat, or rows."""
    try:
        parsed: Any = simdjson.Parser().parse(raw)
        rows = np.count_nonzero(np.frombuffer(raw, np.uint8) == ord("[")) - 1  # simdjson flattens whatever is nested
        if rows and (rows, *set(map(len, parsed))) != shape:
            return None
        return np.frombuffer(parsed.as_buffer(of_type="d"), np.float64)
    except FAILURES:
        return None


@lru_cache(256)
def _reader(item: object, depth: int) -> msgspec.json.Decoder[Any]:
    for _ in range(depth):
        item = GenericAlias(list, item)
    return msgspec.json.Decoder(item)


def from_binary(tensor: Tensor, data: memoryview) -> np.ndarray:
    """Return a tensor whose data are binary; raise one of FAILURES."""
    kind = np.dtype(TYPES[tensor.datatype])
    if tensor.datatype == "BYTES":
        values: list[Any] = []
        at, most = 0, prod(tensor.shape)
        while at < len(data):
            (length,) = struct.unpack_from("<I", data, at)
            at += 4 + length
            if at > len(data) or len(values) >= most:
                raise ValueError(length)
            values.append(bytes(data[at - length : at]))
        array = np.empty(len(values), object)
        array[:] = values
    elif tensor.datatype == "BOOL" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise ValueError(kind)
    else:  # a copy: the model may want to write, and the numbers to be aligned
        array = np.frombuffer(data, kind.newbyteorder("<")).astype(kind)
    return array.reshape(tensor.shape)
