"""Rows that show whether two ways to a prediction are one.

Near the example, far outside it, and where a model's trees split.

Two ways that agree on the example may differ at a split's threshold (compared as float or as double), or outside the
values that a model was trained with (clipped, or overflowing). So both are asked for all of these, and must agree to
the bit, errors included.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scoring.models.aliases import Data, Estimator, Predictions

    Rows = Callable[[np.ndarray], Any]

LARGEST = 1e15  # below this no float overflows on its way through an estimator, and a double holds every whole number
SIZES = (1, 2, 3, 17, 64)  # rows in a group: BLAS has other ways for few rows and for many
FAR = (1e3, 1e8, 0.99 * LARGEST)
WIDEST = 64  # columns that are sent far outside, each by itself
ALL_FAR = 16  # rows whose values are all far outside
SPLITS = 256  # thresholds that are tried
BESIDE = (0.0, 1e-12, -1e-12, 1e-7, -1e-7)
NAN_ROWS = 64
SLOW_S = 0.25  # what takes longer is asked for little more


def make_up(width: int) -> np.ndarray:
    """Return rows for a model without an example."""
    return np.random.default_rng(0).normal(size=(3, width))


def finite(example: np.ndarray) -> np.ndarray:
    """Return the rows of an example whose values are all finite and below LARGEST, as float64.

    Where no row is, with 0 for the others.
    """
    rows = np.asarray(example, np.float64)
    usable = np.abs(rows) < LARGEST  # NaN is not
    return rows[whole] if (whole := usable.all(axis=1)).any() else np.where(usable, rows, 0.0)


def is_within(matrix: np.ndarray, *, takes_nan: bool) -> bool:
    """Whether all values are below LARGEST, but those that are NaN where that is taken."""
    most = np.abs(matrix).max(initial=0)
    if takes_nan and np.isnan(most):
        most = np.nanmax(np.abs(matrix), initial=0)
    return bool(most < LARGEST)  # NaN is not less


def is_slow(call: Rows, rows: Data) -> bool:
    """Whether a call takes long, once it is warm; what is quick is called once, and an error is quick."""
    return all(_takes_long(call, rows) for _ in range(2))


def groups(example: np.ndarray) -> list[np.ndarray]:
    """Return groups of finite rows [n, columns] below LARGEST, as float64; an error is one for all of a group."""
    random = np.random.default_rng(0)
    found = [example, np.zeros_like(example[:1]), _near(example, SIZES[-1], random)]
    return _within([*found, *(_far(example, scale, random) for scale in FAR)])


def more_groups(estimator: Estimator, example: np.ndarray) -> list[np.ndarray]:
    """Return further groups, for a way that does the arithmetic itself.

    Of other sizes, and where the trees of the last step split.
    """
    random = np.random.default_rng(1)
    return _within([*(_near(example, size, random) for size in SIZES[:-1]), _splits(estimator, example, random)])


def with_nan(example: np.ndarray) -> np.ndarray:
    """Return rows of the example with NaN: in each column once, one a row or, of many columns, every 64th."""
    columns = np.arange(example.shape[1])
    rows = np.asarray(example, np.float64)[np.zeros(min(NAN_ROWS, len(columns)), int)].copy()
    rows[columns % NAN_ROWS, columns] = np.nan
    return rows


def agree(one: Rows, other: Rows, groups: list[np.ndarray]) -> bool:
    """Whether two calls give the same for the same groups, to the bit and errors included.

    All rows are asked for together; group by group only where both raise an error, which may be that of one row.
    """
    joined = [np.concatenate(groups)]
    first, second = ask(one, joined), ask(other, joined)
    if len(groups) > 1 and isinstance(first[0], type) and first[0] is second[0]:
        first, second = ask(one, groups), ask(other, groups)
    return all(map(same, first, second))


def ask(call: Rows, groups: list[np.ndarray]) -> list[Any]:
    """Return what a call gives for each group: predictions, or the class of the error that it raises."""
    return [outcome(call, rows.copy()) for rows in groups]


def same(one: Predictions, other: Predictions) -> bool:
    """Whether predictions are equal arrays, type and shape included."""
    if isinstance(one, type) or isinstance(other, type):  # errors
        return one is other
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)) or one.dtype != other.dtype:
        return False
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def close(one: Predictions, other: Predictions) -> bool:
    """Whether predictions differ by rounding only: BLAS adds in another order where rows lie otherwise in memory."""
    if (
        not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray))
        or one.dtype != other.dtype
        or one.shape != other.shape
    ):
        return False
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    rounding = float(np.sqrt(np.finfo(one.dtype).eps))
    return bool(
        np.allclose(one, other, rtol=rounding, atol=rounding * float(np.abs(other).max(initial=0)), equal_nan=True)
    )


def outcome(call: Callable[[Any], Any], rows: Data) -> Predictions:
    """Return predictions, or the class of the error that is raised."""
    try:
        with np.errstate(all="ignore"):
            return call(rows)
    except Exception as error:  # noqa: BLE001 -- whatever an estimator raises
        return type(error)


def _takes_long(call: Rows, rows: Data) -> bool:
    started = time.perf_counter()
    outcome(call, rows)
    return time.perf_counter() - started > SLOW_S


def _within(groups: list[np.ndarray]) -> list[np.ndarray]:
    """Return groups of the rows that are finite and below LARGEST, without those that are empty then."""
    found = [rows[(np.abs(rows) < LARGEST).all(axis=1)] for rows in groups]
    return [rows for rows in found if len(rows)]


def _near(example: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    return example[random.integers(len(example), size=size)] * random.normal(1, 0.5, (size, example.shape[1]))


def _far(example: np.ndarray, scale: float, random: np.random.Generator) -> np.ndarray:
    """Return rows with one value far outside, on either side, and rows with all of them there."""
    width = example.shape[1]
    columns = np.repeat(random.permutation(width)[:WIDEST], 2)
    rows = example[random.integers(len(example), size=len(columns))].copy()
    rows[np.arange(len(columns)), columns] = np.tile([scale, -scale], len(columns) // 2)
    return np.concatenate([rows, random.uniform(-scale, scale, (ALL_FAR, width))])


def _splits(estimator: Estimator, example: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return rows at the thresholds of the trees of the last step, and close beside them."""
    steps = [
        step
        for _, step in getattr(estimator, "steps", [("", estimator)])
        if not (step is None or isinstance(step, str))
    ]
    try:
        found = [np.concatenate(each) for each in zip(*_thresholds(steps[-1]), strict=True)]
        total = len(found[0]) if found else 0
        sample = random.choice(total, min(SPLITS, total), replace=False)
        chosen = list(zip(*(each[sample].tolist() for each in found), strict=True))
        rows = example[random.integers(len(example), size=len(chosen))].copy()
        for step in steps[:-1] if chosen else []:
            rows = np.asarray(step.transform(rows))
        for at, (column, threshold) in enumerate(chosen):
            rows[at, column] = threshold
        for step in reversed(steps[:-1]) if chosen else []:
            rows = np.asarray(step.inverse_transform(rows))
    except Exception:  # noqa: BLE001 -- steps that cannot be undone, trees of another make: the other rows are left
        return example[:0]
    beside = [np.nextafter(rows, way) for way in (np.inf, -np.inf)]
    beside += [np.nextafter(rows.astype(np.float32), np.float32(way)).astype(np.float64) for way in (np.inf, -np.inf)]
    return np.concatenate([*(rows + by for by in BESIDE), *beside])


def _thresholds(estimator: Estimator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield columns and thresholds of the splits of each tree of a tree, a forest or boosted trees."""
    for each in np.ravel(getattr(estimator, "estimators_", [estimator])):  # boosted trees are rows of trees
        if tree := getattr(each, "tree_", None):
            split = tree.feature >= 0
            yield tree.feature[split], tree.threshold[split]
    for each in (one for several in getattr(estimator, "_predictors", ()) for one in several):  # of histograms
        nodes = each.nodes[(each.nodes["is_leaf"] == 0) & np.isfinite(each.nodes["num_threshold"])]
        yield nodes["feature_idx"], nodes["num_threshold"]
