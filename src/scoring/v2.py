"""The Open Inference Protocol, version 2, over HTTP, with its binary tensor extension.

Sources: kserve/open-inference-protocol specification/protocol/inference_rest.md; Triton's extension_binary_data.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import simdjson

from scoring import output
from scoring.errors import bad
from scoring.exchange import JSON
from scoring.signature import NUMBERS, SCALARS
from scoring.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.lanes import Encoded
    from scoring.model import Identity
    from scoring.signature import Column

LARGE = 4096  # bytes; from here on simdjson reads numbers straight into an array
BINARY = b"application/octet-stream"
TYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}
OF_COLUMNS = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL"}  # all others: BYTES


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw | None = None
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Infer(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


_decoder = msgspec.json.Decoder(_Infer)


@dataclass(slots=True)
class Request:
    """A parsed request, with what follows its JSON."""

    infer: _Infer
    binary: memoryview

    def params(self) -> dict[str, Any] | None:
        """Return the parameters that are meant for the model."""
        given = {name: value for name, value in (self.infer.parameters or {}).items() if name != "binary_data_output"}
        return given or None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the input tensors by name; raise Refusal for one that is none."""
        found: dict[str, np.ndarray] = {}
        at = 0
        for tensor in self.infer.inputs:
            size = (tensor.parameters or {}).get("binary_data_size")
            if size is not None:
                if not isinstance(size, int) or not 0 <= size <= len(self.binary) - at:
                    raise bad(f"input {tensor.name}: binary_data_size is more than there is")
                found[tensor.name] = _from_binary(tensor, self.binary[at : at + size])
                at += size
            else:
                found[tensor.name] = _from_json(tensor)
        if at != len(self.binary) or len(found) != len(self.infer.inputs):
            raise bad("the binary data, or the names of the inputs, do not fit the request")
        return found

    def wants_binary(self, name: str) -> bool:
        """Whether an output is asked for as binary data."""
        for each in self.infer.outputs or ():
            if each.name == name and "binary_data" in (each.parameters or {}):
                return bool((each.parameters or {})["binary_data"])
        return bool((self.infer.parameters or {}).get("binary_data_output"))


def parse(body: bytes, header_length: bytes | None) -> Request:
    """Parse a request; `header_length` says where its JSON ends and binary data begins. Raises Refusal."""
    end = len(body)
    if header_length is not None:
        if not header_length.isdigit() or int(header_length) > len(body):
            raise bad("Inference-Header-Content-Length is not the length of the JSON")
        end = int(header_length)
    try:
        infer = _decoder.decode(body if end == len(body) else memoryview(body)[:end])
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise bad("the body is not an inference request: JSON with inputs, each with name, shape, datatype and data") from None
    return Request(infer, memoryview(body)[end:])


def to_table(request: Request, columns: Sequence[Column]) -> Table:
    """Return the rows: one tensor a column ([n] or [n, 1]), or one tensor [n, columns] for columns of numbers. Raises Refusal."""
    arrays = request.arrays()
    if len(arrays) == 1 and [column.name for column in columns] != list(arrays):
        return _of_matrix(next(iter(arrays.values())), columns)
    present = [column for column in columns if column.required or column.name in arrays]
    if missing := [column.name for column in present if column.name not in arrays]:
        raise bad(f"inputs that the model needs are missing: {', '.join(missing)}")
    for column in present:
        shape = arrays[column.name].shape
        if not shape or prod(shape[1:]) != 1:
            raise bad(f"input {column.name} is one column: its shape is [rows] or [rows, 1]")
    if len({len(arrays[column.name]) for column in present}) != 1:
        raise bad("the inputs have different numbers of rows")
    typed = {column.name: _as_type(arrays[column.name].reshape(-1), column) for column in present}
    n = len(next(iter(typed.values())))
    if len(present) == len(columns) and all(column.type in NUMBERS for column in columns):
        return Table(n, block=np.column_stack(list(typed.values())))
    import pandas as pd  # noqa: PLC0415 -- numbers do without

    return Table(n, frame=pd.DataFrame(typed))


def _of_matrix(array: np.ndarray, columns: Sequence[Column]) -> Table:
    if array.ndim != 2 or array.shape[1] != len(columns) or array.dtype.kind not in "biuf":  # noqa: PLR2004 -- a matrix
        raise bad(f"the input is one tensor of numbers [rows, {len(columns)}], or one tensor a column")
    if any(column.type not in NUMBERS for column in columns):
        raise bad("not all columns are numbers: send one tensor a column")
    for at, column in enumerate(columns):
        if column.type in {"long", "integer"}:
            _as_type(array[:, at], column)
    return Table(len(array), block=array)


