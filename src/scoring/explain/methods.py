"""How a model is explained: exactly for linear ones and trees, by permutations for all others.

Sources: Shapley values as Lundberg and Lee (2017) define them; of a linear model with independent columns they are
coefficient times distance from the background's mean; TreeSHAP (Lundberg et al. 2020) by the library shap, by LightGBM
and by XGBoost; permutations with their reverses (Castro et al. 2009; Mitchell et al. 2022), which add up as they are.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import Refusal
from scoring.explain import origins
from scoring.models import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from scoring.models.aliases import Estimator

LINEAR = {
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "Lars", "LassoLars",
    "BayesianRidge", "ARDRegression", "HuberRegressor", "LinearSVR", "LogisticRegression", "LogisticRegressionCV",
    "RidgeClassifier", "RidgeClassifierCV", "LinearSVC", "LinearDiscriminantAnalysis", "SGDRegressor", "SGDClassifier",
}  # fmt: skip
TREES = {
    "DecisionTreeRegressor", "DecisionTreeClassifier", "ExtraTreeRegressor", "ExtraTreeClassifier",
    "RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor", "ExtraTreesClassifier",
    "GradientBoostingRegressor", "GradientBoostingClassifier", "HistGradientBoostingRegressor",
    "HistGradientBoostingClassifier",
}  # fmt: skip
MARGIN_TREES = {"GradientBoostingClassifier", "HistGradientBoostingClassifier"}
BACKGROUND = 20  # rows that stand for "not known"
PERMUTATIONS = 8  # each with its reverse
WIDEST = 100  # columns of a model that permutations explain
CELLS = 200_000  # rows of one predict call
CLOSE = 1e-6  # of the sum, relative to the prediction's size
NOT_IMPLEMENTED = 501


@dataclass(frozen=True)
class Explained:
    """The explanations of n rows: contributions [n, columns], base and prediction [n]; `of` says what they explain."""

    method: str
    of: list[str]
    base: np.ndarray
    prediction: np.ndarray
    contributions: np.ndarray


class Unexplained(Refusal):
    """The refusal (501) of a model that cannot be explained."""

    def __init__(self, reason: str) -> None:
        super().__init__(NOT_IMPLEMENTED, f"this model cannot be explained: {reason}")


def explain_estimator(estimator: Estimator, rows: Any, names: Sequence[str], background: Any) -> Explained | None:  # noqa: ANN401 -- a DataFrame or a matrix
    """Explain rows exactly by what an estimator is; None where that is not known, or does not add up."""
    transformers, last = origins.split(estimator)
    width = rows.shape[1]
    found_origins = origins.trace(transformers, width, names)
    if found_origins is None:
        return None
    features, known = rows, background
    for transformer in transformers:
        features, known = transformer.transform(features), transformer.transform(known)
    features, known = _dense(features), _dense(known)
    if len(found_origins) != np.shape(features)[1]:
        return None
    if kinds.is_exactly(last, LINEAR) and np.shape(features)[1]:
        explained = _explain_linear(last, np.asarray(features, float), np.asarray(known, float))
    elif kinds.is_exactly(last, TREES):
        explained = _explain_trees(last, features)
    else:
        explained = _explain_booster(last, features)
    if explained is None:
        return None
    summed = np.zeros((len(features), width))
    np.add.at(summed.T, np.asarray(found_origins), explained.contributions.T)
    off = np.abs(explained.base + summed.sum(axis=1) - explained.prediction)
    if not (off <= CLOSE * np.maximum(1.0, np.abs(explained.prediction))).all():
        return None
    return Explained(explained.method, explained.of, explained.base, explained.prediction, summed)


def _dense(values: Any) -> Any:  # noqa: ANN401 -- a matrix of any kind
    return values.toarray() if hasattr(values, "toarray") else values


def _choose(margins: np.ndarray, classes: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Return which class each row is predicted to be, by margins or probabilities [n, classes], and their names."""
    chosen = margins.argmax(axis=1)
    return chosen, [str(classes[at]) for at in chosen]


def _explain_linear(last: Estimator, features: np.ndarray, known: np.ndarray) -> Explained | None:
    weights, start = np.atleast_2d(np.asarray(last.coef_, float)), np.atleast_1d(np.asarray(last.intercept_, float))
    mean = known.mean(axis=0)
    classes = getattr(last, "classes_", None)
    if classes is None:
        if len(weights) > 1:
            return None
        chosen, of = np.zeros(len(features), int), ["value"] * len(features)
        prediction = np.asarray(last.predict(features), float).reshape(len(features))
    else:
        margins = np.asarray(last.decision_function(features), float)
        if margins.ndim == 1:  # of two classes, the second one's
            chosen, names, prediction = np.zeros(len(features), int), [str(classes[1])] * len(features), margins
        else:
            chosen, names = _choose(margins, classes)
            prediction = margins[np.arange(len(features)), chosen]
        of = [f"margin of class {name}" for name in names]
    start = np.broadcast_to(start, (len(weights),))
    return Explained(
        "linear", of, start[chosen] + weights[chosen] @ mean, prediction, weights[chosen] * (features - mean)
    )


