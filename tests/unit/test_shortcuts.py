"""The shortcuts through scikit-learn: equal to the bit where they are taken, and not taken where they would not be."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeRegressor

from scoring import shortcuts

NUMBERS, CLASSES = load_diabetes(return_X_y=True), load_iris(return_X_y=True)
TWO = (CLASSES[0][:100], np.array(["no", "yes"])[CLASSES[1][:100]])


@pytest.mark.parametrize(
    ("estimator", "method", "data"),
    [
        (LinearRegression(), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)), "predict", NUMBERS),
        (make_pipeline(StandardScaler(with_mean=False), StandardScaler(with_std=False), Ridge()), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), LogisticRegression()), "predict", CLASSES),
        (LogisticRegression(), "predict", TWO),
        (LinearSVC(), "predict", TWO),
        (RidgeClassifier(), "predict", CLASSES),
        (RandomForestRegressor(20), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), ExtraTreesRegressor(20)), "predict", NUMBERS),
        (RandomForestClassifier(20), "predict", TWO),
        (ExtraTreesClassifier(20), "predict_proba", CLASSES),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__,
)
def test_a_shortcut_gives_the_estimators_own_result(estimator: Any, method: str, data: Any) -> None:  # noqa: ANN401
    """What is known is found, and gives the same numbers to the bit, whatever the number of rows."""
    rows, target = data
    call = getattr(estimator.fit(rows, target), method)
    short = shortcuts.find(estimator, method)

    assert short is not None
    assert shortcuts.is_right(short, call, rows[:5])
    for size in (1, 2, 7, 100):
        assert np.array_equal(short(rows[:size]), call(rows[:size]))


@pytest.mark.parametrize(
    "estimator",
    [SVR(), DecisionTreeRegressor(), make_pipeline(MinMaxScaler(), Ridge()), make_pipeline(StandardScaler(), SVR())],
    ids=["kernel", "single tree", "another scaler", "another end"],
)
def test_what_is_not_known_is_not_found(estimator: Any) -> None:  # noqa: ANN401
    """For any other estimator there is no shortcut."""
    estimator.fit(*NUMBERS)

    assert shortcuts.find(estimator, "predict") is None


def test_a_class_of_the_same_name_is_not_known() -> None:
    """A class that only has the name of one of scikit-learn's is not taken for it."""
    own = type("ElasticNet", (ElasticNet,), {"predict": lambda _, rows: np.zeros(len(rows))})().fit(*NUMBERS)

    assert shortcuts.find(own, "predict") is None


def test_a_shortcut_that_differs_is_not_right() -> None:
    """A result that differs in the last bit of one row, or in its type, is refused."""
    model = LinearRegression().fit(*NUMBERS)

    assert not shortcuts.is_right(lambda rows: np.nextafter(model.predict(rows), np.inf), model.predict, NUMBERS[0][:5])
    assert not shortcuts.is_right(lambda rows: model.predict(rows).astype(np.float32), model.predict, NUMBERS[0][:5])
