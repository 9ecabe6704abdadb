"""What a model is asked when it is loaded, by which way it predicts then, and what it says of itself."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import cloudpickle
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from scoring import loading
from scoring.codecs import metadata, tensors
from scoring.models.rows import Table
from scoring.models.shortcuts import sklearn_fast
from scoring.models.signature import Column
from scoring.models.ways import Way
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scoring.models.base import Model
    from tests.aliases import Data, Estimator, Option

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the models of these tests hold their own code
ROWS, TARGET = load_diabetes(return_X_y=True, as_frame=True)
ASKED: list[int] = []  # rows of each predict
MATRIX = Schema([TensorSpec(np.dtype("float64"), (-1, 2))])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Choosy(BaseEstimator):
    """Counts what it is asked, takes no more than two rows, and needs some time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, *_: Data) -> Choosy:
        """Be fitted."""
        self.fitted_ = True
        return self

    def predict(self, rows: Data) -> Data:
        """Return sums."""
        import tests.unit.scoring.test_rehearsal as here  # noqa: PLC0415 -- it is pickled by value

        here.ASKED.append(len(rows))
        if len(rows) > 2:
            raise RuntimeError("it takes two rows")
        time.sleep(self.seconds)
        return np.asarray(rows).sum(axis=1)


def load_estimator(path: Path, estimator: Estimator, rows: Data = ROWS, n: int = 2, **options: Option) -> Model:
    """Save a fitted estimator as MLflow does, and load it as the server does."""
    given = {"signature": infer_signature(rows), "input_example": rows[:n], "pip_requirements": [], **options}
    mlflow.sklearn.save_model(estimator, str(path / "model"), serialization_format="cloudpickle", **given)
    return loading.load(Settings(path / "model"))


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 9), (0.3, 1)], ids=["quick", "slow"])
def test_own_code_is_asked_for_few_rows(tmp_path: Path, seconds: float, calls: int) -> None:
    """A model of one's own is asked for no more rows at once than its example has.

    When that was slow, for nothing more.
    """
    model = Choosy(seconds).fit()
    with warnings.catch_warnings():
        mlflow.sklearn.save_model(
            model, str(tmp_path / "model"), serialization_format="cloudpickle", signature=infer_signature(ROWS),
            pip_requirements=[],
            input_example=ROWS[:2],
        )  # fmt: skip
    ASKED.clear()
    found = loading.load(Settings(tmp_path / "model"))

    assert 1 <= len(ASKED) <= calls
    assert max(ASKED) <= 2
    assert found.ways["predict"].name == "frame"
    assert found.batchable is (not seconds)


def test_a_slow_model_of_scikit_learns_is_asked_for_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow predict that has no shortcut is asked for few rows, some times, and joins those of others.

    There it helps most.
    """
    asked, predict = [], SVR.predict

    def slow(self: SVR, rows: Data) -> Data:
        asked.append(len(rows))
        time.sleep(0.3)
        return predict(self, rows)

    monkeypatch.setattr(SVR, "predict", slow)
    model = load_estimator(tmp_path, SVR().fit(ROWS[:50], TARGET[:50]), input_example=ROWS[:2])
    asked_at_load = asked[1:]  # MLflow asks once, to save it

    assert (model.ways["predict"].name, model.batchable, max(asked_at_load)) == ("frame", True, 2)
    assert len(asked_at_load) <= 9
    assert model.ways["predict"].why == "no shortcut is known for SVR, which is slow by itself"


@pytest.mark.parametrize("missing", [0, 4, None], ids=["one", "another", "each"])
def test_a_value_that_is_missing_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int | None
) -> None:
    """An example with NaN proves a shortcut as one without does: on rows far outside it, too."""
    fitted = RandomForestRegressor(3).fit(ROWS, TARGET)
    monkeypatch.setattr(
        sklearn_fast, "find", lambda *_: lambda rows: fitted.predict(rows) + (np.abs(rows).max(axis=1) > 1000)
    )
    rows = ROWS[:5].copy()
    rows.iloc[slice(None) if missing is None else missing, 1] = np.nan
    model = load_estimator(tmp_path, fitted, input_example=rows)

    assert model.ways["predict"] == Way("matrix", "the shortcut predicts differently")


def test_a_shortcut_that_cannot_be_built_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where scikit-learn's inside is not what the shortcut was made to, the estimator is called with a matrix."""
    monkeypatch.delattr("sklearn.ensemble._gradient_boosting.predict_stages")
    model = load_estimator(tmp_path, RandomForestRegressor(3).fit(ROWS, TARGET))

    assert model.ways["predict"] == Way("matrix", "its shortcut failed: ImportError")


def test_trees_are_given_as_many_columns_as_they_were_trained_with(tmp_path: Path) -> None:
    """A signature with fewer columns leaves the refusal to scikit-learn: nothing reads beyond the rows."""
    fitted = RandomForestRegressor(3).fit(ROWS.to_numpy(), TARGET)
    model = load_estimator(tmp_path, fitted, signature=ModelSignature(MATRIX), input_example=None)

    assert model.ways["predict"] == Way("matrix", "it was trained with 10 columns, and its signature has 2")
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict([Table(1, rows=[(0.1, 0.2)])], "predict", None)


