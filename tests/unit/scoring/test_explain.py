"""Explanations add up, and are what the definition of Shapley values gives."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVR

from scoring.explain import methods

if TYPE_CHECKING:
    from collections.abc import Callable

RNG = np.random.default_rng(0)
ROWS = pd.DataFrame(RNG.normal(size=(120, 4)), columns=list("abcd"))
MIXED = ROWS.assign(b=RNG.choice(["x", "y", "z"], 120), c=ROWS["c"].where(ROWS["c"] < 1))
VALUE = ROWS["a"] * 3 - ROWS["d"] + np.where(MIXED["b"] == "x", 5.0, 0.0)
CLASS = np.digitize(VALUE, [-1.0, 3.0])
PREPARED = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["a", "c", "d"]), (OneHotEncoder(), ["b"])
)
NUMBERED = make_column_transformer((OrdinalEncoder(), ["b"]), remainder="passthrough")
EXACT: dict[str, tuple[Any, pd.DataFrame, Any, str]] = {
    "linear": (LinearRegression(), ROWS, VALUE, "linear"),
    "elastic net, scaled": (make_pipeline(StandardScaler(), ElasticNet(0.1)), ROWS, VALUE, "linear"),
    "one-hot columns": (make_pipeline(PREPARED, LinearRegression()), MIXED, VALUE, "linear"),
    "logistic, two classes": (make_pipeline(PREPARED, LogisticRegression()), MIXED, CLASS > 0, "linear"),
    "logistic, three classes": (make_pipeline(PREPARED, LogisticRegression()), MIXED, CLASS, "linear"),
    "ridge classifier": (RidgeClassifier(), ROWS, CLASS, "linear"),
    "forest": (RandomForestRegressor(20, random_state=0), ROWS, VALUE, "tree"),
    "forest, one-hot": (make_pipeline(PREPARED, ExtraTreesRegressor(20, random_state=0)), MIXED, VALUE, "tree"),
    "forest of classes": (RandomForestClassifier(20, random_state=0), ROWS, CLASS, "tree"),
    "boosting of two classes": (GradientBoostingClassifier(n_estimators=20), ROWS, CLASS > 0, "tree"),
    "histograms": (make_pipeline(NUMBERED, HistGradientBoostingRegressor(max_iter=20)), MIXED, VALUE, "tree"),
    "histograms of two classes": (HistGradientBoostingClassifier(max_iter=20), ROWS, CLASS > 0, "tree"),
}


@pytest.mark.parametrize("kind", EXACT)
def test_an_exact_explanation_adds_up(kind: str) -> None:
    """Base and contributions, one for each input column, are the prediction to 1e-6, which is the model's own."""
    estimator, rows, target, method = EXACT[kind]
    estimator.fit(rows, target)
    found = methods.explain_estimator(estimator, rows[:9], list(rows), rows[:20])

    assert found is not None
    assert found.method == method
    assert found.contributions.shape == (9, 4)
    assert found.base + found.contributions.sum(axis=1) == pytest.approx(found.prediction, rel=1e-6, abs=1e-6)
    if hasattr(estimator, "classes_"):
        expected = [str(each) for each in estimator.predict(rows[:9])]
        named = [each.rpartition(" ")[2] for each in found.of]
        two = len(estimator.classes_) == 2
        assert named == (["True"] * 9 if two else expected)
    else:
        assert found.prediction == pytest.approx(np.asarray(estimator.predict(rows[:9])), rel=1e-6)


def brute_force(predict: Callable[[pd.DataFrame], np.ndarray], row: pd.Series, background: pd.DataFrame) -> list[float]:
    """Return Shapley values by their definition: the mean over all orders of the columns."""
    names = list(background)

    def value(known: frozenset[str]) -> float:
        mixed = background.assign(**{name: row[name] for name in known})[names]
        return float(predict(mixed).mean())

    total = dict.fromkeys(names, 0.0)
    for order in itertools.permutations(names):
        for at, name in enumerate(order):
            total[name] += value(frozenset(order[: at + 1])) - value(frozenset(order[:at]))
    return [total[name] / math.factorial(len(names)) for name in names]


def test_a_linear_explanation_is_the_definition() -> None:
    """For a linear pipeline with one-hot columns, contributions are Shapley values over the background's rows."""
    estimator = EXACT["one-hot columns"][0].fit(MIXED, VALUE)
    found = methods.explain_estimator(estimator, MIXED[:2], list(MIXED), MIXED[:20])

    assert found is not None
    for at in range(2):
        assert found.contributions[at] == pytest.approx(brute_force(estimator.predict, MIXED.iloc[at], MIXED[:20]))


@pytest.mark.parametrize(
    ("estimator", "target"), [(SVR(), VALUE), (KNeighborsClassifier(), CLASS)], ids=["a curve", "neighbours"]
)
def test_permutations_add_up(estimator: Any, target: Any) -> None:  # noqa: ANN401 -- an estimator of any kind
    """Any function of rows is explained: exactly in their sum, and near the definition in each column."""
    estimator.fit(ROWS, target)
    ask = getattr(estimator, "predict_proba", estimator.predict)

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(ask(rows), float).reshape(len(rows), -1)

    found = methods.explain_by_permutations(predict, ROWS[:3], ROWS[:20], str, lambda: None)
    every = predict(ROWS[:3])

    assert found.base + found.contributions.sum(axis=1) == pytest.approx(found.prediction, abs=1e-9)
    assert found.prediction == pytest.approx(every.max(axis=1))
    for at in range(3):
        best = int(every[at].argmax())
        exact = brute_force(partial(one_of, predict, best), ROWS.iloc[at], ROWS[:20])
        assert found.contributions[at] == pytest.approx(exact, abs=0.35 * np.abs(exact).max())


def one_of(predict: Callable[[pd.DataFrame], np.ndarray], at: int, rows: pd.DataFrame) -> np.ndarray:
    """Return one of a function's outputs."""
    return predict(rows)[:, at]


@pytest.mark.parametrize("columns", [101, 5000])
def test_a_wide_model_is_not_explained_by_permutations(columns: int) -> None:
    """More columns than permutations can do are refused with the number, and nothing is computed."""
    wide = pd.DataFrame(np.zeros((1, columns)))
    with pytest.raises(methods.Unexplained, match=f"{columns} columns") as refused:
        methods.explain_by_permutations(lambda rows: np.zeros((len(rows), 1)), wide, wide, str, lambda: None)

    assert refused.value.status == 501
