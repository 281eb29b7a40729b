"""Conformal intervals of numbers, from the quantiles that a model answers with and its errors on rows held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matgen.lift.columns import Column
    from matgen.prediction.uncertainty import Calibration

QUANTILES = np.array([0.1, 0.5, 0.9])
"""Quantiles that intervals are made from: lower, median, upper."""
_Z90 = 1.2815515655446004
"""90 % quantile of the standard normal distribution."""


def calibration_of(column: Column, truth: np.ndarray, quantiles: np.ndarray) -> Calibration:
    """What the answers for rows that were not trained on say of further ones.

    Args:
        column: of the target.
        truth: float64 `(n,)`, in units of the target; nan where it is not known.
        quantiles: the `QUANTILES` answered for these rows, float64 `(n, 3)`; nan where there was no answer.
    """
    from matgen.prediction.uncertainty import Calibration

    residuals = truth - quantiles[:, 1]
    there = np.isfinite(residuals)  # a server may have no readable answer for a row
    return Calibration.of(residuals[there], _spread(column, quantiles)[there])


def bounds_of(calibration: Calibration, column: Column, quantiles: np.ndarray, confidence: float) -> np.ndarray:
    """Bounds about the median that hold the target with a probability, float64 `(n, 2)`; quantiles `(n, 3)`.

    They are infinite where too few rows were held out, or none.
    """
    return calibration.intervals(quantiles[:, 1], _spread(column, quantiles), confidence)


def _spread(column: Column, quantiles: np.ndarray) -> np.ndarray:
    """Standard deviation of a normal distribution with these 10 % and 90 % quantiles, `(n,)`.

    At least a hundredth of that of the target, so that a model that is sure of its number gets an interval too.
    """
    return np.maximum((quantiles[:, 2] - quantiles[:, 0]) / (2 * _Z90), 0.01 * column.spread)
