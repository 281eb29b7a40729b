"""Properties that are one of several classes: probabilities that mean what they say, and what they are written as."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matgen.prediction.uncertainty import Calibration

_LEAST = 1e-12


def class_probabilities(calibration: Calibration, log_odds: np.ndarray) -> np.ndarray:
    """Calibrated probabilities of each class.

    Args:
        calibration: whose temperature the logarithms are divided by.
        log_odds: float64 `(members, n)`, of the second of two classes, or `(members, n, classes)`.

    Returns:
        float64 `(members, n, classes)`.
    """
    if log_odds.ndim == 2:
        second = calibration.probability(log_odds)
        return np.stack([1 - second, second], axis=-1)
    from scipy.special import softmax

    return np.asarray(softmax(log_odds / calibration.temperature, axis=-1))


def calibrated_classes(log_odds: np.ndarray, truth: np.ndarray) -> Calibration:
    """The temperature at which the members' mean probability fits the truth best (Guo et al., ICML 2017).

    Args:
        log_odds: float64 `(members, n)` or `(members, n, classes)`, of rows that were not learned from.
        truth: `(n,)`, the place of each class.
    """
    if log_odds.ndim == 2:
        return Calibration.of_odds(log_odds, truth)
    from scipy.optimize import minimize_scalar

    rows, place = np.arange(len(truth)), truth.astype(np.int64)

    def nats(log_temperature: float) -> float:
        calibration = Calibration(np.zeros(0), float(np.exp(log_temperature)))
        probability = class_probabilities(calibration, log_odds).mean(axis=0)[rows, place]
        return float(-np.log(np.maximum(probability, _LEAST)).mean())

    best = minimize_scalar(nats, bounds=(-2.0, 3.0), method="bounded")
    return Calibration(np.zeros(0), float(np.exp(best.x)))


def class_columns(name: str, classes: Sequence[str], probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of a prediction: the most probable class (the first of equal ones), its probability, and all.

    Args:
        name: of the property.
        classes: their names.
        probabilities: float64 `(n, classes)`.
    """
    columns = {
        name: np.array(classes, dtype=object)[probabilities.argmax(axis=1)],
        f"{name}_probability": probabilities.max(axis=1),
    }
    return columns | {f"{name}_probability_{one}": probabilities[:, i] for i, one in enumerate(classes)}
