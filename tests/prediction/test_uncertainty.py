from __future__ import annotations

import numpy as np
import pytest

from matgen.prediction.uncertainty import CONFIDENCES, Calibration, combined


def test_an_ensemble_has_the_moments_of_its_mixture(rng: np.random.Generator) -> None:
    means, scales = rng.normal(size=(3, 2)), np.exp(rng.normal(size=(3, 2)) * 0.3)
    mean, spread, disagreement = combined(means, scales)
    draws = np.stack([rng.laplace(means[member], scales[member], size=(400_000, 2)) for member in range(3)])
    draws = draws.reshape(-1, 2)
    assert mean == pytest.approx(draws.mean(axis=0), abs=0.02)
    assert spread == pytest.approx(draws.std(axis=0), rel=0.02)
    assert disagreement == pytest.approx(means.std(axis=0))


@pytest.mark.parametrize("noise", ["normal", "laplace", "uniform"])
@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_intervals_hold_what_they_say_whatever_the_noise(
    rng: np.random.Generator, noise: str, confidence: float
) -> None:
    spread = rng.uniform(0.1, 2, 8_000)
    error = getattr(rng, noise)(size=8_000) * spread - (0.5 * spread if noise == "uniform" else 0)
    calibration = Calibration.of(error[:4_000], 3 * spread[:4_000])  # spreads three times too large
    truth = rng.normal(size=4_000)
    low, high = calibration.intervals(truth - error[4_000:], 3 * spread[4_000:], confidence).T
    found = ((low <= truth) & (truth <= high)).mean()
    # Both the test and the calibration are samples of 4,000.
    assert abs(found - confidence) < 4 * np.sqrt(2 * confidence * (1 - confidence) / 4_000)


def test_probabilities_are_shares_of_errors(rng: np.random.Generator) -> None:
    error, spread = rng.normal(size=5_000), np.ones(5_000)
    calibration = Calibration.of(error, spread)
    mean = np.array([0.0, 0.5, -0.5, 3.0])
    found = calibration.probability_below(mean, np.ones(4), 0.2)
    both = np.concatenate([np.abs(error), -np.abs(error)])
    expected = [(m + both <= 0.2).mean() for m in mean]
    assert found == pytest.approx(expected, abs=1e-3)
    assert (np.diff(calibration.probability_below(np.zeros(50), np.ones(50), np.linspace(-3, 3, 50))) >= 0).all()


def test_too_few_to_calibrate_gives_no_bounds_rather_than_wrong_ones() -> None:
    calibration = Calibration.of(np.array([0.1, 0.2]), np.ones(2))
    assert np.isinf(calibration.intervals(np.zeros(1), np.ones(1), 0.95)).all()
