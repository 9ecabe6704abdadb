"""Ensembles of trees, walked by the loop that scikit-learn compiled for its own gradient boosting.

That loop goes through all trees in one call, and adds what each says in their order: to the bit what the estimator
adds tree by tree, at 3 µs a tree and more. It compares float32 values with `<=`, as forests and gradient boosting do.
Histogram gradient boosting compares doubles: its rows become the numbers of the intervals that its thresholds cut a
column into; a split by category has a column of its own, which says the side of each. Sources: scikit-learn 1.9,
sklearn/ensemble/{_gradient_boosting.pyx,_gb.py,_forest.py} and
sklearn/ensemble/_hist_gradient_boosting/{gradient_boosting,predictor}.py.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.models import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.models.aliases import Estimator

    Rows = Callable[[np.ndarray], np.ndarray]

FEW = 256  # rows; of more, the estimator's own loop takes as long, and lets other threads run meanwhile
STEP = 2**15  # rows times trees times values that are walked in one call, during which no other thread runs: some 2 ms
MOST_NODES = 1_000_000  # of trees that are copied, 72 bytes each
CONSTANT = {"DummyRegressor", "DummyClassifier"}  # what gradient boosting begins with, unless one's own is chosen


def sum_values(trees: Sequence[Any]) -> Rows:
    """Return what adds the only value of each tree."""
    return _walker(_stage(trees).reshape(-1, 1), np.zeros((1, 1)), 1.0)


def sum_vectors(trees: Sequence[Any]) -> Rows | None:
    """Return what adds the values of each tree, [outputs] or [classes]; None for trees too large to be copied.

    The loop knows trees with one value: copies say which leaf it is.
    """
    counts = [tree.node_count for tree in trees]
    if sum(counts) > MOST_NODES:
        return None
    vectors = np.concatenate([tree.value.reshape(tree.node_count, -1) for tree in trees])
    numbers = np.arange(len(vectors), dtype=np.float64)
    ends = np.cumsum(counts)
    copies = [
        _make(tree.__getstate__()["nodes"], numbers[end - count : end])
        for tree, count, end in zip(trees, counts, ends, strict=True)
    ]
    find_leaves = _walker(_stage(copies), np.zeros((1, len(copies))), 1.0)
    step = max(1, STEP // (len(copies) * vectors.shape[1]))

    def add(rows: np.ndarray) -> np.ndarray:
        total = np.empty((len(rows), vectors.shape[1]))
        for at in range(0, len(rows), step):
            leaves = find_leaves(rows[at : at + step]).T.astype(np.intp)
            np.add.reduce(vectors.take(leaves, axis=0), axis=0, out=total[at : at + step])
        return total

    return add


def boosting(estimator: Estimator, method: str) -> Rows | str:
    """Return what gradient boosting does without its checks, or why it is not known."""
    first, finish = estimator.init_, _finish(estimator, method, raw=np.ravel, positive=np.greater_equal)
    if not isinstance(first, str) and not (
        kinds.is_exactly(first, CONSTANT) and first.strategy not in {"stratified", "uniform"}
    ):
        return f"it begins with the predictions of {type(first).__name__}"
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))  # noqa: SLF001 -- no public way
    add = _walker(estimator.estimators_, start, estimator.learning_rate)
    return lambda rows: finish(add(rows.astype(np.float32, order="C")))


def histograms(estimator: Estimator, method: str) -> Rows:
    """Return what histogram gradient boosting does without its checks, with rows whose categories are numbers."""
    predictors = [predictor for each in estimator._predictors for predictor in each]  # noqa: SLF001 -- no public way
    width, start = estimator.n_features_in_, estimator._baseline_prediction  # noqa: SLF001 -- as above
    nodes = np.concatenate([predictor.nodes for predictor in predictors])
    inner, chosen = nodes["is_leaf"] == 0, nodes["is_categorical"].astype(bool)
    limits = _pair(nodes["feature_idx"], np.minimum(nodes["num_threshold"], np.finfo(np.float64).max))
    table = np.unique(limits[inner & ~chosen])  # by column, then by value
    copied = _copy(nodes, inner, table.searchsorted(limits), width)
    look_up = _categories(copied[0], predictors, chosen, 2 * width) if chosen.any() else None
    ends = np.cumsum([len(predictor.nodes) for predictor in predictors]).tolist()
    trees = [_make(*(part[at:end] for part in copied)) for at, end in zip([0, *ends], ends, strict=False)]
    add = _walker(_stage(trees).reshape(len(estimator._predictors), -1), start.reshape(1, -1), 1.0, "F")  # noqa: SLF001 -- as above
    finish = _finish(estimator, method, raw=_inverse(estimator), positive=np.greater)
    columns, own = np.arange(width), getattr(estimator, method)

    def predict(rows: np.ndarray) -> np.ndarray:
        if not look_up and len(rows) > 4 * FEW:
            return np.asarray(own(rows))
        found = table.searchsorted(_pair(columns, rows))  # all limits below it; NaN is above all
        sides = look_up(rows) if look_up else ()
        places = np.concatenate([found, found, *sides], axis=1, dtype=np.float32)
        if (missing := np.isnan(rows)).any():
            places[:, width : 2 * width][missing] = -1
        return finish(add(places))

    return predict


def _categories(
    copied: np.ndarray, predictors: Sequence[Any], chosen: np.ndarray, first: int
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return what gives, for rows whose categories are numbers, the side on which each split by category sends them.

    0 is left, in a column for each such split, from the column `first` on: the copied nodes look there.
    """
    found = [predictor.nodes[predictor.nodes["is_categorical"] == 1] for predictor in predictors]
    nodes = np.concatenate(found)
    pairs = zip(predictors, found, strict=True)
    words = np.concatenate([predictor.raw_left_cat_bitsets[each["bitset_idx"]] for predictor, each in pairs])
    left = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    sides = 1 - np.concatenate([left, nodes["missing_go_to_left"][:, None]], axis=1)  # [splits, 256 and missing]
    missing, order = sides.shape[1] - 1, np.argsort(nodes["feature_idx"], kind="stable")
    copied["feature"][np.flatnonzero(chosen)[order]] = first + np.arange(len(order))
    copied["threshold"][chosen] = 0
    columns = np.unique(nodes["feature_idx"])
    tables = [np.ascontiguousarray(sides[nodes["feature_idx"] == column].T) for column in columns]

    def look_up(rows: np.ndarray) -> list[np.ndarray]:
        places = np.where(np.isnan(rows[:, columns]), missing, rows[:, columns]).astype(np.intp)
        return [table.take(each, axis=0) for table, each in zip(tables, places.T, strict=True)]

    return look_up


