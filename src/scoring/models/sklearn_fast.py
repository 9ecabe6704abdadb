"""Some of scikit-learn's estimators without the checks around their arithmetic, for rows that were checked before.

A predict of one row is 5 µs of arithmetic and 100 to 5,000 µs of checks, which the decoder has already made. Each
function here does the array operations of one class's own method, in the same order. When a model is loaded, the result
is compared with the estimator's own, bit for bit (`scoring.models.proof`): where anything differs, the estimator's own
method is called instead. Only scikit-learn's own classes are known here, each compared as a class, not by its name
(`scoring.models.kinds`). Sources: scikit-learn 1.9,
sklearn/{pipeline,preprocessing/_data,linear_model/_base,ensemble/_forest}.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.models import kinds, trees

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
    "LinearSVC",
    "RidgeClassifier",
}
FORESTS = {
    "RandomForestRegressor": "DecisionTreeRegressor",
    "ExtraTreesRegressor": "ExtraTreeRegressor",
    "RandomForestClassifier": "DecisionTreeClassifier",
    "ExtraTreesClassifier": "ExtraTreeClassifier",
}  # and their trees
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
        return _pipeline(estimator, method)
    if kinds.is_exactly(estimator, LINEAR) and method == "predict":
        return _linear(estimator)
    if method not in OF_TREES:
        return f"no shortcut is known for {method}"
    if kinds.is_exactly(estimator, FORESTS) and _has_own_trees(estimator):
        return _forest(estimator, method)
    if kinds.is_exactly(estimator, set(BOOSTED)):
        return BOOSTED[type(estimator).__name__](estimator, method)
    return f"no shortcut is known for {kinds.describe(estimator)}"


def _has_own_trees(forest: Estimator) -> bool:
    wanted = {FORESTS[type(forest).__name__]}
    return all(kinds.is_exactly(each, wanted) for each in forest.estimators_)


def _pipeline(pipeline: Estimator, method: str) -> Rows | str:
    *before, last = [step for _, step in pipeline.steps if not (step is None or isinstance(step, str))]
    if pipeline.steps[-1][1] is not last or not all(kinds.is_exactly(step, {"StandardScaler"}) for step in before):
        return f"no shortcut is known for {kinds.describe(pipeline)}"
    end = find(last, method)
    if isinstance(end, str):
        return end
    scales = [(step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None) for step in before]

    def predict(rows: np.ndarray) -> np.ndarray:
        if rows.dtype.kind != "f":
            rows = rows.astype(np.float64)
        for mean, scale in scales:
            if mean is not None:
                rows = rows - mean
            if scale is not None:
                rows = rows / scale
        return end(rows)

    return predict


def _linear(estimator: Estimator) -> Rows:
    coefficients, intercept = estimator.coef_.T, estimator.intercept_
    classes: Any = getattr(estimator, "classes_", None)

    def scores(rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows @ coefficients + intercept)

    def classify(rows: np.ndarray) -> np.ndarray:
        found = scores(rows)
        if found.ndim == 1 or found.shape[1] == 1:
            return np.asarray(classes[(found.ravel() > 0).astype(np.int64)])
        return np.asarray(classes[found.argmax(axis=1)])

    return scores if classes is None else classify


def _forest(forest: Estimator, method: str) -> Rows | str:
    own, classes = [tree.tree_ for tree in forest.estimators_], getattr(forest, "classes_", None)
    if classes is not None and forest.n_outputs_ > 1:
        return "it has several outputs of classes"
    is_single = classes is None and forest.n_outputs_ == 1
    few = trees.sum_values(own) if is_single else trees.sum_vectors(own)

    def average(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float32, order="C")
        if few and len(rows) <= trees.FEW:
            return few(rows) / len(own)
        return np.asarray(sum(tree.predict(rows).reshape(len(rows), -1) for tree in own) / len(own))

    if is_single:
        return lambda rows: average(rows)[:, 0]
    if classes is None or method == "predict_proba":
        return average
    return lambda rows: np.asarray(classes.take(average(rows).argmax(axis=1), axis=0))
