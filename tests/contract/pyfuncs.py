"""Custom Python models for the contract: what they answer says what reached them."""

from __future__ import annotations

import datetime as dt
import decimal
import sys
import time
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the servers cannot import the tests


class Echo(PythonModel):
    """Answers each row with its columns' types and values, and the params; raises or sleeps when a param says so."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 -- MLflow's interface
        """Return one object a row."""
        params = params or {}
        if params.get("fail"):
            raise RuntimeError("hemlock in the model's own words")
        time.sleep(params.get("sleep") or 0)
        if not isinstance(model_input, pd.DataFrame):
            return {"type": type(model_input).__name__, "value": repr(model_input)}
        told = {name: repr(value) for name, value in params.items()}
        types = {str(name): str(kind) for name, kind in model_input.dtypes.items()}
        rows = model_input.to_dict(orient="records")
        return [
            {str(name): [types[str(name)], repr(value)] for name, value in row.items()} | {"params": told}
            for row in rows
        ]


def count(texts: list[str]) -> list[int]:
    """Answer texts with their lengths; MLflow makes the signature of these type hints."""
    return [len(text) for text in texts]


class Tensors(PythonModel):
    """Answers two tensors with their sums a row."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 -- MLflow's interface
        """Return an array [n]."""
        left, right = (np.asarray(model_input[name]) for name in ("left", "right"))
        return left.sum(axis=1) + right.reshape(len(left), -1).sum(axis=1)


OUTPUTS: dict[str, Any] = {
    "frame": pd.DataFrame(
        {"number": [1.5, float("nan")], "word": ["é", None], "when": pd.to_datetime(["2024-01-02", "2024-01-03"])}
    ),
    "series": pd.Series([1, 2], name="total"),
    "unnamed series": pd.Series([1.0, 2.0]),
    "dict": {"mean": 0.5, "all": [1, 2], "array": np.array([1, 2])},
    "words": ["one", "two \U0001f600", "NaN", "-Infinity"],
    "datetimes": [dt.datetime(2024, 1, 2, 3, 4, 5), dt.date(2024, 1, 2)],  # noqa: DTZ001 -- it has no zone
    "numpy datetimes": np.array(["2024-01-02T03:04:05"], dtype="datetime64[s]"),
    "not numbers": [float("nan"), float("inf"), float("-inf"), -0.0, 1e-320],
    "array not numbers": np.array([np.nan, np.inf, -np.inf]),
    "integers": np.array([2**63 - 1, -(2**63)]),
    "unsigned": np.array([2**64 - 1], dtype=np.uint64),
    "single": np.array([0.1, 3.4e38], dtype=np.float32),
    "booleans": np.array([True, False]),
    "matrix": np.array([[1.5, 2.5], [3.5, 4.5]]),
    "objects": np.array([1, "two", None, 2.5], dtype=object),
    "bytes": [b"\x00\xff", bytearray(b"abc")],
    "scalar": 1.5,
    "numpy scalar": np.float32(1.5),
    "text": "one",
    "none": None,
    "empty": [],
    "nested": [{"a": [np.int64(1), {"b": np.float64("nan")}]}],
    "set": {1, 2},
    "pairs as keys": {(1, 2): "a"},
    "decimal": [decimal.Decimal("1.5")],
    "duration": [pd.Timedelta("1s")],
    "NA": [pd.NA],
    "frame in a dict": {"f": pd.DataFrame({"n": [1]})},
    "NaT": [pd.NaT],
    "numpy datetimes in a list": [
        np.datetime64("2024-01-02T03:04:05", "ns"),
        np.datetime64("2024-01-02"),
        np.datetime64("NaT"),
    ],
    "nanoseconds": np.array(["2024-01-02T03:04:05"], dtype="datetime64[ns]"),
    "zoned": [pd.Timestamp("2024-01-02", tz="UTC")],
    "time": [dt.time(3, 4)],
    "lone surrogate": ["\ud800"],
    "nullable frame": pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "c": pd.Categorical(["a", "b"])}),
    "frame without names": pd.DataFrame([[1, 2.5], [3, np.inf]]),
    "frame of one name twice": pd.DataFrame([[1, 2]], columns=["n", "n"]),
    "frame of no rows": pd.DataFrame({"n": []}),
    "frame of lists": pd.DataFrame({"n": [[1, 2], {"k": np.float32(0.1)}]}),
    "half": np.array([0.1], dtype=np.float16),
    "no dimension": np.array(2.5),
    "texts": np.array(["a", "é\u2028"]),
    "bytes in an array": np.array([b"hi"]),
    "many bytes": [b"\xff" * 80],
    "large integer": [2**70],
    "tuple": (1, "a"),
    "complex": [1 + 2j],
    "keys": {1: "a", None: "b"},
}


class Outputs(PythonModel):
    """Answers with the output that its first row names."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401, ARG002 -- MLflow's interface
        """Return any output."""
        return OUTPUTS[model_input["kind"].iloc[0]]
