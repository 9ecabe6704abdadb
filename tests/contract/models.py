"""The models that both servers serve: one for each way in which a model can take its input or give its output."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, DataType, Map, Object, Property
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.contract import pyfuncs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.aliases import Data, Estimator, Option

TYPES = ["double", "float", "long", "integer", "boolean", "string", "datetime", "binary"]
OPTIONAL = ["double", "long", "string"]


def _sklearn(path: Path, estimator: Estimator, rows: Data, target: Data, **options: Option) -> None:
    options = {"signature": infer_signature(rows), "input_example": rows[:3], **options}
    fitted = estimator.fit(rows, target)
    mlflow.sklearn.save_model(fitted, str(path), serialization_format="cloudpickle", pip_requirements=[], **options)


def _pyfunc(path: Path, model: Option, inputs: Schema | None = None, params: Option = None) -> None:
    signature = ModelSignature(inputs=inputs, params=params) if inputs else None
    mlflow.pyfunc.save_model(str(path), python_model=model, signature=signature, pip_requirements=[])


def _strings(path: Path, **options: Option) -> None:
    rows = pd.DataFrame({"a": [0.5, 1.0, 2.0, 3.0], "b": [2, 1, 3, 4], "s": ["x", "y", "x", "é"]})
    prepare = ColumnTransformer(
        [("s", OneHotEncoder(handle_unknown="ignore"), ["s"]), ("a", SimpleImputer(), ["a"])], remainder="passthrough"
    )
    _sklearn(path, make_pipeline(prepare, LinearRegression()), rows, [3.0, 4.0, 7.0, 1.0], **options)


def _mixed(path: Path) -> None:
    rows = pd.DataFrame({"flag": [True, False] * 20, "o": np.arange(40.0), "f": np.arange(40, dtype=np.float32)})
    specs: list[ColSpec | TensorSpec] = [
        ColSpec("boolean", "flag"),
        ColSpec("double", "o", required=False),
        ColSpec("float", "f"),
    ]
    _sklearn(
        path,
        HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2),
        rows,
        np.arange(40.0),
        signature=ModelSignature(Schema(specs)),
    )


def _every_type(path: Path) -> None:
    inputs = Schema(
        [*(ColSpec(kind, kind) for kind in TYPES), *(ColSpec(kind, f"opt_{kind}", required=False) for kind in OPTIONAL)]
    )
    params = [
        ParamSpec("sleep", "double", 0.0), ParamSpec("fail", "boolean", default=False),
        ParamSpec("word", "string", "w"), ParamSpec("count", "long", 1), ParamSpec("small", "integer", 1),
        ParamSpec("many", "double", [1.0], shape=(-1,)),
        ParamSpec("when", "datetime", np.datetime64("2024-01-02")),
    ]  # fmt: skip
    _pyfunc(path, pyfuncs.Echo(), inputs, ParamSchema(params))


def _nested(path: Path) -> None:
    person = Object([Property("name", DataType.string), Property("age", DataType.long, required=False)])
    inputs = [ColSpec(Array(DataType.double), "list"), ColSpec(person, "object"), ColSpec(Map(DataType.long), "map")]
    _pyfunc(path, pyfuncs.Echo(), Schema([*inputs, ColSpec(Array(person), "people", required=False)]))


def _wide(kind: type, count: int) -> pd.DataFrame:
    rows = np.random.default_rng(0).integers(0, 50, (40, count))
    return pd.DataFrame(rows, columns=[f"x{at}" for at in range(count)]).astype(kind)


def _elastic(path: Path) -> None:
    rows = _wide(np.float64, 10) / 7
    _sklearn(path, ElasticNet(alpha=0.01), rows, rows.sum(axis=1))


def _forest(path: Path) -> None:
    rows = _wide(np.float32, 3)
    _sklearn(path, RandomForestRegressor(10, random_state=0), rows, rows.sum(axis=1))


def _classes(path: Path) -> None:
    rows = _wide(np.float64, 2)
    _sklearn(path, LogisticRegression(), rows, ["high" if total > 50 else "löw" for total in rows.sum(axis=1)])


def _whole(path: Path) -> None:
    rows = _wide(np.int64, 2).rename(columns={"x0": "l", "x1": "i"}).astype({"i": np.int32})
    _sklearn(path, LinearRegression(), rows, rows["l"] + rows["i"] / 2)


def _single(path: Path) -> None:
    rows = _wide(np.float64, 1)
    _sklearn(path, LinearRegression(), rows, rows["x0"] * 2)


def _numbered(path: Path) -> None:
    rows = pd.DataFrame(_wide(np.float64, 3).to_numpy())  # its columns are 0, 1, 2
    _sklearn(path, LinearRegression(), rows, rows[0] - rows[1])


def _odd_names(path: Path) -> None:
    rows = _wide(np.float64, 4).set_axis(["\x00", 'a\n"b\\', "__class__", "é é"], axis=1)
    _sklearn(path, LinearRegression(), rows, rows.sum(axis=1))


def _tensor(path: Path) -> None:
    rows = _wide(np.float64, 4).to_numpy()
    _sklearn(path, LinearRegression(), rows, rows.sum(axis=1))


MODELS: dict[str, Callable[[Path], None]] = {
    "A": _strings,
    "B": lambda path: _strings(path, signature=False, input_example=None),
    "C": _every_type,
    "D": _elastic,
    "E": _forest,
    "F": _classes,
    "G": _tensor,
    "G2": lambda path: _pyfunc(
        path,
        pyfuncs.Tensors(),
        Schema([TensorSpec(np.dtype("float64"), (-1, 2), "left"), TensorSpec(np.dtype("int64"), (-1, 1), "right")]),
    ),
    "P": lambda path: _pyfunc(path, pyfuncs.Echo(), Schema([TensorSpec(np.dtype("float64"), (-1, 4))])),
    "Pi": lambda path: _pyfunc(path, pyfuncs.Echo(), Schema([TensorSpec(np.dtype("int32"), (-1, 4))])),
    "H": _nested,
    "M": _numbered,
    "N": _odd_names,
    "I": _whole,
    "J": lambda path: _pyfunc(path, pyfuncs.Outputs(), Schema([ColSpec("string", "kind")])),
    "untyped": lambda path: _pyfunc(path, pyfuncs.Echo()),
    "unnamed": lambda path: _pyfunc(path, pyfuncs.Echo(), Schema([ColSpec("double"), ColSpec("long")])),
    "text": lambda path: _pyfunc(path, pyfuncs.Echo(), Schema([ColSpec("string", "input")])),
    "single": lambda path: _pyfunc(path, pyfuncs.Echo(), Schema([ColSpec("double", "a")])),
    "hinted": lambda path: _pyfunc(path, pyfuncs.count),
    "K": _mixed,
    "L": _single,
    "slow": _every_type,
}


def save_all(folder: Path, names: set[str]) -> dict[str, Path]:
    """Train and save the models of these names; return their folders by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            MODELS[name](folder / name)
    return {name: folder / name for name in sorted(names)}
