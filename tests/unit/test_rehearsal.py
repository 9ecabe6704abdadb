"""What a model is asked when it is loaded, by which way it predicts then, and what it says of itself."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from scoring import loading, metadata, tensors
from scoring.errors import ModelError, Refusal
from scoring.settings import Settings
from scoring.signature import Column

if TYPE_CHECKING:
    from scoring.model import Model

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the models of these tests hold their own code
CPU = Path("/proc/cpuinfo")
KERNELS = ["Haswell", "Nehalem", *(["SkylakeX"] if CPU.exists() and "avx512f" in CPU.read_text() else [])]  # those that run here
ROWS, TARGET = load_diabetes(return_X_y=True, as_frame=True)
ASKED: list[int] = []  # rows of each predict
MATRIX = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])


@pytest.fixture(autouse=True)
def _quiet() -> Any:  # noqa: ANN401 -- a fixture
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Choosy(BaseEstimator):
    """Counts what it is asked, takes no more than two rows, and needs some time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, *_: Any) -> Choosy:  # noqa: ANN401 -- as scikit-learn's
        """Be fitted."""
        self.fitted_ = True
        return self

    def predict(self, rows: Any) -> Any:  # noqa: ANN401 -- as above
        """Return sums."""
        import tests.unit.test_rehearsal as here  # noqa: PLC0415 -- it is pickled by value

        here.ASKED.append(len(rows))
        if len(rows) > 2:
            raise RuntimeError("it takes two rows")
        time.sleep(self.seconds)
        return np.asarray(rows).sum(axis=1)


class Says(mlflow.pyfunc.PythonModel):
    """Answers with the same thing always, or with the sums of its rows."""

    def __init__(self, answer: Any = None) -> None:  # noqa: ANN401 -- anything
        self.answer = answer

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401, ARG002 -- MLflow's interface
        """Answer."""
        if self.answer is not None:
            return self.answer
        if isinstance(model_input, dict):
            return sum(array.reshape(len(array), -1).sum(axis=1) for array in model_input.values())
        assert isinstance(model_input, np.ndarray | pd.DataFrame)
        return np.asarray(model_input).reshape(len(model_input), -1).sum(axis=1)


def _estimator(path: Path, estimator: Any, rows: Any = ROWS, n: int = 2, **options: Any) -> Model:  # noqa: ANN401 -- any
    given = {"signature": infer_signature(rows), "input_example": rows[:n], "pip_requirements": [], **options}
    mlflow.sklearn.save_model(estimator, str(path / "model"), serialization_format="cloudpickle", **given)
    return loading.load(Settings(path / "model"))


def _python(path: Path, inputs: Schema | None, example: Any, answer: Any = None, outputs: Schema | None = None) -> Model:  # noqa: ANN401 -- any
    signature = ModelSignature(inputs, outputs) if inputs else None
    mlflow.pyfunc.save_model(
        str(path / "model"), python_model=Says(answer), signature=signature, input_example=example, pip_requirements=[]
    )
    return loading.load(Settings(path / "model"))


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 9), (0.3, 1)], ids=["quick", "slow"])
def test_own_code_is_asked_for_few_rows(tmp_path: Path, seconds: float, calls: int) -> None:
    """A model of one's own is asked for no more rows at once than its example has; when that was slow, for nothing more."""
    model = Choosy(seconds).fit()
    with warnings.catch_warnings():
        mlflow.sklearn.save_model(
            model, str(tmp_path / "model"), serialization_format="cloudpickle", signature=infer_signature(ROWS), pip_requirements=[],
            input_example=ROWS[:2],
        )  # fmt: skip
    ASKED.clear()
    found = loading.load(Settings(tmp_path / "model"))

    assert 1 <= len(ASKED) <= calls
    assert max(ASKED) <= 2
    assert found.ways["predict"].name == "frame"
    assert found.joins is (not seconds)


