"""The statistics of drift, beside scipy's own tests, which are another implementation."""

import numpy as np
import pytest
from scipy import stats

from slipway.monitoring import reference, statistics

PAIRS = 200


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of samples of numbers: of several sizes, some drifted, some with many equal values."""
    rng = np.random.default_rng(0)
    found = []
    for at in range(PAIRS):
        sizes = rng.integers(50, 2000, 2)
        first, second = rng.normal(size=sizes[0]), rng.normal(at % 5 * 0.1, 1 + at % 3 * 0.2, sizes[1])
        if at % 4 == 0:
            first, second = np.round(first), np.round(second)
        found.append((first, second))
    return found


def test_ks_is_scipys() -> None:
    """Distance and asymptotic p-value of Kolmogorov and Smirnov's test are scipy's, to 1e-9, ties or none."""
    for first, second in pairs():
        expected = stats.ks_2samp(first, second)
        distance, p = statistics.ks(first, second)

        assert distance == pytest.approx(expected.statistic, abs=1e-9)
        effective = len(first) * len(second) / (len(first) + len(second))
        assert p == pytest.approx(stats.kstwobign.sf(np.sqrt(effective) * distance), abs=1e-9)


def test_chi_squared_is_scipys() -> None:
    """Statistic and p-value of Pearson's test are scipy's, to 1e-9, where no category is rare."""
    rng = np.random.default_rng(1)
    for at in range(PAIRS):
        table = rng.integers(20, 500, (2, 2 + at % 6))
        statistic, p = statistics.chi_squared(table[0].tolist(), table[1].tolist())
        expected = stats.chi2_contingency(table, correction=False)

        assert statistic == pytest.approx(expected.statistic, abs=1e-9)
        assert p == pytest.approx(expected.pvalue, abs=1e-9)


def test_psi_is_the_sum_of_two_divergences() -> None:
    """The index is Kullback and Leibler's divergence in both directions, as scipy has it, to 1e-9."""
    rng = np.random.default_rng(2)
    for _ in range(PAIRS):
        first, second = rng.dirichlet(np.ones(10) * 5, 2)
        expected = stats.entropy(first, second) + stats.entropy(second, first)

        assert statistics.psi(first.tolist(), second.tolist()) == pytest.approx(expected, abs=1e-9)


def test_holm_is_the_step_down_correction() -> None:
    """Corrected p-values are those of Holm's paper, in the order that was given."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_sketch_claims_no_more_than_its_sample() -> None:
    """The distance from kept quantiles is at most the samples' own, and near it; equal values are no difference."""
    for first, second in pairs():
        points = np.quantile(first, np.linspace(0, 1, reference.POINTS), method="inverted_cdf")
        exact, _ = statistics.ks(first, second)
        distance, p = statistics.ks_of_quantiles(points.tolist(), len(first), second)

        assert exact - 2 / (reference.POINTS - 1) <= distance <= exact + 1e-9
        assert 0 <= p <= 1


def test_equal_samples_do_not_differ() -> None:
    """A sample beside itself has no distance that a test would call one, however many of its values are equal."""
    for first, _ in pairs():
        points = np.quantile(first, np.linspace(0, 1, reference.POINTS), method="inverted_cdf").tolist()
        expected, actual = statistics.shares_of_numbers(points, first)
        _, p = statistics.ks_of_quantiles(points, len(first), first)

        assert sum(expected) == pytest.approx(1)
        assert sum(actual) == pytest.approx(1)
        assert statistics.psi(expected, actual) < 0.05
        assert p > 0.5


def test_rare_categories_are_one() -> None:
    """Categories of a few rows are taken together, so that they alone are no drift."""
    statistic, p = statistics.chi_squared([1000.0, 1, 1, 1], [1000.0, 0, 1, 0])

    assert p > 0.1
    assert statistic < 5
    assert statistics.chi_squared([10.0], [20.0]) == (0.0, 1.0)
    assert statistics.chi_squared([0.0, 0.0], [1.0, 2.0]) == (0.0, 1.0)
