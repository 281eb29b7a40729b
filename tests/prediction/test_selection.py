from __future__ import annotations

import numpy as np
import pytest

from matgen.prediction.selection import EDGES, SelectionCalibration, group_of
from matgen.prediction.uncertainty import Calibration


def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True distances to a hull, mostly above it, and predictions of them with honest spreads."""
    truth = rng.gamma(2.0, 0.1, size=n) - 0.03
    spread = rng.uniform(0.05, 0.1, size=n)
    return truth, truth + spread * rng.normal(size=n), spread


def test_selection_makes_errors_one_sided_and_groups_correct_it(rng: np.random.Generator) -> None:
    truth, distance, spread = drawn(rng, 60_000)
    selection = SelectionCalibration.of(distance, truth, spread)
    marginal = Calibration.of(truth - distance, spread)
    new_truth, new, new_spread = drawn(rng, 60_000)
    chosen = np.argsort(new)[:600]  # the hundredth predicted most stable
    assert (new_truth - new)[chosen].mean() > 0.05  # predicted too stable

    def covered(bounds: np.ndarray) -> float:
        low, high = bounds.T
        return float(((low <= new_truth[chosen]) & (new_truth[chosen] <= high)).mean())

    plain = covered(marginal.intervals(new[chosen], new_spread[chosen], 0.95))
    corrected = covered(selection.intervals(new[chosen], new_spread[chosen], 0.95))
    assert plain < 0.85
    assert corrected == pytest.approx(0.95, abs=0.04)
    for limit in (0.0, 0.05):
        stable = (new_truth[chosen] <= limit).mean()
        said = selection.probability_below(new[chosen], new_spread[chosen], limit).mean()
        unaware = marginal.probability_below(new[chosen], new_spread[chosen], limit).mean()
        assert abs(said - stable) < 0.5 * abs(unaware - stable)


def test_groups_with_few_take_in_their_neighbors() -> None:
    distance = np.linspace(0.3, 0.5, 50)
    selection = SelectionCalibration.of(distance, distance + 0.1, np.full(50, 0.1))
    assert selection.scores.shape[0] == len(EDGES) + 1
    assert selection.scores == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least 40"):
        SelectionCalibration.of(distance[:5], distance[:5], np.ones(5))


def test_groups() -> None:
    assert group_of(np.array([-1.0, -0.1, 0.0, 5.0])).tolist() == [0, 3, 7, len(EDGES)]