def test_the_ways(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each estimator takes the shortest way that is right for it, says why not a shorter one, and one line of the log says it too."""
    caplog.set_level(logging.INFO, "scoring")
    text = pd.DataFrame({"a": ["x", "y"] * 3})
    found = [
        _estimator(tmp_path / str(at), estimator.fit(rows, [0, 1] * (len(rows) // 2)), rows).ways["predict"]
        for at, (estimator, rows) in enumerate([
            (make_pipeline(StandardScaler(), ElasticNet()), ROWS),
            (make_pipeline(FunctionTransformer(np.log), Ridge()), ROWS + 1),
            (make_pipeline(FunctionTransformer(lambda rows: rows), Ridge()), ROWS),
            (make_pipeline(OneHotEncoder(), Ridge()), text),
        ])
    ]  # fmt: skip

    assert [(way.name, way.why.split()[-1:]) for way in found] == [
        ("shortcut", []), ("matrix", ["checks"]), ("frame", ["own"]), ("frame", ["string"]),
    ]  # fmt: skip
    assert "model unregistered: predict by frame (column a is string)" in caplog.messages


def test_the_order_in_memory_is_no_difference(tmp_path: Path) -> None:
    """A pipeline whose last digits depend on how its rows lie in memory takes the shortcut: like is compared with like."""
    fitted = make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)).fit(ROWS, TARGET)
    model = _estimator(tmp_path, fitted, n=64)

    assert model.ways["predict"].name == "shortcut"


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_demos_model_takes_the_shortcut_on_any_processor(tmp_path: Path, kernel: str) -> None:
    """With the kernels of other processors, too, the way is the same, and the answer scikit-learn's but for rounding."""
    _estimator(tmp_path, make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)).fit(ROWS, TARGET), n=3)
    script = (
        "import sys; from pathlib import Path; from scoring import loading, settings, table\n"
        "m = loading.load(settings.Settings(Path(sys.argv[1]))); e = loading.rehearsal._read(m)\n"
        "p, q = m.predict([e], 'predict', None), m._estimator.predict(table.frame([e], m.signature.columns))\n"
        "print(m.ways['predict'].name, abs(p / q - 1).max() < 1e-12)"
    )
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": str(Path(loading.__file__).parents[1])}
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "model")], env=environment, check=True, capture_output=True, text=True
    ).stdout

    assert printed.split() == ["shortcut", "True"]


def test_without_an_example_names_are_proven_all_the_same(tmp_path: Path) -> None:
    """A model without an example takes the short way when it is scikit-learn's, and a DataFrame when it is not."""
    own = _estimator(tmp_path / "own", LinearRegression().fit(ROWS, TARGET), input_example=None)
    other = _estimator(tmp_path / "other", Choosy().fit(), input_example=None)

    assert [model.ways["predict"].name for model in (own, other)] == ["shortcut", "frame"]


@pytest.mark.parametrize(
    "names",
    [[0, 1, 2], [0.5, 1.5, 2.5], ["\x00", 'a"b', "a\\b"], ["__class__", "f0", ""]],
    ids=["integers", "fractions", "signs", "of Python"],
)
def test_odd_names_load(tmp_path: Path, names: list[Any]) -> None:
    """Whatever the columns are called, a model loads, describes itself, and predicts."""
    rows = pd.DataFrame(ROWS.to_numpy()[:20, :3]).set_axis(names, axis=1)
    fitted = LinearRegression().fit(rows.to_numpy(), TARGET[:20])
    example = tensors.to_table({str(name): rows[name].to_numpy() for name in names}, [Column(name, "double") for name in names])
    model = _estimator(tmp_path, fitted, rows, input_example=None if "" in names else rows[:2])

    assert model.predict([example], "predict", None) == pytest.approx(fitted.predict(rows.to_numpy()))
    assert [each["name"] for each in metadata.build(model)["inputs"]] == [str(name) for name in names]


