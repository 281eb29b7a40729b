"""Supercells near to cubic, and the symmetry-distinct ways to place a few substitutions on their sites.

An orbit is a set of placements that the operations of the supercell's space group turn into one another; each is stood
for by its smallest member. Orbits of k substitutions are grown from those of k - 1 by one site at a time: whatever is
left when a site is taken from a placement is equivalent to some orbit's representative, so none is missed. Going
through all placements instead would be 10.5 million of them for 8 of 32 sites, where there are some thousand orbits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matgen.errors import StructureError

if TYPE_CHECKING:
    from pymatgen.core import Structure

MOST_ORBITS = 400
"""Orbits that are grown on; of more, as many spread over all distances go on, and the enumeration is not complete."""

_LIMIT = 2  # integers of a transformation that are tried around the ideal one, from -2 to 2

Placement = tuple[tuple[int, ...], ...]
"""Sites of each kind of substitution, ascending within a kind."""


def supercell(structure: Structure, n_cells: int) -> Structure:
    """The supercell of so many cells whose vectors are nearest to a cube's, found by ASE's search.

    Args:
        structure: the cell.
        n_cells: how many of it.

    Raises:
        StructureError: the search finds no supercell of that size.
    """
    rows = tuple(tuple(round(float(x), 4) for x in row) for row in structure.lattice.matrix)
    return structure.make_supercell(np.array(_matrix(rows, n_cells)), in_place=False)


@lru_cache(maxsize=256)
def _matrix(rows: tuple[tuple[float, ...], ...], n_cells: int) -> tuple[tuple[int, ...], ...]:
    """The transformation, `(3, 3)`, of positive determinant."""
    from ase.build import find_optimal_cell_shape

    if n_cells == 1:
        return ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    found = find_optimal_cell_shape(np.array(rows), n_cells, "sc", lower_limit=-_LIMIT, upper_limit=_LIMIT)
    matrix = np.zeros((3, 3), dtype=int) if found is None else np.rint(np.asarray(found)).astype(int)
    determinant = round(float(np.linalg.det(matrix)))
    if abs(determinant) != n_cells:
        raise StructureError(f"no supercell of {n_cells} cells was found")
    return tuple(tuple(int(x) for x in row) for row in matrix * np.sign(determinant))


def shortest_vector(structure: Structure) -> float:
    """Distance of an atom to its nearest periodic image, angstrom."""
    return float(min(structure.lattice.get_lll_reduced_lattice().abc))


@dataclass(frozen=True)
class Arrangements:
    """Symmetry-distinct placements.

    Attributes:
        placements: the smallest of each orbit.
        complete: whether these are all orbits.
    """

    placements: list[Placement]
    complete: bool


def arrangements(
    permutations: NDArray[np.int64],
    sites: Sequence[Sequence[int]],
    counts: Sequence[int],
    crowding: Callable[[Placement], float],
) -> Arrangements:
    """Symmetry-distinct ways to choose sites for kinds of substitutions; no site takes two.

    Args:
        permutations: `(g, n)`, as `matgen.structures.symmetry.site_permutations` gives them.
        sites: of each kind, those that it may take; all of one element.
        counts: substitutions of each kind.
        crowding: of a placement, such as a sum of inverse distances: what the choice among too many is spread over.
    """
    found: list[Placement] = [tuple(() for _ in counts)]
    complete = True
    for kind, count in enumerate(counts):
        for _ in range(count):
            grown = {
                canonical(permutations, _with(placement, kind, site))
                for placement in found
                for site in sites[kind]
                if not any(site in taken for taken in placement)
            }
            complete &= len(grown) <= MOST_ORBITS
            found = spread(sorted(grown), MOST_ORBITS, crowding)
    return Arrangements(found, complete)


def canonical(permutations: NDArray[np.int64], placement: Placement) -> Placement:
    """The smallest placement that the operations make of one."""
    images = [np.sort(permutations[:, list(taken)], axis=1) for taken in placement if taken]  # (g, count) each
    best = _smallest_row(np.hstack(images)) if images else np.zeros(0, dtype=np.int64)
    ends = np.cumsum([len(taken) for taken in placement])
    return tuple(
        tuple(best[end - len(taken) : end].tolist()) for taken, end in zip(placement, ends.tolist(), strict=True)
    )


def degeneracy(permutations: NDArray[np.int64], placement: Placement) -> int:
    """How many placements are equivalent to one: the size of its orbit."""
    images = [np.sort(permutations[:, list(taken)], axis=1) for taken in placement if taken]
    return len(np.unique(np.hstack(images), axis=0)) if images else 1


def spread(placements: Sequence[Placement], n: int, crowding: Callable[[Placement], float]) -> list[Placement]:
    """At most `n` placements, evenly from the least to the most crowded, the least crowded first."""
    ordered = sorted(placements, key=lambda placement: (round(crowding(placement), 6), placement))
    if len(ordered) <= n:
        return ordered
    chosen = np.unique(np.rint(np.linspace(0, len(ordered) - 1, n)).astype(int))
    return [ordered[place] for place in chosen]


def _with(placement: Placement, kind: int, site: int) -> Placement:
    return tuple(tuple(sorted((*taken, site))) if place == kind else taken for place, taken in enumerate(placement))


def _smallest_row(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first of the rows in lexicographic order."""
    for column in range(rows.shape[1]):
        values = rows[:, column]
        rows = rows[values == values.min()]
    return rows[0]
