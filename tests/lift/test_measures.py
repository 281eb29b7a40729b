import numpy as np
import pytest
from scipy.stats import binomtest

from matgen.lift import measures


def test_relative_absolute_error_by_hand():
    truth, predicted = np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0])
    assert measures.relative_absolute_error(truth, predicted) == 0.25
    assert measures.relative_absolute_error(truth, np.full(3, 2.0)) == 1.0


def test_errors_agree_with_scikit_learn():
    from sklearn.metrics import root_mean_squared_error

    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=50), rng.normal(size=50)
    assert measures.root_mean_square_error(truth, predicted) == pytest.approx(root_mean_squared_error(truth, predicted))


def test_trimming_hides_what_goes_most_wrong():
    truth = np.linspace(0, 10, 101)
    predicted = truth + 0.1
    predicted[50] += 1_000
    assert measures.relative_absolute_error(truth, predicted) > 3
    assert measures.trimmed_relative_absolute_error(truth, predicted) < 0.05


@pytest.mark.parametrize(("hits", "n"), [(0, 30), (29, 30), (30, 30), (19, 31)])
def test_accuracy_intervals_agree_with_scipy(hits, n):
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert measures.accuracy_interval(hits / n, n) == pytest.approx((expected.low, expected.high))


def test_bootstrap_intervals_hold_the_measure():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    predicted = truth + rng.normal(scale=0.3, size=200)
    low, high = measures.error_interval(truth, predicted, measures.relative_absolute_error)
    assert low < measures.relative_absolute_error(truth, predicted) < high
    assert high - low < 0.15


def test_the_band_of_coverage():
    low, high = measures.coverage_band(1_000)
    assert 0.77 < low < 0.8 < high < 0.83


def test_band_of_conformal_coverage_is_that_of_conformal_intervals():
    """Against intervals that are made: ranks of uniform scores, whose quantile among `c` is the bound."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(3_000):
        total = 0
        for n, c in ((100, 9), (300, 50)):
            bound = np.sort(rng.random(c))[int(np.ceil(0.8 * (c + 1))) - 1]
            total += (rng.random(n) <= bound).sum()
        covered.append(total / 400)
    found = measures.conformal_coverage_band([100, 300], [9, 50])
    assert found == pytest.approx(np.quantile(covered, [0.025, 0.975]), abs=0.02)
    wide, narrow = measures.conformal_coverage_band([1_000], [20]), measures.conformal_coverage_band([1_000], [100_000])
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]
    assert narrow == pytest.approx(measures.coverage_band(1_000), abs=0.004)
