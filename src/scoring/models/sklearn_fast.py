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

from scoring.models import kinds

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
REGRESSING = {
    "RandomForestRegressor": "DecisionTreeRegressor",
    "ExtraTreesRegressor": "ExtraTreeRegressor",
}  # and their trees
CLASSIFYING = {"RandomForestClassifier": "DecisionTreeClassifier", "ExtraTreesClassifier": "ExtraTreeClassifier"}


def find(estimator: Estimator, method: str) -> Rows | None:
    """Return what `estimator.method` does without its checks, or None for an estimator that is not known here."""
    if kinds.is_exactly(estimator, {"Pipeline"}):
        return _pipeline(estimator, method)
    if kinds.is_exactly(estimator, LINEAR) and method == "predict":
        return _linear(estimator)
    if kinds.is_exactly(estimator, REGRESSING) and method == "predict" and _has_own_trees(estimator, REGRESSING):
        return _regressing_forest(estimator)
    if kinds.is_exactly(estimator, CLASSIFYING) and _has_own_trees(estimator, CLASSIFYING):
        return _classifying_forest(estimator, method)
    return None


def _has_own_trees(forest: Estimator, trees: dict[str, str]) -> bool:
    wanted = {trees[type(forest).__name__]}
    return forest.n_outputs_ == 1 and all(kinds.is_exactly(each, wanted) for each in forest.estimators_)


def _pipeline(pipeline: Estimator, method: str) -> Rows | None:
    *before, last = [step for _, step in pipeline.steps if not (step is None or isinstance(step, str))]
    if pipeline.steps[-1][1] is not last or not all(kinds.is_exactly(step, {"StandardScaler"}) for step in before):
        return None
    end = find(last, method)
    if end is None:
        return None
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


def _regressing_forest(estimator: Estimator) -> Rows:
    trees = [(tree.tree_.apply, np.ascontiguousarray(tree.tree_.value[:, 0, 0])) for tree in estimator.estimators_]

    def predict(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float32)
        total = np.zeros(len(rows))
        for find_leaves, values in trees:
            total += values.take(find_leaves(rows))
        total /= len(trees)
        return total

    return predict


def _classifying_forest(estimator: Estimator, method: str) -> Rows | None:
    trees, classes = [tree.tree_ for tree in estimator.estimators_], estimator.classes_

    def probabilities(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float32)
        total = np.zeros((len(rows), len(classes)))
        for tree in trees:
            total += tree.predict(rows)
        total /= len(trees)
        return total

    def predict(rows: np.ndarray) -> np.ndarray:
        return np.asarray(classes.take(probabilities(rows).argmax(axis=1), axis=0))

    return {"predict": predict, "predict_proba": probabilities}.get(method)
