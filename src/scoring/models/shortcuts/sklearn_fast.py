"""Some of scikit-learn's estimators without the checks around their arithmetic, for rows that were checked before.

A predict of one row is 5 µs of arithmetic and 100 to 5,000 µs of checks, which the decoder has already made. Each
function here does the array operations of one class's own method, in the same order. When a model is loaded, the result
is compared with the estimator's own, bit for bit (`scoring.models.proof`): where anything differs, the estimator's own
method is called instead. Only scikit-learn's own classes are known here, each compared as a class, not by its name
(`scoring.models.kinds`). Sources: scikit-learn 1.9,
sklearn/{pipeline,linear_model/{_base,_logistic},ensemble/_forest}.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scoring.models import kinds
from scoring.models.shortcuts import sources, transformers, trees
from scoring.models.shortcuts.sources import Made, UnknownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.models.aliases import Estimator

    Rows = Callable[[np.ndarray], np.ndarray]

LINEAR = {
    "LinearRegression",
    "Ridge",
    "Lasso",
    "ElasticNet",
    "RidgeCV",
    "LassoCV",
    "ElasticNetCV",
    "LogisticRegression",
    "LogisticRegressionCV",
    "LinearSVC",
    "RidgeClassifier",
}
FORESTS = {
    "RandomForestRegressor": "DecisionTreeRegressor",
    "ExtraTreesRegressor": "ExtraTreeRegressor",
    "RandomForestClassifier": "DecisionTreeClassifier",
    "ExtraTreesClassifier": "ExtraTreeClassifier",
}  # and their trees
MANY = 2048  # rows; so many are sorted by the first tree's leaves: neighbours walk the other trees much alike, too
OF_TREES = ("predict", "predict_proba")
BOOSTED = {
    "GradientBoostingRegressor": trees.boosting,
    "GradientBoostingClassifier": trees.boosting,
    "HistGradientBoostingRegressor": trees.histograms,
    "HistGradientBoostingClassifier": trees.histograms,
}


def find(estimator: Estimator, method: str) -> Rows | str:
    """Return what `estimator.method` does without its checks, or why that is not known."""
    if kinds.is_exactly(estimator, {"Pipeline"}):
        try:
            made, end = split(estimator, method)
        except UnknownError as unknown:
            return str(unknown)
        return _through(made, end, getattr(estimator, method))
    return _end(estimator, method)


def split(estimator: Estimator, method: str) -> tuple[Made, Rows]:
    """Return what makes a matrix of rows by column, and what the end does with that; raise UnknownError."""
    made, last = Made(lambda source: source.numbers(None)), estimator
    if kinds.is_exactly(estimator, {"Pipeline"}):
        *before, last = transformers.active(estimator) or [None]
        if estimator.steps[-1][1] is not last:
            raise UnknownError(f"no shortcut is known for {kinds.describe(estimator)}")
        made = transformers.chain(before)
    elif categories := _own_categories(estimator):
        return categories, trees.histograms(estimator, method)
    end = _end(last, method, is_sparse=made.is_sparse)
    if isinstance(end, str):
        raise UnknownError(end)
    return made, end


def _end(estimator: Estimator, method: str, *, is_sparse: bool = False) -> Rows | str:
    if kinds.is_exactly(estimator, LINEAR) and method == "predict":
        return _linear(estimator, is_sparse=is_sparse)
    if kinds.is_exactly(estimator, {"LogisticRegression", "LogisticRegressionCV"}) and method == "predict_proba":
        return _logistic(estimator, is_sparse=is_sparse)
    if method not in OF_TREES:
        return f"no shortcut is known for {method}"
    if kinds.is_exactly(estimator, FORESTS) and _has_own_trees(estimator):
        return _forest(estimator, method)
    if kinds.is_exactly(estimator, set(BOOSTED)) and not is_sparse:
        short = BOOSTED[type(estimator).__name__](estimator, method)
        categories = _own_categories(estimator)
        return short if isinstance(short, str) or not categories else _through(categories, short, None)
    return f"no shortcut is known for {kinds.describe(estimator)}"


def _own_categories(estimator: Estimator) -> Made | None:
    """Return what histogram gradient boosting does with its categorical columns, if it has some."""
    before = getattr(estimator, "_preprocessor", None)
    return None if before is None else transformers.build(before)


def _through(made: Made, end: Rows, own: Rows | None) -> Rows:
    """Return what takes a matrix; `own` answers for a category that it refuses."""

    def predict(rows: np.ndarray) -> np.ndarray:
        try:
            matrix = made.apply(sources.Rows(rows))
        except KeyError:
            if own is None:
                raise
            return own(rows)
        return end(matrix)

    return predict


def _has_own_trees(forest: Estimator) -> bool:
    wanted = {FORESTS[type(forest).__name__]}
    return all(kinds.is_exactly(each, wanted) for each in forest.estimators_)


def _linear(estimator: Estimator, *, is_sparse: bool) -> Rows:
    scores, classes = _scores(estimator, is_sparse=is_sparse), getattr(estimator, "classes_", None)

    def classify(rows: np.ndarray) -> np.ndarray:
        found = scores(rows)
        if found.ndim == 1 or found.shape[1] == 1:
            return np.asarray(classes[(found.ravel() > 0).astype(np.int64)])  # type: ignore[index]
        return np.asarray(classes[found.argmax(axis=1)])  # type: ignore[index]

    return scores if classes is None else classify


def _scores(estimator: Estimator, *, is_sparse: bool) -> Rows:
    """Return what gives the values of linear functions; of a sparse matrix they are added column by column."""
    coefficients, intercept = estimator.coef_.T, estimator.intercept_
    if not is_sparse:
        return lambda rows: np.asarray(rows @ coefficients + intercept)
    each = coefficients.T if coefficients.ndim > 1 else [coefficients]

    def add(rows: np.ndarray) -> np.ndarray:
        sums = [np.cumsum(rows * one, axis=1)[:, -1] for one in each]
        return np.asarray((np.stack(sums, axis=1) if coefficients.ndim > 1 else sums[0]) + intercept)

    return add


def _logistic(estimator: Estimator, *, is_sparse: bool) -> Rows:
    from scipy.special import expit
    from sklearn.utils.extmath import softmax

    scores = _scores(estimator, is_sparse=is_sparse)

    def probabilities(rows: np.ndarray) -> np.ndarray:
        found = scores(rows)
        if found.shape[1] > 1:
            return np.asarray(softmax(found, copy=False))
        found = expit(found.ravel())
        return np.stack([1 - found, found], axis=1)

    return probabilities


def _forest(forest: Estimator, method: str) -> Rows | str:
    own, classes = [tree.tree_ for tree in forest.estimators_], getattr(forest, "classes_", None)
    if classes is not None and forest.n_outputs_ > 1:
        return "it has several outputs of classes"
    is_single = classes is None and forest.n_outputs_ == 1
    width = forest.n_outputs_ if classes is None else len(classes)
    few = trees.sum_values(own) if is_single else trees.sum_vectors(own)

    def average(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float32, order="C")
        if few and len(rows) <= trees.FEW:
            return few(rows) / len(own)
        if len(rows) >= MANY:
            order = own[0].apply(rows).argsort()
            found = np.empty((len(rows), width))
            found[order] = add(rows[order])
            return found
        return add(rows)

    def add(rows: np.ndarray) -> np.ndarray:
        return np.asarray(sum(tree.predict(rows).reshape(len(rows), -1) for tree in own) / len(own))

    if is_single:
        return lambda rows: average(rows)[:, 0]
    if classes is None or method == "predict_proba":
        return average
    return lambda rows: np.asarray(classes.take(average(rows).argmax(axis=1), axis=0))
