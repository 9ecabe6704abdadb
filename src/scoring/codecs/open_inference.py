"""The Open Inference Protocol, version 2, over HTTP, with its binary tensor extension.

Sources: kserve/open-inference-protocol specification/protocol/inference_rest.md; Triton's extension_binary_data.md.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from scoring.bounds import DEFAULT, count_opened
from scoring.codecs import predictions
from scoring.codecs.media import BINARY, JSON
from scoring.codecs.v2_data import DEEPEST, FAILURES, TYPES, Tensor, from_binary, from_json
from scoring.errors import bad

if TYPE_CHECKING:
    from scoring.bounds import Bounds
    from scoring.codecs.media import Encoded
    from scoring.models.aliases import Predictions
    from scoring.models.base import Identity

FEW = 64  # inputs that are read in the event loop
FEW_OBJECTS = (
    16 * 1024
)  # and values of them that become objects of Python's: texts, whole numbers, what is nested deeper than rows
ROWS = 2  # dimensions
MANY = 10_000  # inputs
AROUND = 3  # levels of a request, in which data are
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}


class Output(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Infer(msgspec.Struct):
    """A request, as its JSON says it."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Output] | None = None


_decoder = msgspec.json.Decoder(Infer)


@dataclass(slots=True)
class Request:
    """A parsed request, with what follows its JSON."""

    infer: Infer
    binary: memoryview
    bounds: Bounds = DEFAULT

    @property
    def is_quick(self) -> bool:
        """Whether its tensors are soon read: what is no matrix of floats takes its time, value by value."""
        objects = 0
        for tensor in self.infer.inputs:
            if tensor.datatype[:2] != "FP" or len(tensor.shape) > ROWS:
                objects += abs(prod(tensor.shape)) if tensor.datatype == "BYTES" or tensor.data else 0
        return objects <= FEW_OBJECTS and len(self.infer.inputs) <= FEW

    def params(self) -> dict[str, Any] | None:
        """Return the model's own parameters; an output that is named as a method asks for that method."""
        given = {name: value for name, value in (self.infer.parameters or {}).items() if name != "binary_data_output"}
        if len(wanted := {each.name for each in self.infer.outputs or ()} & {"predict", "predict_proba"}) == 1:
            given.setdefault("method", wanted.pop())
        return given or None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the input tensors by name; raise Refusal for one that is none."""
        found: dict[str, np.ndarray] = {}
        at = cells = 0
        for number, tensor in enumerate(self.infer.inputs, 1):
            size = (tensor.parameters or {}).get("binary_data_size")
            if size is not None and (type(size) is not int or not 0 <= size <= len(self.binary) - at):
                raise bad(f"input {number}: binary_data_size is not the size of its data")
            try:
                values = prod(tensor.shape)
                given = memoryview(tensor.data).nbytes if size is None else size
                if (
                    len(tensor.shape) > DEEPEST or any(length < 0 for length in tensor.shape) or values > given
                ):  # each has a byte or more
                    raise ValueError(tensor.shape)
                self.bounds.check_rows(tensor.shape[0] if tensor.shape else 1)
                cells += values
                self.bounds.check(1, cells, cells)
                found[tensor.name] = (
                    from_json(tensor) if size is None else from_binary(tensor, self.binary[at : at + size])
                )
            except FAILURES:
                raise bad(f"input {number}: the data do not match its datatype and shape") from None
            at += size or 0
        if at != len(self.binary):
            raise bad("there is more binary data than the inputs declare")
        if len(found) != len(self.infer.inputs):
            raise bad("two inputs have the same name")
        return found

    def wants_binary(self, name: str) -> bool:
        """Whether an output is asked for as binary data."""
        for each in self.infer.outputs or ():
            if each.name == name and "binary_data" in (each.parameters or {}):
                return bool((each.parameters or {})["binary_data"])
        return bool((self.infer.parameters or {}).get("binary_data_output"))


def parse(body: bytes, header_length: bytes | None, bounds: Bounds = DEFAULT) -> Request:
    """Parse a request; `header_length` says where its JSON ends and binary data begins. Raises Refusal."""
    end = len(body)
    if header_length is not None:
        end = int(header_length) if re.fullmatch(rb"\d{1,18}", header_length) else -1
        if not 0 <= end <= len(body):
            raise bad("Inference-Header-Content-Length is not the length of the JSON")
    try:
        head = body if end == len(body) else body[:end]
        infer = _decoder.decode(head)
        if not _is_shallow(head, infer, bounds):
            raise bad(f"the JSON is nested deeper than {bounds.max_depth} levels")
        if len(infer.inputs) > MANY:
            raise bad(f"the request has more than {MANY} inputs")
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise bad(
            "the body is not an inference request: JSON with inputs, each with name, shape, datatype and data"
        ) from None
    return Request(infer, memoryview(body)[end:], bounds)


def _is_shallow(head: bytes, infer: Infer, bounds: Bounds) -> bool:
    """Whether a request's JSON is not too deep; how deep data are, is in their shape, or else they are refused."""
    if count_opened(head) <= bounds.max_depth:
        return True
    read = [
        each
        for each in infer.inputs
        if "binary_data_size" not in (each.parameters or {}) and len(each.shape) + AROUND <= bounds.max_depth
    ]
    return bounds.is_shallow(head, sum(count_opened(memoryview(each.data)) for each in read))


def encode(request: Request, identity: Identity, method: str, predictions: Predictions) -> Encoded:
    """Return the answer: one output named as the method, or one a column of a DataFrame."""
    outputs = to_arrays(method, predictions)
    if wanted := {each.name for each in request.infer.outputs or ()}:
        if wanted - outputs.keys():
            raise bad(f"there is no such output; available: {', '.join(outputs)}")
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
            tensor["data"] = (
                array.reshape(-1).tolist() if kind != "BYTES" else [_text(value) for value in array.reshape(-1)]
            )
        described.append(tensor)
    answer: dict[str, Any] = {"model_name": identity.name, "model_version": identity.version, "outputs": described}
    if request.infer.id is not None:
        answer["id"] = request.infer.id
    head = msgspec.json.encode(answer)
    if not parts:
        return head, JSON, ()
    return b"".join([head, *parts]), BINARY, ((b"inference-header-content-length", str(len(head)).encode()),)


def to_arrays(method: str, predictions: Predictions) -> dict[str, np.ndarray]:
    """Return predictions as output tensors by name: one named as the method, or one a column of a DataFrame."""
    if isinstance(predictions, dict) or (hasattr(predictions, "columns") and hasattr(predictions, "iloc")):
        return {str(name): _array(predictions[name]) for name in predictions}
    return {method: _array(predictions)}


def datatype(kind: np.dtype[Any]) -> str:
    """Return the protocol's name of a numpy type."""
    return NAMES.get(kind, "BYTES")


def _array(given: Predictions) -> np.ndarray:
    dense = predictions.to_dense(given)
    try:
        array = np.atleast_1d(np.asarray(dense))
    except ValueError:  # rows of different lengths
        array = np.array(dense, dtype=object)
    return np.datetime_as_string(array) if array.dtype.kind == "M" else array


def _prefixed(value: object) -> bytes:
    data = value if isinstance(value, bytes) else _text(value).encode()
    return struct.pack("<I", len(data)) + data


def _text(value: object) -> str:
    """Return text as it is, what JSON writes as text without its quotes, and all else as JSON."""
    if isinstance(value, str):
        return str(value)  # numpy's strings are no plain ones
    text = predictions.encode_bare(value).decode()
    return json.loads(text) if text.startswith('"') else text