def _explain_trees(last: Estimator, features: Any) -> Explained | None:  # noqa: ANN401 -- as above
    try:
        import shap  # noqa: PLC0415 -- takes a second, and may not be there
    except ImportError:
        return None
    values = np.asarray(features, float)
    explainer = shap.TreeExplainer(last)
    found = explainer.shap_values(values, check_additivity=False)
    found = np.stack(found, axis=-1) if isinstance(found, list) else np.asarray(found)
    base = np.atleast_1d(np.asarray(explainer.expected_value, float))
    classes = getattr(last, "classes_", None)
    every = np.arange(len(values))
    if classes is None:
        prediction = np.asarray(last.predict(features), float)
        if prediction.ndim > 1 or found.ndim > 2:  # noqa: PLR2004 -- several outputs
            return None
        return Explained("tree", ["value"] * len(values), np.full(len(values), base[0]), prediction, found)
    if type(last).__name__ in MARGIN_TREES:
        margins = np.asarray(last.decision_function(features), float)
        if margins.ndim == 1:
            of = [f"margin of class {classes[1]}"] * len(values)
            found = found[..., -1] if found.ndim > 2 else found  # noqa: PLR2004 -- as above
            return Explained("tree", of, np.full(len(values), base[-1]), margins, found)
        kind = "margin"
    else:
        margins, kind = np.asarray(last.predict_proba(features), float), "probability"
    if found.ndim < 3:  # noqa: PLR2004 -- as above
        return None
    chosen, names = _choose(margins, classes)
    of = [f"{kind} of class {name}" for name in names]
    return Explained("tree", of, base[chosen], margins[every, chosen], found[every, :, chosen])


def _explain_booster(last: Estimator, features: Any) -> Explained | None:  # noqa: ANN401 -- as above
    """Explain by LightGBM's or XGBoost's own TreeSHAP."""
    library, name = type(last).__module__.partition(".")[0], type(last).__name__
    classes = getattr(last, "classes_", None) if "Classifier" in name else None
    if library == "lightgbm" and hasattr(last, "booster_"):
        found = np.asarray(last.booster_.predict(features, pred_contrib=True), float)
        margins = np.asarray(last.booster_.predict(features, raw_score=True), float)
    elif library == "xgboost" and hasattr(last, "get_booster"):
        xgboost = sys.modules["xgboost"]
        matrix = xgboost.DMatrix(features, enable_categorical=True)
        found = np.asarray(last.get_booster().predict(matrix, pred_contribs=True), float)
        margins = np.asarray(last.get_booster().predict(matrix, output_margin=True), float)
    else:
        return None
    rows = len(margins)
    if margins.ndim == 1:
        of = ["value"] * rows if classes is None else [f"margin of class {classes[1]}"] * rows
        found = found.reshape(rows, -1)
        return Explained("tree", of, found[:, -1], margins, found[:, :-1])
    if classes is None:
        return None
    chosen, names = _choose(margins, classes)
    own = found.reshape(rows, margins.shape[1], -1)[np.arange(rows), chosen]
    of = [f"margin of class {each}" for each in names]
    return Explained("tree", of, own[:, -1], margins.max(axis=1), own[:, :-1])


def explain_by_permutations(
    predict: Callable[[Any], np.ndarray], rows: pd.DataFrame, background: pd.DataFrame, of: Callable[[int], str],
    check: Callable[[], None],
) -> Explained:  # fmt: skip
    """Explain any function of rows [n, columns] with values [n, outputs]: of each row, its highest output.

    Columns are replaced in PERMUTATIONS orders, and their reverses, by those of the background's rows; `check` is
    called between rows, and may raise.
    """
    columns = rows.shape[1]
    if columns > WIDEST:
        raise Unexplained(f"it has {columns} columns, and permutations explain at most {WIDEST}")
    rng = np.random.default_rng(0)
    orders = [order for _ in range(PERMUTATIONS) for order in _with_reverse(rng.permutation(columns))]
    values = predict(rows)
    chosen = values.argmax(axis=1) if values.shape[1] > 1 else np.zeros(len(rows), int)
    base = predict(background).mean(axis=0)
    found = np.zeros((len(rows), columns))
    for at in range(len(rows)):
        check()
        found[at] = _walk(partial(_output, predict, chosen[at]), rows.iloc[[at]], background, orders)
    return Explained(
        "permutation", [of(int(each)) for each in chosen], base[chosen], values[np.arange(len(rows)), chosen], found
    )


def _with_reverse(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return order, order[::-1]


def _output(predict: Callable[[Any], np.ndarray], chosen: int, rows: Any) -> np.ndarray:  # noqa: ANN401 -- a DataFrame
    return predict(rows)[:, chosen]


def _walk(
    predict: Callable[[Any], np.ndarray], row: pd.DataFrame, background: pd.DataFrame, orders: list[np.ndarray]
) -> np.ndarray:
    """Return the mean change of a value as a row's columns take the place of the background's one by one."""
    import pandas as pd  # noqa: PLC0415 -- a numeric model may do without

    total, step = np.zeros(row.shape[1]), max(1, CELLS // len(background))
    for order in orders:
        states, mixed = [], background.reset_index(drop=True)
        for column in order:
            mixed = mixed.copy(deep=False)
            mixed.isetitem(
                int(column), pd.Series([row.iloc[0, int(column)]] * len(mixed), dtype=row.dtypes.iloc[column])
            )
            states.append(mixed)
        means = np.concatenate([
            predict(pd.concat(states[at : at + step], ignore_index=True)).reshape(-1, len(background)).mean(axis=1)
            for at in range(0, len(states), step)
        ])  # fmt: skip
        before = np.concatenate([[predict(background).mean()], means[:-1]])
        total[order] += means - before
    return total / len(orders)
