"""Some of scikit-learn's estimators without the checks around their arithmetic, for rows that were checked before.

A predict of one row is 5 µs of arithmetic and 100 to 5,000 µs of checks, which the decoder has already made. Each function
here does the array operations of one class's own method, in the same order. `is_right` compares the result with the
estimator's own, bit for bit, when a model is loaded: where anything differs, the estimator's own method is called instead.
Sources: scikit-learn 1.9, sklearn/{pipeline,preprocessing/_data,linear_model/_base,ensemble/_forest}.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

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
SIZES = (1, 2, 3, 17, 64)  # rows in the proofs: BLAS has other ways for few rows and for many


def find(estimator: Any, method: str) -> Rows | None:  # noqa: ANN401 -- scikit-learn's estimators share no type
    """Return what `estimator.method` does without its checks, or None for an estimator that is not known here."""
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn."):
        return None
    if kind.__name__ == "Pipeline":
        return _pipeline(estimator, method)
    if kind.__name__ in LINEAR and method == "predict":
        return _linear(estimator)
    if kind.__name__ in {"RandomForestRegressor", "ExtraTreesRegressor"} and method == "predict" and estimator.n_outputs_ == 1:
        return _regressing_forest(estimator)
    if kind.__name__ in {"RandomForestClassifier", "ExtraTreesClassifier"} and estimator.n_outputs_ == 1:
        return _classifying_forest(estimator, method)
    return None


def is_right(short: Rows, full: Rows, example: np.ndarray) -> bool:
    """Whether a shortcut gives the estimator's own result, to the bit, on the example and on rows around it."""
    random = np.random.default_rng(0)
    for size in SIZES:
        near = example[random.integers(len(example), size=size)] * random.normal(1, 0.5, (size, example.shape[1]))
        for rows in (example, near.astype(example.dtype)):
            try:
                one, other = short(rows.copy()), full(rows.copy())
            except Exception:  # noqa: BLE001 -- then it is not right
                return False
            if one.dtype != other.dtype or one.shape != other.shape or not np.array_equal(one, other):
                return False
    return True


def _pipeline(pipeline: Any, method: str) -> Rows | None:  # noqa: ANN401 -- as above
    *before, last = [step for _, step in pipeline.steps if step not in {None, "passthrough"}]
    if pipeline.steps[-1][1] is not last or any(type(step).__name__ != "StandardScaler" for step in before):
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


def _linear(estimator: Any) -> Rows:  # noqa: ANN401 -- as above
    coefficients, intercept = estimator.coef_.T, estimator.intercept_
    classes = getattr(estimator, "classes_", None)

    def scores(rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows @ coefficients + intercept)

    def classify(rows: np.ndarray) -> np.ndarray:
        found = scores(rows)
        if found.ndim == 1 or found.shape[1] == 1:
            return np.asarray(classes[(found.ravel() > 0).astype(np.int64)])  # type: ignore[index]
        return np.asarray(classes[found.argmax(axis=1)])  # type: ignore[index]

    return scores if classes is None else classify


def _regressing_forest(estimator: Any) -> Rows:  # noqa: ANN401 -- as above
    trees = [(tree.tree_.apply, np.ascontiguousarray(tree.tree_.value[:, 0, 0])) for tree in estimator.estimators_]

    def predict(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float32)
        total = np.zeros(len(rows))
        for find_leaves, values in trees:
            total += values.take(find_leaves(rows))
        total /= len(trees)
        return total

    return predict


def _classifying_forest(estimator: Any, method: str) -> Rows | None:  # noqa: ANN401 -- as above
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
