"""Distances to a hull of phases relaxed by the same potential as the candidates, so that its errors cancel in part.

A potential's formation energies of similar compounds are off to the same side. Set against labels, the whole error
stays; set against the potential's own energies of the phases under a candidate, only the difference does, as it is with
DFT (C. Bartel et al., npj Comput. Mater. 6, 97, 2020).

Of few phases the structure is at hand. The others keep their label, with the Materials Project's corrections of 2020.
Relaxed are only those that may lie under a candidate: whose energy is at most `WINDOW` above the plane through the
phases of the best mixture. Where relaxing moves that plane, others may come near; so it goes on until no new one does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, SYMBOLS
from matgen.hull import CompetingPhases, Decomposition
from matgen.hull.linear_program import NEGLIGIBLE, System, solve

WINDOW = 0.05
"""eV/atom above the plane of the best mixture, within which phases are relaxed."""

COLUMNS = ("energy_above_relaxed_hull", "decomposition", "hull_phases", "hull_phases_relaxed")
"""What is said of a structure, the first in eV/atom; a potential's name is appended."""

EnergiesOf = Callable[[Sequence[str]], np.ndarray]
"""Formation energies of compounds, and of elements by symbol, by a potential, eV/atom; NaN where it has none."""


@dataclass(frozen=True)
class HullBelow:
    """What lies under `n` compositions.

    Attributes:
        decomposition: the best mixtures of phases at their potential's energies.
        phases: int64 `(n,)`, number of phases in the mixture.
        relaxed: int64 `(n,)`, how many of them have the potential's energy; the others have their label's.
    """

    decomposition: Decomposition
    phases: np.ndarray
    relaxed: np.ndarray


class RelaxedHull:
    """A hull of labels in which phases are replaced by a potential's energies where they matter.

    Args:
        phases: labels, on the scale of the potential's formation energies.
        energies_of: the potential's formation energies.
        with_structure: formulas of compounds, and symbols of elements, whose structures are at hand.
        window: eV/atom.
    """

    def __init__(
        self,
        phases: CompetingPhases,
        energies_of: EnergiesOf,
        with_structure: Collection[str],
        *,
        window: float = WINDOW,
    ) -> None:
        self.phases, self.window = phases, window
        self._energies_of = energies_of
        self._names = phases.batch.formulas()
        # Elements and compounds in one array, as `System.product` counts them: an element's row is -atomic number.
        n = len(phases) + N_ELEMENTS + 1
        self.energy, self.relaxed = np.zeros(n), np.zeros(n, dtype=bool)
        self.energy[: len(phases)] = phases.energy
        self._waiting = np.zeros(n, dtype=bool)
        self._waiting[: len(phases)] = np.isin(self._names, list(with_structure))
        self._waiting[[-ATOMIC_NUMBER[name] for name in with_structure if name in ATOMIC_NUMBER]] = True

    def below(self, batch: CompositionBatch, *, own: bool = True) -> HullBelow:
        """The hull's energy at some compositions.

        Args:
            batch: `n` compositions.
            own: whether a known composition's own phase is among the phases, as in `hull_energies`.
        """
        lacking = self.phases.lacking(batch)
        places = self._places(batch, [i for i in range(len(batch)) if i not in lacking], own)
        while True:
            solved = [solve(self.energy[place.product], place.columns, place.x) for place in places]
            near = [place.product[above <= self.window] for place, (_, _, above) in zip(places, solved, strict=True)]
            rows = np.unique(np.concatenate(near)) if near else np.zeros(0, dtype=np.int64)
            rows = rows[self._waiting[rows]]
            if not len(rows):
                break
            self._relax(rows)
        energy = np.full(len(batch), np.nan)
        count, relaxed = np.zeros(len(batch), dtype=np.int64), np.zeros(len(batch), dtype=np.int64)
        owners, products, fractions = [], [], []
        for place, (lowest, share, _) in zip(places, solved, strict=True):
            taken = np.flatnonzero(share > NEGLIGIBLE)
            taken = taken[np.argsort(-share[taken], kind="stable")]
            energy[place.row] = lowest
            count[place.row], relaxed[place.row] = len(taken), self.relaxed[place.product[taken]].sum()
            owners.append(np.full(len(taken), place.row))
            products.append(place.product[taken])
            fractions.append(share[taken])
        empty = np.zeros(0, dtype=np.int64)
        owner, product, fraction = (
            np.concatenate([kind, *parts])
            for kind, parts in ((empty, owners), (empty, products), (np.zeros(0), fractions))
        )
        return HullBelow(Decomposition(energy, owner, product, fraction, lacking), count, relaxed)

    def _places(self, batch: CompositionBatch, rows: Sequence[int], own: bool) -> list[_Place]:
        """The linear programs of some compositions; those of one chemical system share its phases."""
        systems: dict[tuple[int, ...], System] = {}
        own_rows, places = self.phases.rows_of(batch), []
        for row in rows:
            present = batch.elements[row] > 0
            elements = tuple(np.sort(batch.elements[row][present]).tolist())
            if elements not in systems:
                rows_of_system = self.phases.phases_within(elements)
                systems[elements] = System(elements, self.phases.batch, self.phases.energy, rows_of_system)
            system = systems[elements]
            x = np.zeros(len(elements))
            counts = batch.counts[row][present]
            x[np.searchsorted(elements, batch.elements[row][present])] = counts / counts.sum()
            if own:
                places.append(_Place(row, x, system.columns, system.product))
            else:
                others = (system.product < 0) | (system.product != own_rows[row])
                places.append(_Place(row, x, system.columns[:, others], system.product[others]))
        return places

    def _relax(self, rows: np.ndarray) -> None:
        """Replace the energies of some phases by the potential's, where it has them."""
        names = [str(self._names[row]) if row >= 0 else str(SYMBOLS[-row]) for row in rows]
        found = self._energies_of(names)
        known = np.isfinite(found)
        self.energy[rows[known]] = found[known]
        self.relaxed[rows[known]] = True
        self._waiting[rows] = False