def test_the_ways(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each estimator takes the shortest way that is right for it, and the log says why not a shorter one."""
    caplog.set_level(logging.INFO, "scoring")
    text = pd.DataFrame({"a": ["x", "y"] * 3})
    found = [
        load_estimator(tmp_path / str(at), estimator.fit(rows, [0, 1] * (len(rows) // 2)), rows).ways["predict"]
        for at, (estimator, rows) in enumerate([
            (make_pipeline(StandardScaler(), ElasticNet()), ROWS),
            (make_pipeline(FunctionTransformer(np.log), Ridge()), ROWS + 1),
            (make_pipeline(FunctionTransformer(lambda rows: rows), Ridge()), ROWS),
            (make_pipeline(OneHotEncoder(), Ridge()), text),
            (make_pipeline(OneHotEncoder(), SVR()), text),
        ])
    ]  # fmt: skip

    assert [(way.name, way.why.split()[-1:]) for way in found] == [
        ("shortcut", []), ("matrix", ["checks"]), ("frame", ["own"]), ("shortcut", []), ("frame", ["SVR"]),
    ]  # fmt: skip
    why = "column a is string, and no shortcut is known for SVR"
    assert f"model unregistered: predict by frame ({why})" in caplog.messages


@pytest.mark.parametrize(("rows", "way"), [(ROWS, "frame"), (ROWS.to_numpy(), "matrix")], ids=["columns", "a tensor"])
def test_shortcuts_can_be_off(tmp_path: Path, rows: Data, way: str) -> None:
    """Without shortcuts, a model predicts by its library's own method, and what it says of its way is why."""
    fitted = make_pipeline(StandardScaler(), LinearRegression()).fit(rows, TARGET)
    load_estimator(tmp_path, fitted, rows)
    model = loading.load(Settings(tmp_path / "model", shortcuts="off"))

    assert model.ways == {"predict": Way(way, "shortcuts are off")}
    assert np.allclose(model.predict([Table(442, block=ROWS.to_numpy())], "predict", None), fitted.predict(rows))


def test_values_that_are_missing_take_the_shortcut_where_it_is_proven(tmp_path: Path) -> None:
    """Columns with NaN, which MLflow calls optional, are columns of a matrix; rows without such a column are none."""
    rows = ROWS.mask(np.random.default_rng(0).random(ROWS.shape) < 0.1)
    fitted = HistGradientBoostingRegressor(max_iter=20).fit(rows, TARGET)
    model = load_estimator(tmp_path, fitted, rows)
    with_nan = Table(len(rows), block=rows.to_numpy())

    assert not any(column.required for column in model.signature.columns or ())
    assert model.ways["predict"] == Way("shortcut")
    assert np.array_equal(model.predict([with_nan], "predict", None), fitted.predict(rows))
    assert np.array_equal(model.predict([Table(len(rows), frame=rows)], "predict", None), fitted.predict(rows))
    with pytest.raises(ValueError, match="feature names"):
        model.predict([Table(len(rows), frame=rows[["age"]])], "predict", None)


def test_floats_beside_doubles_are_rounded_as_in_a_dataframe(tmp_path: Path) -> None:
    """A matrix of doubles holds what a column of float32 has of a value, whichever form the rows came in."""
    rows = pd.DataFrame({"a": ROWS["age"], "b": ROWS["bmi"].astype(np.float32)})
    model = load_estimator(tmp_path, fitted := LinearRegression().fit(rows, TARGET), rows)
    wanted = fitted.predict(pd.DataFrame({"a": [0.1], "b": np.array([0.1], np.float32)}))

    assert model.ways["predict"].name == "shortcut"
    for table in (Table(1, rows=[(0.1, 0.1)]), Table(1, block=np.array([[0.1, 0.1]]))):
        assert model.predict([table], "predict", None) == wanted


def test_the_order_in_memory_is_no_difference(tmp_path: Path) -> None:
    """A pipeline whose last digits depend on its rows' memory order takes the shortcut: like is compared with like."""
    fitted = make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)).fit(ROWS, TARGET)
    model = load_estimator(tmp_path, fitted, n=64)

    assert model.ways["predict"].name == "shortcut"


def test_without_an_example_names_are_proven_all_the_same(tmp_path: Path) -> None:
    """A model without an example takes the short way when it is scikit-learn's, and a DataFrame when it is not."""
    own = load_estimator(tmp_path / "own", LinearRegression().fit(ROWS, TARGET), input_example=None)
    other = load_estimator(tmp_path / "other", Choosy().fit(), input_example=None)

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
    example = tensors.to_table(
        {str(name): rows[name].to_numpy() for name in names}, [Column(name, "double") for name in names]
    )
    model = load_estimator(tmp_path, fitted, rows, input_example=None if "" in names else rows[:2])

    assert model.predict([example], "predict", None) == pytest.approx(fitted.predict(rows.to_numpy()))
    assert [each["name"] for each in metadata.build(model)["inputs"]] == [str(name) for name in names]


def test_a_method_that_fails_is_not_offered(tmp_path: Path) -> None:
    """The default method answers the example; another that cannot is left out, and refuses no model."""
    fitted = LogisticRegression().fit(ROWS, TARGET > 100)
    fitted.predict_proba = json.loads
    model = load_estimator(tmp_path, fitted)

    assert model.methods == ("predict", "decision_function")
    assert model.ways["predict"].why == "LogisticRegression.predict_proba is not scikit-learn's own"
