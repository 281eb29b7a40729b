"""Figures of merit with their intervals, as the tables of LIFT give them and as they should be given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BOOTSTRAPS = 2_000


def relative_absolute_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Sum of absolute errors over that of predicting the mean of the truth (RAE; Dinh et al. 2022, section 3)."""
    return float(np.abs(truth - predicted).sum() / np.abs(truth - truth.mean()).sum())


def trimmed_relative_absolute_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """RAE as LIFT's released code reports it: rows whose error is above 3 RMSE are left out of both sums.

    It hides what goes most wrong, so it stands beside `relative_absolute_error` and never alone.
    """
    error = np.abs(truth - predicted)
    kept = error <= 3 * np.sqrt(np.mean(error**2))
    return float(error[kept].sum() / np.abs(truth[kept] - truth[kept].mean()).sum())


def root_mean_square_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """RMSE, in units of the truth."""
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def accuracy_interval(right: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval (Biometrika 1934) of a fraction of `n` test rows.

    Several seeds share one test set, so `n` is its size whatever the number of seeds; `right` may be a mean over them.
    """
    from scipy.stats import beta

    hits, rest = right * n, (1 - confidence) / 2
    low = 0.0 if hits <= 0 else float(beta.ppf(rest, hits, n - hits + 1))
    high = 1.0 if hits >= n else float(beta.ppf(1 - rest, hits + 1, n - hits))
    return low, high


def error_interval(
    truth: np.ndarray, predicted: np.ndarray, measure: Any, confidence: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap (Efron 1979) of a measure of errors over the test rows, seed 0."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(BOOTSTRAPS):
        rows = rng.integers(len(truth), size=len(truth))
        values.append(measure(truth[rows], predicted[rows]))
    rest = (1 - confidence) / 2
    low, high = np.quantile(values, [rest, 1 - rest])
    return float(low), float(high)


def coverage_band(n: int, confidence: float = 0.8, probability: float = 0.95) -> tuple[float, float]:
    """Between which fractions intervals that hold with `confidence` cover `n` independent rows, with a probability."""
    from scipy.stats import binom

    rest = (1 - probability) / 2
    return float(binom.ppf(rest, n, confidence) / n), float(binom.ppf(1 - rest, n, confidence) / n)


def conformal_coverage_band(
    tested: list[int], calibrated: list[int], confidence: float = 0.8, probability: float = 0.95
) -> tuple[float, float]:
    """Between which fractions conformal intervals cover the rows of several fits together, with a probability.

    Given its `c` calibration rows, a fit covers a row with a chance that is itself drawn from a beta distribution with
    parameters k and c + 1 - k, where k = ceil(confidence (c + 1)) (Vovk, ACML 2012): of few calibration rows its
    spread is what counts, not the number of rows tested.

    Args:
        tested: rows that each fit was tested on.
        calibrated: rows that each fit was calibrated on.
        confidence: of the intervals.
        probability: that the fraction lies in the band; 100,000 simulated sums, seed 0.
    """
    rng = np.random.default_rng(0)
    covered = np.zeros(100_000)
    for n, c in zip(tested, calibrated, strict=True):
        k = min(math.ceil(confidence * (c + 1) - 1e-9), c)
        covered += rng.binomial(n, rng.beta(k, c + 1 - k, len(covered)))
    rest = (1 - probability) / 2
    low, high = np.quantile(covered / sum(tested), [rest, 1 - rest])
    return float(low), float(high)
