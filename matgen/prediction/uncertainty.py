"""Spreads that mean what they say: conformal intervals by crepes, calibrated on what nothing was learned from.

An ensemble's members each say a mean and a scale of Laplace noise (its standard deviation is sqrt(2) scales); by the
law of total variance the spread of the whole is the root of the mean variance plus the variance of the means
(Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017). Conformal prediction then multiplies it by what the errors on
held-out compositions demand (Papadopoulos et al., ECML 2002), whatever the true distribution of the noise.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

CONFIDENCES = (0.5, 0.8, 0.95)


def combined(means: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, total spread and disagreement of an ensemble.

    Args:
        means: float64 `(members, n)`.
        scales: float64 `(members, n)`, of Laplace noise.

    Returns:
        float64 `(n,)` each: the mean, the standard deviation, and the standard deviation of the means alone.
    """
    between = means.var(axis=0)
    return means.mean(axis=0), np.sqrt((2 * scales**2).mean(axis=0) + between), np.sqrt(between)


@dataclass(frozen=True)
class Calibration:
    """What predictions on held-out compositions say of further ones.

    Attributes:
        scores: float64 `(c,)`, absolute errors divided by spreads, ascending; empty where something is classified.
        temperature: what logarithms of odds are divided by, where something is classified.
    """

    scores: np.ndarray
    temperature: float = 1.0

    @classmethod
    def of(cls, error: np.ndarray, spread: np.ndarray) -> Calibration:
        """From the errors on compositions that nothing was learned from, and the spreads predicted for them."""
        return cls(np.sort(np.abs(error) / spread))

    @classmethod
    def of_odds(cls, log_odds: np.ndarray, truth: np.ndarray) -> Calibration:
        """The temperature at which the ensemble's probability fits the truth best (Guo et al., ICML 2017).

        Args:
            log_odds: float `(members, n)`, on compositions that nothing was learned from.
            truth: `(n,)`, 0 or 1.
        """
        from scipy.optimize import minimize_scalar

        def nats(log_temperature: float) -> float:
            probability_of_mean = cls(np.zeros(0), float(np.exp(log_temperature))).probability(log_odds).mean(axis=0)
            return float(
                -np.log(np.clip(np.where(truth > 0.5, probability_of_mean, 1 - probability_of_mean), 1e-12, 1)).mean()
            )

        best = minimize_scalar(nats, bounds=(-2.0, 3.0), method="bounded")
        return cls(np.zeros(0), float(np.exp(best.x)))

    def probability(self, log_odds: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of logarithms of odds, of any shape."""
        from scipy.special import expit

        return expit(log_odds / self.temperature)

    def intervals(self, mean: np.ndarray, spread: np.ndarray, confidence: float) -> np.ndarray:
        """Bounds that hold the truth with a given probability, float64 `(n, 2)`; infinite where too few calibrate."""
        from crepes import ConformalRegressor

        regressor = ConformalRegressor()
        regressor.fit(self.scores, sigmas=np.ones_like(self.scores))
        with warnings.catch_warnings():  # that too few calibrate: the bounds say so
            warnings.simplefilter("ignore", UserWarning)
            bounds = regressor.predict_int(mean, sigmas=spread, confidence=confidence)
        return np.asarray(bounds, dtype=np.float64)

    def probability_below(self, mean: np.ndarray, spread: np.ndarray, limit: np.ndarray | float) -> np.ndarray:
        """The probability that the truth is at most `limit`, float64 `(n,)`, were errors as those that calibrate.

        With scores s of the held-out compositions, the share of `mean + s * spread` and `mean - s * spread` below.
        """
        distance = (np.asarray(limit, dtype=np.float64) - mean) / spread
        n = len(self.scores)
        inside = np.searchsorted(self.scores, np.abs(distance), side="right") / n
        return np.where(distance >= 0, 0.5 + 0.5 * inside, 0.5 - 0.5 * inside)
