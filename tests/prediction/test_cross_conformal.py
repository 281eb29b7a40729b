from __future__ import annotations

import numpy as np
import pytest

from matgen.prediction.cross_conformal import CrossCalibration, guarantee, out_of_fold


def by_hand(scores, fold, means, scales, confidence) -> np.ndarray:
    """CV+ as Barber et al. 2021 write it (equations 5 to 7), one new point and one row at a time."""
    n, bounds = len(scores), []
    for x in range(means.shape[1]):
        upper = sorted(means[fold[i], x] + scales[fold[i], x] * scores[i] for i in range(n))
        lower = sorted(-(means[fold[i], x] - scales[fold[i], x] * scores[i]) for i in range(n))
        place = int(np.ceil(round(confidence * (n + 1), 9)))
        bounds.append((-lower[place - 1], upper[place - 1]) if place <= n else (-np.inf, np.inf))
    return np.array(bounds)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("rows", [18, 19, 20, 57])
def test_intervals_are_those_of_the_paper(rows: int, confidence: float, rng: np.random.Generator) -> None:
    error, scale, fold = rng.normal(size=rows), rng.uniform(0.5, 2, rows), rng.integers(0, 5, rows)
    means, scales = rng.normal(size=(5, 9)), rng.uniform(0.5, 2, (5, 9))
    found = CrossCalibration.of_folds(error, scale, fold).intervals_of_members(means, scales, confidence)
    assert found == pytest.approx(by_hand(np.abs(error) / scale, fold, means, scales, confidence))
    assert np.isinf(found).all() == (rows == 18 and confidence == 0.95)  # 19 rows are what 95 % needs


def test_blocks_do_not_matter(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = CrossCalibration.of_folds(rng.normal(size=40), np.ones(40), np.arange(40) % 4)
    means, scales = rng.normal(size=(4, 100)), rng.uniform(0.5, 2, (4, 100))
    whole = calibration.intervals_of_members(means, scales, 0.9)
    monkeypatch.setattr("matgen.prediction.cross_conformal._AT_ONCE", 130)
    assert (calibration.intervals_of_members(means, scales, 0.9) == whole).all()


def test_they_hold_what_they_say(rng: np.random.Generator) -> None:
    """Straight lines through 24 points in 8 folds, 400 times: the share of new points inside."""
    held = []
    for _ in range(400):
        x, new = rng.normal(size=(24, 1)), rng.normal(size=(20, 1))
        y, truth = x[:, 0] + rng.normal(size=24), new[:, 0] + rng.normal(size=20)
        fold = np.arange(24) % 8
        fits = [np.polyfit(x[fold != k, 0], y[fold != k], 1) for k in range(8)]
        inside = np.array([np.polyval(fit, x[:, 0]) for fit in fits])
        outside = np.array([np.polyval(fit, new[:, 0]) for fit in fits])
        calibration = CrossCalibration.of_folds(out_of_fold(inside, fold) - y, np.ones(24), fold)
        low, high = calibration.intervals_of_members(outside, np.ones_like(outside), 0.8).T
        held.append(((low <= truth) & (truth <= high)).mean())
    assert 0.78 < np.mean(held) < 0.9
    assert np.mean(held) > guarantee(24, 8, 0.8)


def test_the_guarantee_is_that_of_the_theorem() -> None:
    for n, k in [(24, 10), (100, 10), (500, 20), (50, 50)]:
        found = guarantee(n, k, 0.95)
        assert 0.9 - np.sqrt(2 / n) <= found <= 0.9
    assert guarantee(50, 50, 0.95) == pytest.approx(0.9)  # the jackknife+
