"""Measures against scikit-learn, scipy and enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, spearmanr
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    brier_score_loss,
    mean_absolute_error,
    median_absolute_error,
    precision_score,
    roc_auc_score,
    root_mean_squared_error,
)

from matgen.prediction.shifted_measures import (
    bootstrap_interval,
    error_measures,
    interval_coverage,
    probability_measures,
    reliability_table,
    roc_auc,
    said_surely,
    spearman,
)


def some(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.integers(0, 41, n) / 40  # ties, and both ends
    return probability, rng.random(n) < probability**1.5


def test_errors_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    truth, predicted = rng.normal(size=500), rng.normal(size=500)
    found = error_measures(predicted, truth)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert found["median_absolute_error"] == pytest.approx(median_absolute_error(truth, predicted))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(truth, predicted))
    assert error_measures(truth + 0.25, truth)["mean_error"] == pytest.approx(0.25)


@given(st.integers(2, 300), st.integers(0, 1000))
def test_probabilities_are_judged_as_by_scikit_learn(n: int, seed: int) -> None:
    probability, happened = some(n, seed)
    found = probability_measures(probability, happened)
    assert found["brier"] == pytest.approx(brier_score_loss(happened, probability))
    assert found["brier_of_the_share"] == pytest.approx(brier_score_loss(happened, np.full(n, happened.mean())))
    assert found["brier_of_the_share"] == pytest.approx(np.var(happened))
    said = probability >= 0.95
    assert found["sure"]["n"] == said.sum()
    if said.any():
        assert found["sure"]["true"] == pytest.approx(precision_score(happened, said))
        assert found["sure"]["share_of_rows"] == pytest.approx(said.mean())
    else:
        assert found["sure"]["true"] is None


@given(st.integers(1, 300), st.integers(0, 1000), st.sampled_from([5, 10]))
def test_reliability_is_that_of_scikit_learn(n: int, seed: int, bins: int) -> None:
    probability, happened = some(n, seed)
    probability = np.clip(probability + 0.003, 0, 1)  # scikit-learn's steps include their upper ends
    table = reliability_table(probability, happened, bins)
    share, said = calibration_curve(happened, probability, n_bins=bins)
    assert [row["share"] for row in table] == pytest.approx(share)
    assert [row["said"] for row in table] == pytest.approx(said)
    assert sum(row["n"] for row in table) == n


def test_reliability_counts_both_ends() -> None:
    table = reliability_table(np.array([0.0, 0.1, 1.0]), np.array([False, True, True]))
    assert [(row["said"], row["n"]) for row in table] == [(0.0, 1), (0.1, 1), (1.0, 1)]


@given(st.integers(2, 60), st.integers(0, 1000))
def test_auc_is_the_share_of_pairs_in_order(n: int, seed: int) -> None:
    score, happened = some(n, seed)
    pairs = [(a > b) + 0.5 * (a == b) for a in score[happened] for b in score[~happened]]
    assert roc_auc(score, happened) == (pytest.approx(np.mean(pairs)) if pairs else None)
    if pairs:
        assert roc_auc(score, happened) == pytest.approx(roc_auc_score(happened, score))


@given(st.integers(3, 60), st.integers(0, 1000))
def test_correlation_of_orders_is_that_of_scipy(n: int, seed: int) -> None:
    first, _ = some(n, seed)
    second, _ = some(n, seed + 1)  # ties in both
    alike = np.ptp(first) == 0 or np.ptp(second) == 0
    assert spearman(first, second) == (None if alike else pytest.approx(spearmanr(first, second).statistic))


def test_orders_that_do_not_exist(rng: np.random.Generator) -> None:
    first = rng.normal(size=20)
    assert spearman(first, -first) == pytest.approx(-1)
    assert spearman(first, np.zeros(20)) is None
    assert spearman(first[:2], first[:2]) is None


def test_coverage_counts_the_ends() -> None:
    zeros = np.zeros(4)
    assert interval_coverage(zeros, zeros + 1, np.array([0.0, 1.0, 1.1, -0.1])) == 0.5
    assert interval_coverage(zeros[:0], zeros[:0], zeros[:0]) is None


def test_bootstrap_is_about_that_of_scipy(rng: np.random.Generator) -> None:
    first = rng.normal(size=300)
    second = first + rng.normal(size=300)
    expected = bootstrap(
        (first, second), lambda a, b: spearman(a, b), paired=True, vectorized=False, method="percentile",
        n_resamples=1000, rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    low, high = bootstrap_interval(spearman, first, second)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)
    assert bootstrap_interval(spearman, first, np.zeros(300)) is None


def test_nothing_is_measured_of_no_rows() -> None:
    none = np.zeros(0)
    found = probability_measures(none, none.astype(bool))
    assert (found["n"], found["brier"], found["auc"], found["reliability"]) == (0, None, None, [])
    assert said_surely(none, none.astype(bool))["share_of_rows"] is None
    assert error_measures(none, none)["mae"] is None