def encode(request: Request, predictions: Any, identity: Identity, method: str) -> Encoded:  # noqa: ANN401 -- whatever a model gives
    """Return the answer: one output named as the method, or one a column of a DataFrame."""
    by_column = hasattr(predictions, "columns") and hasattr(predictions, "iloc")
    if isinstance(predictions, dict) or by_column:
        outputs = {str(name): np.asarray(predictions[name]) for name in predictions}
    else:
        outputs = {method: np.asarray(predictions)}
    if wanted := {each.name for each in request.infer.outputs or ()}:
        if unknown := wanted - outputs.keys():
            raise bad(f"there is no such output: {', '.join(sorted(unknown))}")
        outputs = {name: array for name, array in outputs.items() if name in wanted}
    described, parts = [], []
    for name, array in outputs.items():
        datatype = NAMES.get(array.dtype, "BYTES")
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if request.wants_binary(name):
            part = array.tobytes() if datatype != "BYTES" else b"".join(_prefixed(value) for value in array.reshape(-1))
            tensor["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        else:
            tensor["data"] = array.reshape(-1).tolist() if datatype != "BYTES" else [_text(value) for value in array.reshape(-1)]
        described.append(tensor)
    answer: dict[str, Any] = {"model_name": identity.name, "model_version": identity.version, "outputs": described}
    if request.infer.id is not None:
        answer["id"] = request.infer.id
    head = msgspec.json.encode(answer)
    if not parts:
        return head, JSON, ()
    return b"".join([head, *parts]), BINARY, ((b"inference-header-content-length", str(len(head)).encode()),)


def metadata(identity: Identity, columns: Sequence[Column] | None, methods: Sequence[str], platform: str) -> dict[str, Any]:
    """Return what `GET /v2/models/{name}` answers; -1 is any number of rows."""
    inputs = [{"name": column.name, "datatype": OF_COLUMNS.get(column.type, "BYTES"), "shape": [-1]} for column in columns or ()]
    outputs = [{"name": name, "datatype": "FP64", "shape": [-1] if name == "predict" else [-1, -1]} for name in methods]
    return {"name": identity.name, "versions": [identity.version], "platform": platform, "inputs": inputs, "outputs": outputs}


def _from_json(tensor: _Tensor) -> np.ndarray:
    words = bad(f"input {tensor.name}: the data are not what its datatype and shape say")
    kind = TYPES.get(tensor.datatype)
    if tensor.data is None or (kind is None and tensor.datatype != "BYTES") or any(length < 0 for length in tensor.shape):
        raise words
    raw = bytes(tensor.data)
    try:
        if len(raw) > LARGE and tensor.datatype in {"FP64", "FP32"}:
            parsed: Any = simdjson.Parser().parse(raw)
            array = np.frombuffer(parsed.as_buffer(of_type="d"), np.float64)
        else:
            given = np.array(msgspec.json.decode(raw), dtype=object).reshape(-1)
            fits = {"b": bool, "i": int, "u": int, "f": int | float}[np.dtype(kind).kind] if kind else str
            if any(not isinstance(value, fits) or (isinstance(value, bool) and kind != "bool") for value in given):
                raise words
            array = given
        return array.astype(kind or object).reshape(tensor.shape)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        raise words from None


def _from_binary(tensor: _Tensor, data: memoryview) -> np.ndarray:
    words = bad(f"input {tensor.name}: the binary data are not what its datatype and shape say")
    try:
        if tensor.datatype != "BYTES":
            return np.frombuffer(data, np.dtype(TYPES[tensor.datatype]).newbyteorder("<")).reshape(tensor.shape)
        values, at = [], 0
        while at < len(data):
            (length,) = struct.unpack_from("<I", data, at)
            if at + 4 + length > len(data):
                raise words
            values.append(bytes(data[at + 4 : at + 4 + length]))
            at += 4 + length
        return np.array(values, dtype=object).reshape(tensor.shape)
    except (ValueError, KeyError, struct.error):
        raise words from None


def _as_type(array: np.ndarray, column: Column) -> Any:  # noqa: ANN401 -- an array, or what pandas makes of text
    """Return a column's values as the signature's type; raise Refusal where that would lose something."""
    words = bad(f"input {column.name} holds a value that is no {column.type}")
    try:
        if column.type in {"string", "datetime"}:
            text = [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]
            return text if column.type == "string" else np.array(text, dtype="datetime64[ns]")
        if column.type == "binary":
            return [value.encode() if isinstance(value, str) else bytes(value) for value in array.tolist()]
        if array.dtype.kind not in "biuf" or (column.type == "boolean" and array.dtype.kind != "b"):
            raise words
        with np.errstate(all="ignore"):
            typed = array.astype(SCALARS[column.type])
        if column.type in {"long", "integer"} and not np.array_equal(typed, array):
            raise words
    except (ValueError, TypeError, OverflowError, UnicodeDecodeError):
        raise words from None
    return typed


def _prefixed(value: Any) -> bytes:  # noqa: ANN401 -- a prediction
    data = value if isinstance(value, bytes) else _text(value).encode()
    return struct.pack("<I", len(data)) + data


def _text(value: Any) -> str:  # noqa: ANN401 -- a prediction
    return value if isinstance(value, str) else output.encode_bare(value).decode()
