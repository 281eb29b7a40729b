"""The best mixture of phases by scipy's solver: one composition at a time, where nothing is compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError

NEGLIGIBLE = 1e-9
"""Fractions of atoms below which a phase takes no part in a mixture."""


class System:
    """The elements of a chemical system and some of its phases as columns of a linear program, elements first.

    Attributes:
        columns: fractions of atoms, `(k, k + p)`.
        energies: formation energies, `(k + p,)`, eV/atom; those of elements are 0.
        product: rows of the phases, before them -atomic numbers of the elements, int64 `(k + p,)`.
    """

    def __init__(self, elements: Sequence[int], batch: CompositionBatch, energy: np.ndarray, rows: np.ndarray) -> None:
        """Set up the columns.

        Args:
            elements: atomic numbers, ascending.
            batch: phases, of which `rows` have no other elements.
            energy: float64 `(m,)`, their formation energies, eV/atom.
            rows: int64 `(p,)`, those to take.
        """
        columns = np.zeros((len(elements), len(rows)))
        row, slot = np.nonzero(batch.elements[rows])
        place = np.searchsorted(elements, batch.elements[rows][row, slot])
        columns[place, row] = batch.counts[rows][row, slot]
        columns /= np.maximum(columns.sum(axis=0), 1)
        self.columns = np.hstack([np.eye(len(elements)), columns])
        self.energies = np.concatenate([np.zeros(len(elements)), energy[rows]])
        self.product = np.concatenate([-np.array(elements, dtype=np.int64), rows])

    def best_mixture(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The lowest energy that a mixture has at a composition.

        Args:
            x: fractions of the atoms, float64 `(k,)`.

        Returns:
            formation energy, eV/atom; the products, int64 `(q,)`, as in `product`; their shares of the atoms, float64
            `(q,)`.
        """
        energy, share, _ = solve(self.energies, self.columns, x)
        taking_part = share > NEGLIGIBLE
        return energy, self.product[taking_part], share[taking_part]


def solve(energies: np.ndarray, columns: np.ndarray, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The best mixture of phases at one composition.

    Args:
        energies: formation energies of the phases, float64 `(p,)`, eV/atom.
        columns: their fractions of atoms, float64 `(k, p)`.
        x: those of the composition, float64 `(k,)`.

    Returns:
        formation energy of the mixture, eV/atom; the phases' shares of the atoms, float64 `(p,)`; how far above the
        mixture's plane they lie, float64 `(p,)`, eV/atom.

    Raises:
        DataError: there is no mixture, as without the elements among the phases.
    """
    from scipy.optimize import linprog

    solved = linprog(energies, A_eq=columns, b_eq=x, bounds=(0, None), method="highs-ds")
    if solved.x is None:  # pragma: no cover - elements alone are always a solution
        raise DataError(f"no mixture of phases found: {solved.message}")
    return float(solved.fun), solved.x, energies - solved.eqlin.marginals @ columns
