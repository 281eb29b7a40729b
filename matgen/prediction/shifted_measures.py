"""Do predictions hold where nobody has calculated? Measures of energies, intervals and probabilities of being stable.

Pure functions of arrays: whoever predicts (a predictor of formation energies placed on a hull, a model of the distance
itself) is judged by the same numbers. Rows without a number (`NaN`: a hull that lacks an element) are left out and
counted by the caller.

Brier score: G. W. Brier, Mon. Weather Rev. 78, 1 (1950). Its base rate is the score of always saying the share that is
so, p (1 - p): a model with a higher score says less than that one number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SURE = 0.95
"""A probability from which a model says that it is sure."""
_BINS = 10
_FEWEST_RANKED = 3
"""Rows below which there is no order to compare."""


def error_measures(predicted: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Errors of `n` predicted numbers: `n`, `mae`, `median_absolute_error`, `rmse`, `mean_error` (too high: above 0).

    Args:
        predicted: float64 `(n,)`.
        truth: float64 `(n,)`, in the same unit.
    """
    error = predicted - truth
    if not len(error):
        return {"n": 0} | dict.fromkeys(("mae", "median_absolute_error", "rmse", "mean_error"))
    return {
        "n": len(error),
        "mae": float(np.abs(error).mean()),
        "median_absolute_error": float(np.median(np.abs(error))),
        "rmse": float(np.sqrt((error**2).mean())),
        "mean_error": float(error.mean()),
    }


def interval_coverage(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> float | None:
    """The share of truths within their intervals, ends included; None of no rows. All float64 `(n,)`."""
    return float(((low <= truth) & (truth <= high)).mean()) if len(truth) else None


def probability_measures(probability: np.ndarray, happened: np.ndarray) -> dict[str, Any]:
    """Whether probabilities are what they say.

    Args:
        probability: float64 `(n,)`, of something to be so.
        happened: bool `(n,)`, whether it is so.

    Returns:
        `n`; `said` (the mean probability) and `share` (of rows where it is so); `brier`, and `brier_of_the_share`
        (always saying the share); `auc` (area under the ROC curve, None where all rows are alike); `sure`, see
        `said_surely`; and `reliability`, see `reliability_table`. Numbers are None of no rows.
    """
    n = len(probability)
    share = float(happened.mean()) if n else None
    return {
        "n": n,
        "said": float(probability.mean()) if n else None,
        "share": share,
        "brier": float(((probability - happened) ** 2).mean()) if n else None,
        "brier_of_the_share": None if share is None else share * (1 - share),
        "auc": roc_auc(probability, happened),
        "sure": said_surely(probability, happened),
        "reliability": reliability_table(probability, happened),
    }


def reliability_table(probability: np.ndarray, happened: np.ndarray, bins: int = _BINS) -> list[dict[str, Any]]:
    """What was said and what is so, by equal steps of probability; steps that nobody said are not there.

    Args:
        probability: float64 `(n,)`.
        happened: bool `(n,)`.
        bins: number of steps; each includes its lower end, the last one both.

    Returns:
        A dictionary for each step with `said` and `share` (means) and `n`, ascending.
    """
    place = np.minimum((np.asarray(probability) * bins).astype(np.int64), bins - 1)
    return [
        {"said": float(probability[rows].mean()), "share": float(happened[rows].mean()), "n": len(rows)}
        for rows in (np.flatnonzero(place == i) for i in range(bins))
        if len(rows)
    ]


def said_surely(probability: np.ndarray, happened: np.ndarray, sure: float = SURE) -> dict[str, Any]:
    """Rows said with a probability of `sure` or more: `n`, their `share_of_rows`, and the share of them that is `true`.

    Args:
        probability: float64 `(n,)`.
        happened: bool `(n,)`.
        sure: the least probability that counts.
    """
    chosen = probability >= sure
    n = int(chosen.sum())
    return {
        "n": n,
        "share_of_rows": n / len(chosen) if len(chosen) else None,
        "true": float(happened[chosen].mean()) if n else None,
    }


def roc_auc(score: np.ndarray, happened: np.ndarray) -> float | None:
    """The chance that a row where it is so scores above one where it is not; None where all rows are alike.

    By the ranks of the former (H. B. Mann and D. R. Whitney, Ann. Math. Stat. 18, 50, 1947), ties counting half.

    Args:
        score: float64 `(n,)`, higher where it is likelier.
        happened: bool `(n,)`.
    """
    from scipy.stats import rankdata

    positive = int(happened.sum())
    negative = len(happened) - positive
    if not positive or not negative:
        return None
    pairs = rankdata(score)[happened].sum() - positive * (positive + 1) / 2
    return float(pairs / (positive * negative))


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's correlation of two orders; None of fewer than three rows, or where one of them is all ties."""
    from scipy.stats import rankdata

    if len(first) < _FEWEST_RANKED or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def bootstrap_interval(
    measure: Callable[..., float | None],
    *columns: np.ndarray,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[float] | None:
    """The percentile bootstrap interval of a measure of paired columns (B. Efron, Ann. Stat. 7, 1, 1979).

    Args:
        measure: from columns `(n,)` to a number, or to None where a resample has none.
        columns: `(n,)` each.
        confidence: of the interval.
        resamples: how many.
        seed: of them.

    Returns:
        Two numbers, or None where the columns themselves have no number.
    """
    if measure(*columns) is None:
        return None
    rng = np.random.default_rng(seed)
    n = len(columns[0])
    rows = (rng.integers(0, n, n) for _ in range(resamples))
    values = [measure(*(column[chosen] for column in columns)) for chosen in rows]
    tail = (1 - confidence) / 2
    low, high = np.quantile([value for value in values if value is not None], [tail, 1 - tail])
    return [float(low), float(high)]
