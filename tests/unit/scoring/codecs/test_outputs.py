"""What a model takes and gives, as it says of itself, and that what it gives can be written."""

from __future__ import annotations

import json
import sys
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import cloudpickle
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema, TensorSpec
from scipy.sparse import csr_matrix
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import OneHotEncoder

from scoring import loading, rehearsal
from scoring.codecs import metadata, predictions, tensors
from scoring.errors import ModelError, Refusal
from scoring.models import rows
from scoring.models.signature import Column
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scoring.models.base import Model
    from tests.aliases import Data, Estimator, Option

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the models of these tests hold their own code
ROWS, TARGET = load_diabetes(return_X_y=True, as_frame=True)
MATRIX = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Says(PythonModel):
    """Answers with the same thing always, or with the sums of its rows."""

    def __init__(self, answer: Data = None) -> None:
        self.answer = answer

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401, ARG002 -- MLflow's interface
        """Answer."""
        if self.answer is not None:
            return self.answer
        if isinstance(model_input, dict):
            return sum(array.reshape(len(array), -1).sum(axis=1) for array in model_input.values())
        assert isinstance(model_input, np.ndarray | pd.DataFrame)
        return np.asarray(model_input).reshape(len(model_input), -1).sum(axis=1)


def _estimator(path: Path, estimator: Estimator, rows: Data = ROWS, n: int = 2, **options: Option) -> Model:
    given = {"signature": infer_signature(rows), "input_example": rows[:n], "pip_requirements": [], **options}
    mlflow.sklearn.save_model(estimator, str(path / "model"), serialization_format="cloudpickle", **given)
    return loading.load(Settings(path / "model"))


def _python(
    path: Path, inputs: Schema | None, example: Data, answer: Data = None, outputs: Schema | None = None
) -> Model:
    signature = ModelSignature(inputs, outputs) if inputs else None
    mlflow.pyfunc.save_model(
        str(path / "model"), python_model=Says(answer), signature=signature, input_example=example, pip_requirements=[]
    )
    return loading.load(Settings(path / "model"))


def test_a_matrix_of_any_flavour(tmp_path: Path) -> None:
    """A Python model whose signature is a matrix predicts from it, as MLflow has it."""
    model = _python(tmp_path, MATRIX, np.array([[1.0, 2.0]]))
    example = rehearsal.read(model)

    assert example is not None
    assert model.predict([example], "predict", None).tolist() == [3.0]
    assert model.ways["predict"].name == "mlflow"
    assert metadata.build(model)["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    assert metadata.build(model)["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1]}]


def test_metadata_of_named_tensors_of_any_rank(tmp_path: Path) -> None:
    """Inputs are told by name, type and shape; without an example the outputs are those that the signature declares."""
    inputs = Schema(
        [TensorSpec(np.dtype("float32"), (-1, 2, 2), "image"), TensorSpec(np.dtype("int64"), (-1,), "size")]
    )
    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 5), "scores")])
    model = _python(tmp_path, inputs, None, outputs=outputs)
    described = metadata.build(model)
    arrays = {"image": np.ones((2, 2, 2), np.float32), "size": np.array([1, 2])}

    assert described["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]},
        {"name": "size", "datatype": "INT64", "shape": [-1]},
    ]  # fmt: skip
    assert described["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 5]}]
    assert model.predict_data(model.from_arrays(arrays), "predict", None).tolist() == [5.0, 6.0]


def test_metadata_tells_what_one_request_gets(tmp_path: Path) -> None:
    """A classifier's two methods are not had together: the default's output is told.

    A DataFrame's columns are outputs each.
    """
    labels = (TARGET > 100).map({True: "high", False: "low"})
    classifier = _estimator(tmp_path / "classifier", RandomForestClassifier(3).fit(ROWS, labels))
    frame = _python(tmp_path / "frame", MATRIX, np.array([[1.0, 2.0]]), pd.DataFrame({"a": [1.5], "b": ["x"]}))

    assert metadata.build(classifier)["outputs"] == [{"name": "predict", "datatype": "BYTES", "shape": [-1]}]
    assert [(each["name"], each["datatype"]) for each in metadata.build(frame)["outputs"]] == [
        ("a", "FP64"),
        ("b", "BYTES"),
    ]


@pytest.mark.parametrize("answer", [{1, 2}, uuid.UUID(int=0), [1 + 2j]], ids=["set", "uuid", "complex"])
def test_an_output_that_no_json_holds_is_found_at_once(tmp_path: Path, answer: Data) -> None:
    """A model that answers its example with what cannot be written does not load, with columns or with tensors."""
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        _python(tmp_path / "matrix", MATRIX, np.array([[1.0, 2.0]]), answer)
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        _python(
            tmp_path / "named",
            Schema([TensorSpec(np.dtype("float64"), (-1, 2), "x")]),
            {"x": np.array([[1.0, 2.0]])},
            answer,
        )


def test_sparse_output_becomes_rows(tmp_path: Path) -> None:
    """An estimator's sparse output is answered row by row, unless the rows would be too many cells."""
    rows = pd.DataFrame({"text": ["a", "b", "c"]})
    model = _estimator(tmp_path, OneHotEncoder().fit(rows), rows, pyfunc_predict_fn="transform")
    example = rehearsal.read(model)

    assert example is not None
    body = predictions.encode(model.predict([example], *model.default))
    assert json.loads(body) == {"predictions": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]}
    with pytest.raises(Refusal, match="send fewer rows"):
        predictions.to_dense(csr_matrix((30_000, 1000)))


def test_binary_values_go_in_as_they_came_out() -> None:
    """In JSON, BYTES of a binary column are base64, in lines or not; as binary data they are themselves."""
    column = [Column("b", "binary")]
    told = np.array(["//8=", "YWJj\n"], object)
    itself = np.array([b"\xff\xff", b"abc"], object)

    for array in (told, itself):
        frame = tensors.to_table({"b": array}, column).frame
        assert frame is not None
        assert frame["b"].tolist() == [b"\xff\xff", b"abc"]
    with pytest.raises(Refusal):
        tensors.to_table({"b": np.array(["no base64!"], object)}, column)


def test_an_unnamed_column_is_no_obstacle(tmp_path: Path) -> None:
    """Columns without names are MLflow's to read."""
    model = _python(tmp_path, Schema([ColSpec("double"), ColSpec("long")]), None)

    assert model.signature.columns is None


def test_a_frame_of_one_type_is_as_pandas_makes_it() -> None:
    """The quick way to a DataFrame gives the same types, names and order in memory as one array for each column."""
    columns = [Column(name, "double") for name in ("a", "b", "c")]
    values = [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)]
    wanted = pd.DataFrame(
        {column.name: np.array(each) for column, each in zip(columns, zip(*values, strict=True), strict=True)}
    )

    for given in (rows.Table(2, values), rows.Table(2, block=np.array(values))):
        found = rows.frame([given], columns)
        pd.testing.assert_frame_equal(found, wanted)
        assert found.to_numpy().strides == wanted.to_numpy().strides
