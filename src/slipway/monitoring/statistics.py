"""How far two samples of one column differ. Pure; what the reference keeps of a training stands for its sample.

Sources: Kolmogorov and Smirnov's two-sample test with its asymptotic distribution (scipy.special.kolmogorov),
Pearson's chi-squared test of a contingency table, the population stability index of credit scoring (Siddiqi 2006),
and Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST = 1e-4  # share of a bin that is empty: its logarithm would be infinite
BINS = 10  # of a column of numbers: the reference's deciles
EXPECTED = 5.0  # rows of a cell that the chi-squared distribution asks for; rarer categories are one


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return the population stability index of two lists of shares, bin by bin; 0: equal, above 0.2: far apart."""
    first, second = (np.clip(np.asarray(shares, dtype=float), LEAST, None) for shares in (expected, actual))
    return float(((second - first) * np.log(second / first)).sum())


def ks(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the distance of two samples' distribution functions, and its asymptotic p-value."""
    first, second = np.sort(first), np.sort(second)
    at = np.concatenate([first, second])
    below = [np.searchsorted(sample, at, side="right") / len(sample) for sample in (first, second)]
    distance = float(np.abs(below[0] - below[1]).max())
    return distance, ks_p(distance, len(first), len(second))


def ks_p(distance: float, first: int, second: int) -> float:
    """Return the asymptotic p-value of a distance between samples of two sizes."""
    return float(special.kolmogorov(math.sqrt(first * second / (first + second)) * distance))


def ks_of_quantiles(quantiles: Sequence[float], rows: int, values: np.ndarray) -> tuple[float, float]:
    """Return distance and p-value of a sample and a reference that is kept as evenly spaced quantiles.

    At each quantile the reference's distribution function is known to lie between its share and the next one's; the
    distance is that from there, so it is at most the samples' own, and so is the claim of the p-value.
    """
    points, last = np.unique(np.asarray(quantiles)[::-1], return_index=True)
    least = 1 - last / (len(quantiles) - 1)  # of equal quantiles the highest
    most = np.minimum(least + 1 / (len(quantiles) - 1), 1.0)
    actual = np.searchsorted(np.sort(values), points, side="right") / len(values)
    distance = float(np.maximum(np.maximum(least - actual, actual - most), 0.0).max())
    return distance, ks_p(distance, rows, len(values))


def chi_squared(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return Pearson's statistic and p-value for the counts of the same categories in two samples.

    Categories that would be expected fewer than 5 times in either sample count as one.
    """
    table = np.array([first, second], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    total = table.sum()
    if not total or not table.sum(axis=1).all():
        return 0.0, 1.0
    rare = (table.sum(axis=0) * table.sum(axis=1).min() / total) < EXPECTED
    if rare.sum() > 1:
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    if table.shape[1] < 2:  # noqa: PLR2004 -- categories
        return 0.0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, float(special.chdtrc(table.shape[1] - 1, statistic))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are, in their order."""
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [1.0] * len(p_values), 0.0
    for place, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[at]))
        corrected[at] = highest
    return corrected


def shares_of_numbers(quantiles: Sequence[float], values: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the shares of reference and values between the reference's deciles, of which equal ones are one."""
    every = (len(quantiles) - 1) // BINS
    edges, last = np.unique(np.asarray(quantiles)[::-1], return_index=True)
    below = 1 - last / (len(quantiles) - 1)  # the reference's share up to each distinct quantile
    inner = np.unique(np.searchsorted(edges, np.asarray(quantiles)[every:-1:every]))
    cuts, up_to = edges[inner], below[inner]
    expected = np.diff(np.concatenate([[0.0], up_to, [1.0]]))
    actual = np.bincount(np.searchsorted(cuts, values, side="left"), minlength=len(cuts) + 1) / len(values)
    return expected.tolist(), actual.tolist()


def counts_of_categories(known: Mapping[str, float], values: Sequence[Any]) -> tuple[list[float], list[float], float]:
    """Return the shares of the known categories and of all others, in reference and values, and of new ones."""
    found: dict[str, int] = {}
    for value in values:
        found[str(value)] = found.get(str(value), 0) + 1
    total = len(values)
    actual = [found.get(name, 0) / total for name in known]
    others = max(0.0, 1.0 - sum(known.values()))
    new = sum(count for name, count in found.items() if name not in known) / total
    return [*known.values(), others], [*actual, new], new
