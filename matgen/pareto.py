"""Rows of a table that no other row beats in everything that counts: the Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from matgen.datasets.where import numeric_column
from matgen.errors import OptionError

COLUMN = "pareto_front"
"""Column that says whether a row is on the front."""

_SMALLER = (
    "energy_above_hull", "formation_energy", "cost", "hhi_production", "hhi_reserve", "toxic", "radioactive", "rank",
    "potential_spread",
)  # fmt: skip
_LARGER = (
    "probability_", "novelty", "chemical_distance", "score", "oxidation_state_score", "rarest_state_share",
    "balanced_common", "crustal_abundance", "log_prob", "in_domain", "template_score", "lowest_frequency",
    "dynamically_stable",
)  # fmt: skip
"""How the names of columns begin of which it is known that less, or more, is better."""


@dataclass(frozen=True)
class Objective:
    """A column of which more or less is better.

    Attributes:
        column: its name.
        larger: whether more is better.
    """

    column: str
    larger: bool


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """The objectives of a list such as `energy_above_hull,cost,+band_gap`.

    A `+` before a column means that more is better, a `-` that less is; columns of matgen's of which it is known need
    neither.

    Raises:
        OptionError: no column, a column twice, or one of which it is not known.
    """
    objectives = [_objective(word.strip()) for word in text.split(",") if word.strip()]
    names = [one.column for one in objectives]
    if not names:
        raise OptionError("--pareto names no column: write such as energy_above_hull,cost")
    if len(set(names)) < len(names):
        raise OptionError(f"--pareto names {next(name for name in names if names.count(name) > 1)} twice")
    return tuple(objectives)


def _objective(word: str) -> Objective:
    name = word.lstrip("+-").strip()
    if word[0] in "+-" and name:
        return Objective(name, word[0] == "+")
    smaller, larger = (any(name.lower().startswith(start) for start in starts) for starts in (_SMALLER, _LARGER))
    if smaller == larger or not name:
        raise OptionError(f"--pareto: is more or less of {name!r} better? Write +{name} or --pareto=-{name}")
    return Objective(name, larger)


def require_columns(objectives: Iterable[Objective], columns: Iterable[str]) -> None:
    """See before any work that a table will have all columns, in any case of letters.

    Raises:
        OptionError: it will lack one.
    """
    known = {str(name).lower(): str(name) for name in columns}
    for one in objectives:
        if one.column.lower() not in known:
            raise OptionError(f"--pareto: no column {one.column!r}; there are {', '.join(known.values())}")


def on_front(frame: pd.DataFrame, objectives: Sequence[Objective]) -> np.ndarray:
    """Whether each row is on the Pareto front, bool `(n,)`.

    It is where no other row is at least as good in all objectives and better in one. Rows without a value of an
    objective are not on it, and beat none.

    Raises:
        OptionError: a column is missing or holds text.
    """
    costs = np.empty((len(frame), len(objectives)))
    for place, one in enumerate(objectives):
        costs[:, place] = numeric_column(frame, one.column).astype(np.float64) * (-1.0 if one.larger else 1.0)
    complete = np.flatnonzero(~np.isnan(costs).any(axis=1))
    front = np.zeros(len(frame), dtype=bool)
    front[complete[_lowest(costs[complete])]] = True
    return front


def _lowest(costs: np.ndarray) -> np.ndarray:
    """Rows of `costs`, float64 `(n, d)`, that no other dominates, int64 `(m,)`."""
    left = np.lexsort(costs.T[::-1])
    front: list[int] = []
    while len(left):
        # What dominates a row stands before it in this order, so that the first that is left is dominated by none.
        best = costs[left[0]]
        equal = (costs[left] == best).all(axis=1)
        front += left[equal].tolist()
        left = left[~equal & (costs[left] < best).any(axis=1)]
    return np.array(front, dtype=np.int64)
