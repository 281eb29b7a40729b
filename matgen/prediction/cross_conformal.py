"""Intervals from few rows, every one of which calibrates in turn: CV+.

Rows are parted into folds, and member k learns from all folds but its own. Of a new composition, row i in fold k says
that the truth is within its own error of what member k says, and the interval is between quantiles of all of them:

    [ q-(m_k(i)(x) - R_i s_k(i)(x)),  q+(m_k(i)(x) + R_i s_k(i)(x)) ],   R_i = |y_i - m_k(i)(x_i)| / s_k(i)(x_i)

with q+ the ceil((1 - a)(n + 1))-th smallest of n. It holds the truth with the probability of `guarantee` at least, and
about 1 - a as a rule (Barber, Candes, Ramdas and Tibshirani, "Predictive inference with the jackknife+", Ann. Stat.
49, 486, 2021; errors over a scale as in Papadopoulos et al., ECML 2002). As many folds as rows are the jackknife+.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matgen.prediction.uncertainty import Calibration

_AT_ONCE = 2_000_000
"""Numbers that are sorted at once."""


@dataclass(frozen=True)
class CrossCalibration(Calibration):
    """What each row says of further ones, by the member that has not seen it.

    Attributes:
        fold: int64 `(c,)`, the member that each of `scores` is of.
    """

    fold: np.ndarray | None = None

    @classmethod
    def of_folds(cls, error: np.ndarray, scale: np.ndarray, fold: np.ndarray) -> CrossCalibration:
        """From errors of members on rows that they have not seen.

        Args:
            error: float64 `(c,)`, of the member that has not seen each row.
            scale: float64 `(c,)`, what that member said of its error.
            fold: int64 `(c,)`, which member it is.
        """
        scores = np.abs(error) / scale
        order = np.argsort(scores, kind="stable")
        return cls(scores[order], fold=fold[order])

    def intervals_of_members(self, means: np.ndarray, scales: np.ndarray, confidence: float) -> np.ndarray:
        """Bounds that hold the truth with a given probability, float64 `(n, 2)`; infinite where too few rows calibrate.

        Args:
            means: float64 `(members, n)`.
            scales: float64 `(members, n)`, above 0.
            confidence: 1 - a.
        """
        assert self.fold is not None
        c, n = len(self.scores), means.shape[1]
        # The place from 1 among the c numbers, from below for the upper bound and from above for the lower one.
        place = int(np.ceil(np.round(confidence * (c + 1), 9)))
        bounds = np.empty((n, 2))
        if place > c:
            bounds[:] = (-np.inf, np.inf)
            return bounds
        for start in range(0, n, step := max(1, _AT_ONCE // c)):
            mean, reach = means[self.fold, start : start + step], scales[self.fold, start : start + step]
            reach = reach * self.scores[:, None]  # (c, step)
            bounds[start : start + step, 1] = np.partition(mean + reach, place - 1, axis=0)[place - 1]
            bounds[start : start + step, 0] = -np.partition(reach - mean, place - 1, axis=0)[place - 1]
        return bounds


def guarantee(rows: int, folds: int, confidence: float) -> float:
    """The probability that an interval of a confidence holds the truth at least, were new rows as those that calibrate.

    1 - 2 a - min(2 (1 - 1 / K) / (n / K + 1), (1 - K / n) / (K + 1)), theorem 4 of Barber et al. 2021.
    """
    n, k, a = rows, folds, 1 - confidence
    return max(0.0, 1 - 2 * a - min(2 * (1 - 1 / k) / (n / k + 1), (1 - k / n) / (k + 1)))


def out_of_fold(values: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Of what each member says of each row `(members, n, ...)`, what the one says that has not seen it `(n, ...)`."""
    return values[fold, np.arange(len(fold))]