@dataclass(frozen=True)
class _Place:
    """A composition and the phases of its elements, as a linear program.

    Attributes:
        row: of the composition.
        x: its fractions of the `k` elements, `(k,)`.
        columns: those of the phases, `(k, p)`.
        product: the phases' places in `RelaxedHull.energy`, `(p,)`.
    """

    row: int
    x: np.ndarray
    columns: np.ndarray
    product: np.ndarray


def with_relaxed_hull(frame: pd.DataFrame, suffix: str, hull: RelaxedHull) -> pd.DataFrame:
    """The table with distances to a hull of phases that a potential relaxed, and what lies under each structure.

    Args:
        frame: structures with their `formula` and the potential's formation energies, eV/atom.
        suffix: of the potential's columns.
        hull: of phases by the same potential.
    """
    formation = frame[f"formation_energy_{suffix}"].to_numpy(dtype=float)
    above, words = np.full(len(frame), np.nan), np.full(len(frame), None, dtype=object)
    counts = np.zeros((2, len(frame)), dtype=np.int64)
    rows = np.flatnonzero(np.isfinite(formation))
    formulas, of_formula = np.unique(frame["formula"].iloc[rows].to_numpy(dtype=str), return_inverse=True)
    if len(formulas):
        below = hull.below(CompositionBatch.from_formulas(formulas.tolist()))
        above[rows] = formation[rows] - below.decomposition.energy[of_formula]
        words[rows] = np.array(hull.phases.in_words(below.decomposition, len(formulas)), dtype=object)[of_formula]
        counts[:, rows] = np.array([below.phases, below.relaxed])[:, of_formula]
    number, relaxed = (pd.Series(values, frame.index, dtype="Int64").mask(counts[0] == 0) for values in counts)
    columns: dict[str, Any] = dict(zip(COLUMNS, (above, words, number, relaxed), strict=True))
    return frame.assign(**{f"{name}_{suffix}": values for name, values in columns.items()})
