"""The best mixture of phases by scipy's solver: one composition at a time, where nothing is compiled."""

from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.errors import DataError

NEGLIGIBLE = 1e-9
"""Fractions of atoms below which a phase takes no part in a mixture."""


def best_mixture(
    elements: np.ndarray, x: np.ndarray, phases: CompositionBatch, energy: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The lowest energy that a mixture of elements and phases has at one composition.

    Args:
        elements: atomic numbers, ascending, int64 `(k,)`.
        x: their shares of the atoms, float64 `(k,)`.
        phases: `m` compositions of these elements.
        energy: float64 `(m,)`, their formation energies, eV/atom.

    Returns:
        formation energy of the mixture, eV/atom; its products, int64 `(p,)`, rows of `phases` or -atomic number of an
        element; their shares of the atoms, float64 `(p,)`.
    """
    from scipy.optimize import linprog

    columns = np.zeros((len(elements), len(phases)))
    row, slot = np.nonzero(phases.elements)
    columns[np.searchsorted(elements, phases.elements[row, slot]), row] = phases.counts[row, slot]
    columns = np.hstack([np.eye(len(elements)), columns / np.maximum(columns.sum(axis=0), 1)])
    energies = np.concatenate([np.zeros(len(elements)), energy])
    product = np.concatenate([-elements.astype(np.int64), np.arange(len(phases))])
    solved = linprog(energies, A_eq=columns, b_eq=x, bounds=(0, None), method="highs-ds")
    if solved.x is None:  # pragma: no cover - elements alone are always a solution
        raise DataError(f"no mixture of phases found: {solved.message}")
    taking_part = solved.x > NEGLIGIBLE
    return float(solved.fun), product[taking_part], solved.x[taking_part]