def _copy(nodes: np.ndarray, inner: np.ndarray, limits: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes of histogram trees as those of other trees, and their values.

    A node that sends what is missing to the left looks at a second set of columns, in which that is below all limits.
    """
    from sklearn.tree._tree import NODE_DTYPE, TREE_LEAF

    copied = np.zeros(len(nodes), NODE_DTYPE)
    for name, of in (("left_child", "left"), ("right_child", "right")):
        copied[name] = np.where(inner, nodes[of].astype(np.int64), TREE_LEAF)
    copied["feature"] = nodes["feature_idx"] + np.where(nodes["missing_go_to_left"], width, 0)
    copied["threshold"] = limits
    return copied, nodes["value"].astype(np.float64)


def _finish(
    estimator: Estimator, method: str, raw: Callable[[np.ndarray], np.ndarray], positive: np.ufunc
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes a method's predictions of sums [rows, 1 or classes]; `raw` does for a regressor."""
    classes, loss = getattr(estimator, "classes_", None), estimator._loss  # noqa: SLF001 -- no public way
    if classes is None:
        return raw

    def choose(sums: np.ndarray) -> np.ndarray:
        found = positive(sums[:, 0], 0).astype(np.intp) if sums.shape[1] == 1 else sums.argmax(axis=1)
        return np.asarray(classes[found])

    return choose if method == "predict" else loss.predict_proba


def _inverse(estimator: Estimator) -> Callable[[np.ndarray], np.ndarray]:
    inverse = estimator._loss.link.inverse  # noqa: SLF001 -- no public way
    return lambda sums: inverse(sums.ravel())


def _pair(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return complex numbers, which numpy orders by column, then by value."""
    pairs = np.empty(values.shape, np.complex128)
    pairs.real, pairs.imag = columns, values
    return pairs


def _stage(trees: Sequence[Any]) -> np.ndarray:
    """Return trees as one stage [1, trees] of those that the loop takes."""
    stage = np.empty((1, len(trees)), object)
    stage[0] = [SimpleNamespace(tree_=tree) for tree in trees]
    return stage


def _make(nodes: np.ndarray, values: np.ndarray) -> Any:  # noqa: ANN401 -- scikit-learn's Tree has no type
    """Return a tree with one value at each node."""
    from sklearn.tree._tree import Tree

    tree = Tree(1, np.ones(1, np.intp), 1)
    state = {"max_depth": 0, "node_count": len(nodes), "nodes": nodes, "values": values.reshape(-1, 1, 1)}
    tree.__setstate__(state)
    return tree


def _walker(stages: np.ndarray, start: np.ndarray, scale: float, order: Any = "C") -> Rows:  # noqa: ANN401 -- "C" or "F"
    """Return what adds, for rows of float32, the values of the trees [stages, sums] to where they start, [1, sums]."""
    from sklearn.ensemble._gradient_boosting import predict_stages

    step = max(1, STEP // max(1, stages.size))

    def add(rows: np.ndarray) -> np.ndarray:
        sums = np.empty((len(rows), start.shape[1]), order=order)
        sums[:] = start
        for at in range(0, len(rows), step):
            predict_stages(stages, rows[at : at + step], scale, sums[at : at + step])
        return sums

    return add
