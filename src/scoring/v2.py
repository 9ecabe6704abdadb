"""The Open Inference Protocol, version 2, over HTTP, with its binary tensor extension.

Sources: kserve/open-inference-protocol specification/protocol/inference_rest.md; Triton's extension_binary_data.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import simdjson

from scoring import output
from scoring.errors import bad
from scoring.exchange import JSON

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
    data: msgspec.Raw = msgspec.Raw(b"")
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


def encode(request: Request, identity: Identity, method: str, predictions: Any) -> Encoded:  # noqa: ANN401 -- whatever a model gives
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
        kind = datatype(array.dtype)
        tensor: dict[str, Any] = {"name": name, "datatype": kind, "shape": list(array.shape)}
        if request.wants_binary(name):
            part = array.tobytes() if kind != "BYTES" else b"".join(_prefixed(value) for value in array.reshape(-1))
            tensor["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        else:
            tensor["data"] = array.reshape(-1).tolist() if kind != "BYTES" else [_text(value) for value in array.reshape(-1)]
        described.append(tensor)
    answer: dict[str, Any] = {"model_name": identity.name, "model_version": identity.version, "outputs": described}
    if request.infer.id is not None:
        answer["id"] = request.infer.id
    head = msgspec.json.encode(answer)
    if not parts:
        return head, JSON, ()
    return b"".join([head, *parts]), BINARY, ((b"inference-header-content-length", str(len(head)).encode()),)


def datatype(kind: np.dtype[Any]) -> str:
    """Return the protocol's name of a numpy type."""
    return NAMES.get(kind, "BYTES")


def metadata(identity: Identity, columns: Sequence[Column] | None, outputs: dict[str, str]) -> dict[str, Any]:
    """Return what `GET /v2/models/{name}` answers; -1 is any number of rows."""
    inputs = [{"name": column.name, "datatype": OF_COLUMNS.get(column.type, "BYTES"), "shape": [-1]} for column in columns or ()]
    given = [{"name": name, "datatype": kind, "shape": [-1] if name == "predict" else [-1, -1]} for name, kind in outputs.items()]
    return {"name": identity.name, "versions": [identity.version], "platform": "mlflow", "inputs": inputs, "outputs": given}


def _from_json(tensor: _Tensor) -> np.ndarray:
    words = bad(f"input {tensor.name}: the data are not what its datatype and shape say")
    kind = TYPES.get(tensor.datatype)
    if (kind is None and tensor.datatype != "BYTES") or any(length < 0 for length in tensor.shape):
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
    except (ValueError, TypeError, OverflowError, RuntimeError, msgspec.MsgspecError):  # simdjson's are RuntimeErrors, some of them
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


def _prefixed(value: Any) -> bytes:  # noqa: ANN401 -- a prediction
    data = value if isinstance(value, bytes) else _text(value).encode()
    return struct.pack("<I", len(data)) + data


def _text(value: Any) -> str:  # noqa: ANN401 -- a prediction
    return str(value) if isinstance(value, str) else output.encode_bare(value).decode()  # numpy's strings are no plain ones
