"""How well a predictor does on compositions that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.prediction.classes import class_probabilities
from matgen.prediction.cross_conformal import out_of_fold
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
        `median_absolute_error`, `rmse`, `coverage`: the share of truth in intervals of each confidence, and
        `coverage_between`: where that share lies for as many rows (Wilson 1927, 95 %). Of classes:
        `accuracy`, `accuracy_of_the_majority`, `roc_auc` (of more than two the mean of each against the others),
        `brier` (mean squared error of the probability, of more than two summed over them: Brier 1950) and `nats`.
    """
    if not len(batch):
        return {}
    return _of_classes(predictor, batch, target) if predictor.classifies else _of_numbers(predictor, batch, target)


def _of_numbers(predictor: Predictor, batch: CompositionBatch, target: np.ndarray) -> dict[str, Any]:
    means, scales = predictor.outputs(batch)
    mean, _, _ = combined(means, scales)
    held = {}
    for confidence in CONFIDENCES:
        low, high = predictor.intervals(means, scales, confidence).T
        held[str(confidence)] = int(((low <= target) & (target <= high)).sum())
    n = len(batch)
    return _errors(predictor, mean, target) | {
        "mae_of_members": np.abs(np.maximum(means, predictor.lowest) - target).mean(axis=1).tolist(),
        "coverage": {confidence: k / n for confidence, k in held.items()},
        "coverage_between": {confidence: share_between(k, n) for confidence, k in held.items()},
    }


def _errors(predictor: Predictor, mean: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    error = np.abs(np.maximum(mean, predictor.lowest) - target)
    return {
        "n": len(target),
        "mae": float(error.mean()),
        "median_absolute_error": float(np.median(error)),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae_of_the_median": float(np.abs(target - predictor.metadata["center"]).mean()),
    }


def measured_out_of_fold(
    predictor: Predictor, batch: CompositionBatch, target: np.ndarray, fold: np.ndarray
) -> dict[str, Any]:
    """Errors on rows of a table by the one member each that has not seen them.

    The ensemble's are no larger as a rule; how often intervals hold cannot be told from the rows that calibrate them.

    Args:
        predictor: whose member k has not learned from fold k.
        batch: `n` compositions.
        target: float64 `(n,)`, the truth.
        fold: int64 `(n,)`.

    Returns:
        As `measured`, without `mae_of_members` and `coverage`.
    """
    means, _ = predictor.outputs(batch)
    said = out_of_fold(means, fold)
    if predictor.classifies:
        return _of_probabilities(class_probabilities(predictor.calibration, said[None])[0], target)
    return _errors(predictor, said, target)


def share_between(k: int, n: int) -> list[float]:
    """Bounds of a share of which `k` of `n` were seen: Wilson's of 95 % (J. Am. Stat. Assoc. 22, 209, 1927)."""
    from scipy.stats import binomtest

    return [float(bound) for bound in binomtest(k, n).proportion_ci(0.95, method="wilson")]


def coverage(predictor: Predictor, mean: np.ndarray, spread: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The share of truths `(n,)` in the intervals around `mean` `(n,)`, by the confidence that they claim."""
    coverage = {}
    for confidence in CONFIDENCES:
        low, high = predictor.calibration.intervals(mean, spread, confidence).T
        coverage[str(confidence)] = float(((low <= target) & (target <= high)).mean())
    return coverage


def _of_classes(predictor: Predictor, batch: CompositionBatch, target: np.ndarray) -> dict[str, Any]:
    return _of_probabilities(predictor.probabilities(predictor.outputs(batch)[0]), target)


def _of_probabilities(probabilities: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Measures of probabilities `(n, classes)`, of true places `(n,)`."""
    from sklearn.metrics import log_loss

    truth, classes = target.astype(np.int64), probabilities.shape[1]
    hit = np.eye(classes)[truth]
    wrong = ((probabilities - hit) ** 2).sum(axis=1).mean()
    return {
        "n": len(truth),
        "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
        "accuracy_of_the_majority": float(hit.mean(axis=0).max()),
        "roc_auc": _area(probabilities, truth),
        "brier": float(wrong / 2 if classes == 2 else wrong),
        "nats": float(log_loss(truth, probabilities, labels=np.arange(classes))),
    }


def _area(probabilities: np.ndarray, truth: np.ndarray) -> float | None:
    """Area under the ROC curve, of several classes the mean of each against the others; None where one is missing."""
    from sklearn.metrics import roc_auc_score

    classes = probabilities.shape[1]
    if len(np.unique(truth)) < classes:
        return None
    if classes == 2:
        return float(roc_auc_score(truth, probabilities[:, 1]))
    return float(roc_auc_score(truth, probabilities, multi_class="ovr"))
