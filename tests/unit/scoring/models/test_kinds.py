"""Whether an estimator is scikit-learn's own, whatever it is called."""

import numpy as np
import pytest
from sklearn.cluster import FeatureAgglomeration
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor, StackingRegressor
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from scoring.models import kinds
from tests.aliases import Data, Estimator

ROWS = np.random.default_rng(0).normal(size=(30, 3))
TARGET = ROWS[:, 0] * 2


class Clipping(StandardScaler):
    """A user's own scaler."""

    def transform(self, X: Data, copy: bool | None = None) -> Data:  # noqa: N803 -- scikit-learn's names
        """Cut what lies far outside."""
        return np.clip(super().transform(X, copy), -8, 8)


Clipping.__name__ = Clipping.__qualname__ = "StandardScaler"


class Borrowed(Clipping):
    """The same, which even says that it is of scikit-learn's module."""


Borrowed.__name__ = Borrowed.__qualname__ = "StandardScaler"
Borrowed.__module__ = StandardScaler.__module__


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), ElasticNet()), RandomForestRegressor(3),
        HistGradientBoostingRegressor(max_iter=2), GridSearchCV(Ridge(), {"alpha": [1, 2]}),
        StackingRegressor([("a", Ridge())]),
        make_pipeline(FunctionTransformer(np.exp), Ridge()),
        FeatureAgglomeration(),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_a_library_holds_is_its_own(estimator: Estimator) -> None:
    """Estimators of scikit-learn's, made of its own and numpy's functions, hold nothing foreign."""
    assert not kinds.find_foreign(estimator.fit(ROWS, TARGET))


@pytest.mark.parametrize(
    "scaler", [Clipping(), Borrowed()], ids=["a subclass", "one that claims scikit-learn's module"]
)
def test_a_class_of_the_same_name_is_foreign(scaler: Estimator) -> None:
    """Neither a class's name nor its module's name makes it scikit-learn's."""
    fitted = make_pipeline(scaler, Ridge()).fit(ROWS, TARGET)

    assert not kinds.is_exactly(scaler, {"StandardScaler"})
    assert kinds.find_foreign(fitted).endswith(".StandardScaler")


def test_a_changed_instance_is_foreign() -> None:
    """An own method on an instance, be it one tree of a forest, is found, and so is a function of one's own."""
    forest = RandomForestRegressor(3).fit(ROWS, TARGET)
    forest.estimators_[1].predict = lambda rows: np.zeros(len(rows))
    scaler = StandardScaler().fit(ROWS)
    scaler.transform = np.abs

    assert kinds.find_foreign(forest) == "DecisionTreeRegressor.predict"
    assert not kinds.is_exactly(scaler, {"StandardScaler"})
    assert kinds.find_foreign(FunctionTransformer(lambda rows: rows)).endswith("<lambda>")
