"""How well a predictor does on compositions that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.prediction.uncertainty import CONFIDENCES, combined

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch
    from matgen.prediction.predictor import Predictor


def measured(predictor: Predictor, batch: CompositionBatch, target: np.ndarray) -> dict[str, Any]:
    """Errors of a predictor and of its members, and whether its spreads or probabilities mean what they say.

    Args:
        predictor: what to measure.
        batch: `n` compositions that it has not seen.
        target: float64 `(n,)`, the truth.

    Returns:
        Of a number: `mae`, `mae_of_members`, `mae_of_the_median` (always saying the median that was learned),
        `median_absolute_error`, `rmse`, and `coverage`: the share of truth in intervals of each confidence. Of what
        is or is not: `accuracy`, `accuracy_of_the_majority`, `roc_auc`, `brier` (mean squared error of the
        probability: Brier 1950) and `nats`.
    """
    if not len(batch):
        return {}
    return _of_classes(predictor, batch, target) if predictor.classifies else _of_numbers(predictor, batch, target)


def _of_numbers(predictor: Predictor, batch: CompositionBatch, target: np.ndarray) -> dict[str, Any]:
    means, scales = predictor.outputs(batch)
    lowest = predictor.lowest
    mean, spread, _ = combined(means, scales)
    mean = np.maximum(mean, lowest)
    error = np.abs(mean - target)
    return {
        "n": len(batch),
        "mae": float(error.mean()),
        "mae_of_members": np.abs(np.maximum(means, lowest) - target).mean(axis=1).tolist(),
        "median_absolute_error": float(np.median(error)),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae_of_the_median": float(np.abs(target - predictor.metadata["center"]).mean()),
        "coverage": coverage(predictor, mean, spread, target),
    }


def coverage(predictor: Predictor, mean: np.ndarray, spread: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The share of truths `(n,)` in the intervals around `mean` `(n,)`, by the confidence that they claim."""
    coverage = {}
    for confidence in CONFIDENCES:
        low, high = predictor.calibration.intervals(mean, spread, confidence).T
        coverage[str(confidence)] = float(((low <= target) & (target <= high)).mean())
    return coverage


def _of_classes(predictor: Predictor, batch: CompositionBatch, target: np.ndarray) -> dict[str, Any]:
    from sklearn.metrics import log_loss, roc_auc_score

    probability, _, _ = predictor.spread(batch)
    truth = target > 0.5
    both = 0 < truth.sum() < len(truth)
    return {
        "n": len(batch),
        "accuracy": float(((probability > 0.5) == truth).mean()),
        "accuracy_of_the_majority": float(max(truth.mean(), 1 - truth.mean())),
        "roc_auc": float(roc_auc_score(truth, probability)) if both else None,
        "brier": float(((probability - truth) ** 2).mean()),
        "nats": float(log_loss(truth, np.stack([1 - probability, probability], axis=1), labels=[False, True])),
    }
