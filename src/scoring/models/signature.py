"""What a model takes and gives, as its MLmodel file says; the format is MLflow's (mlflow.types.Schema as JSON)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SCALARS = {  # MLflow's types of a column, and the numpy type that a column of it has
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int32",
    "boolean": "bool",
    "string": "object",
    "datetime": "datetime64[ns]",
    "binary": "object",
}
NUMBERS = ("double", "float", "long", "integer")


@dataclass(frozen=True)
class Column:
    """A column of the table that a model takes: `type` is a key of SCALARS."""

    name: str
    type: str
    required: bool = True

    @property
    def is_number(self) -> bool:
        """Whether a matrix holds all of its values: what is missing among floats is NaN, as in MLflow's DataFrame."""
        return self.type in NUMBERS and (self.required or self.type in {"double", "float"})


@dataclass(frozen=True)
class Signature:
    """What a model takes.

    `columns` is None for a model without plain columns (tensors, nested types) or without a signature.
    """

    columns: tuple[Column, ...] | None = None
    tensor: tuple[str, int] | None = None  # instead of columns: a matrix [rows, n], by its numpy type and n
    params: tuple[dict[str, Any], ...] = ()
    inputs: tuple[dict[str, Any], ...] = ()  # as they are declared: tensors of any rank, columns
    outputs: tuple[dict[str, Any], ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names, in the order that the model wants."""
        return [column.name for column in self.columns or ()]

    @property
    def is_numeric(self) -> bool:
        """Whether a row is a row of a matrix: every column is a number."""
        return bool(self.columns) and all(column.is_number for column in self.columns or ())

    @property
    def is_binary(self) -> bool:
        """Whether a row is one binary value, such as a file."""
        return len(self.inputs) == 1 and self.inputs[0].get("type") == "binary"


def parse(mlmodel: dict[str, Any]) -> Signature:
    """Read the signature from a parsed MLmodel file."""
    given = mlmodel.get("signature") or {}
    inputs, outputs = json.loads(given.get("inputs") or "[]"), json.loads(given.get("outputs") or "[]")
    params = tuple(json.loads(given.get("params") or "[]") or ())
    try:
        columns, tensor = _columns(inputs), _matrix(inputs)
    except (
        TypeError,
        AttributeError,
        KeyError,
        ValueError,
    ):  # names that are lists, and what else MLflow may write: MLflow reads it
        columns, tensor = None, None
    return Signature(columns, tensor, params, tuple(inputs or ()), tuple(outputs or ()))


def _columns(inputs: list[dict[str, Any]]) -> tuple[Column, ...] | None:
    """Return the columns of a table of plain values; None where one is nested, or has no name, or that of another."""
    plain = inputs and all(column.get("type") in SCALARS and column.get("name") is not None for column in inputs)
    if not plain or len({column["name"] for column in inputs}) != len(inputs):
        return None
    return tuple(Column(column["name"], column["type"], column.get("required", True)) for column in inputs)


def _matrix(inputs: list[dict[str, Any]]) -> tuple[str, int] | None:
    """Return type and width of the only input, when that is a nameless matrix of numbers with any number of rows."""
    spec = inputs[0].get("tensor-spec", {}) if len(inputs) == 1 and "name" not in inputs[0] else {}
    match spec.get("shape"):
        case [-1, int(width)] if width > 0 and spec["dtype"] in {"float64", "float32", "int64", "int32"}:
            return spec["dtype"], width
    return None
