"""Correcting for selection: those predicted most stable are, more often than not, predicted too stable.

Whoever looks at the candidates with the lowest predicted distance to the hull picks errors to one side, so intervals
around them hold less than they claim. The correction is conformal by groups (Vovk, Lindsay, Nouretdinov and Gammerman,
2003, "Mondrian confidence machine"): errors with their sign, over the spread, of held-out compositions with about the
same predicted distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EDGES = (-0.2, -0.15, -0.1, -0.075, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2)
"""Predicted distances to the hull, eV/atom, that part the groups."""
_QUANTILES = 199
_FEWEST = 40
"""Held-out compositions of a group, below which its neighbors towards zero are taken in."""


@dataclass(frozen=True)
class SelectionCalibration:
    """Signed errors of held-out compositions, by predicted distance to the hull.

    Attributes:
        scores: float64 `(groups, quantiles)`: of each group ascending quantiles of (truth - prediction) / spread.
    """

    scores: np.ndarray

    @classmethod
    def of(cls, distance: np.ndarray, truth: np.ndarray, spread: np.ndarray) -> SelectionCalibration:
        """From held-out compositions.

        Args:
            distance: float64 `(n,)`, predicted distances to the hull.
            truth: float64 `(n,)`, true ones.
            spread: float64 `(n,)`, of the predictions.

        Raises:
            ValueError: fewer than 40 compositions.
        """
        score, group = (truth - distance) / spread, group_of(distance)
        if len(score) < _FEWEST:
            raise ValueError(f"{len(score)} held-out compositions, at least {_FEWEST} are needed")
        middle = EDGES.index(0.0)
        rows = []
        for g in range(len(EDGES) + 1):
            reach = 0
            chosen = score[group == g]
            while len(chosen) < _FEWEST:
                reach += 1
                towards = (group >= g) & (group <= g + reach) if g < middle else (group <= g) & (group >= g - reach)
                chosen = score[towards if reach <= len(EDGES) else np.ones_like(towards)]
            rows.append(np.quantile(chosen, (np.arange(_QUANTILES) + 0.5) / _QUANTILES))
        return cls(np.stack(rows))

    def probability_below(self, distance: np.ndarray, spread: np.ndarray, limit: float) -> np.ndarray:
        """The probability that the true distance is at most `limit`, float64 `(n,)`."""
        wanted = (limit - distance) / spread
        below = (self.scores[group_of(distance)] <= wanted[:, None]).sum(axis=1)
        # What never happened among so many may yet happen.
        return (below + 0.5) / (self.scores.shape[1] + 1)

    def intervals(self, distance: np.ndarray, spread: np.ndarray, confidence: float) -> np.ndarray:
        """Bounds that hold the true distance with a given probability, as much left out on either side, `(n, 2)`."""
        tail = (1 - confidence) / 2
        bounds = np.quantile(self.scores, [tail, 1 - tail], axis=1).T[group_of(distance)]
        return distance[:, None] + spread[:, None] * bounds


def group_of(distance: np.ndarray) -> np.ndarray:
    """Group of each predicted distance, int64 `(n,)`, 0 for the most stable."""
    return np.searchsorted(np.array(EDGES), distance, side="right")