def test_a_matrix_of_any_flavour(tmp_path: Path) -> None:
    """A Python model whose signature is a matrix predicts from it, as MLflow has it."""
    model = _python(tmp_path, MATRIX, np.array([[1.0, 2.0]]))
    example = loading.rehearsal._read(model)  # noqa: SLF001 -- as a request is read

    assert example is not None
    assert model.predict([example], "predict", None).tolist() == [3.0]
    assert model.ways["predict"].name == "mlflow"
    assert metadata.build(model)["inputs"] == [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]
    assert metadata.build(model)["outputs"] == [{"name": "predict", "datatype": "FP64", "shape": [-1]}]


def test_metadata_of_named_tensors_of_any_rank(tmp_path: Path) -> None:
    """Inputs are told by name, type and shape; without an example the outputs are those that the signature declares."""
    inputs = Schema([TensorSpec(np.dtype("float32"), (-1, 2, 2), "image"), TensorSpec(np.dtype("int64"), (-1,), "size")])
    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, 5), "scores")])
    model = _python(tmp_path, inputs, None, outputs=outputs)
    described = metadata.build(model)
    arrays = {"image": np.ones((2, 2, 2), np.float32), "size": np.array([1, 2])}

    assert described["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}, {"name": "size", "datatype": "INT64", "shape": [-1]},
    ]  # fmt: skip
    assert described["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 5]}]
    assert model.predict_data(model.from_arrays(arrays), "predict", None).tolist() == [5.0, 6.0]


def test_metadata_tells_what_one_request_gets(tmp_path: Path) -> None:
    """A classifier's two methods are not had together: the default's output is told; a DataFrame's columns are outputs each."""
    labels = (TARGET > 100).map({True: "high", False: "low"})
    classifier = _estimator(tmp_path / "classifier", RandomForestClassifier(3).fit(ROWS, labels))
    frame = _python(tmp_path / "frame", MATRIX, np.array([[1.0, 2.0]]), pd.DataFrame({"a": [1.5], "b": ["x"]}))

    assert metadata.build(classifier)["outputs"] == [{"name": "predict", "datatype": "BYTES", "shape": [-1]}]
    assert [(each["name"], each["datatype"]) for each in metadata.build(frame)["outputs"]] == [("a", "FP64"), ("b", "BYTES")]


@pytest.mark.parametrize("answer", [{1, 2}, uuid.UUID(int=0), [1 + 2j]], ids=["set", "uuid", "complex"])
def test_an_output_that_no_json_holds_is_found_at_once(tmp_path: Path, answer: Any) -> None:  # noqa: ANN401 -- anything
    """A model that answers its example with what cannot be written does not load, whether it takes columns or tensors."""
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        _python(tmp_path / "matrix", MATRIX, np.array([[1.0, 2.0]]), answer)
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        _python(tmp_path / "named", Schema([TensorSpec(np.dtype("float64"), (-1, 2), "x")]), {"x": np.array([[1.0, 2.0]])}, answer)


def test_sparse_output_is_found_at_once(tmp_path: Path) -> None:
    """An estimator whose output is sparse does not load."""
    rows = pd.DataFrame({"text": ["a", "b", "c"]})
    with pytest.raises(ModelError, match="cannot be written as JSON: csr_matrix"):
        _estimator(tmp_path, OneHotEncoder().fit(rows), rows, pyfunc_predict_fn="transform")


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


def test_a_method_that_fails_is_not_offered(tmp_path: Path) -> None:
    """The default method answers the example; another that cannot is left out, and refuses no model."""
    fitted = LogisticRegression().fit(ROWS, TARGET > 100)
    fitted.predict_proba = json.loads
    model = _estimator(tmp_path, fitted)

    assert model.methods == ("predict",)
    assert model.ways["predict"].why == "LogisticRegression.predict_proba is not scikit-learn's own"


def test_an_unnamed_column_is_no_obstacle(tmp_path: Path) -> None:
    """Columns without names are MLflow's to read."""
    model = _python(tmp_path, Schema([ColSpec("double"), ColSpec("long")]), None)

    assert model.signature.columns is None
