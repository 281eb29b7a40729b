"""Graphs of atoms, bonds and angles for many crystals at once, in the layout that CHGNet computes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class AtomGraph:
    """Bonds and angles of a batch of crystals: `A` atoms, `E` directed bonds, `U = E / 2` bonds, `T` angles.

    Attributes:
        numbers: Atomic numbers, `(A,)`.
        owner: Which crystal an atom belongs to, `(A,)`.
        center: The atom a directed bond starts from, `(E,)`, ascending.
        neighbor: The atom it ends at, `(E,)`.
        shift: Cell vectors that lead from the neighbor to its image, `(E, 3)`.
        bond: The undirected bond of a directed one, `(E,)`.
        first: One of the two directed bonds of an undirected one, `(U,)`.
        angle_atom: The atom at the corner of an angle, `(T,)`.
        angle_left: The directed bond on one side, `(T,)`.
        angle_right: The directed bond on the other, `(T,)`; each angle stands twice, once from each side.
    """

    numbers: IntArray
    owner: IntArray
    center: IntArray
    neighbor: IntArray
    shift: NDArray[np.float64]
    bond: IntArray
    first: IntArray
    angle_atom: IntArray
    angle_left: IntArray
    angle_right: IntArray


_MOST_IMAGES = 20_000
"""Copies of a cell within a bond's length of it; for more, the reduced cell is searched. Usual are some hundred."""


def atom_graph(crystals: list[Atoms], bond_cutoff: float, angle_cutoff: float) -> AtomGraph:
    """The graph of a batch of periodic crystals.

    Args:
        crystals: ASE's atoms, periodic in three directions.
        bond_cutoff: Longest bond, angstrom.
        angle_cutoff: Longest bond that forms angles, angstrom.
    """
    parts: list[list[NDArray[np.generic]]] = [[] for _ in range(10)]
    # What the crystals before this one have, by which its own indices are shifted.
    atoms_before = edges_before = bonds_before = 0
    for index, atoms in enumerate(crystals):
        center, neighbor, shift, length = _directed(atoms, bond_cutoff)
        bond, first = _undirected(center, neighbor, shift.astype(np.int64))
        starts = np.searchsorted(
            center, np.arange(len(atoms) + 1)
        )  # (a + 1,): bonds of atom i are starts[i]:starts[i + 1]
        corner, left, right = _angles(starts, length, angle_cutoff)
        made = (atoms.numbers, np.full(len(atoms), index), center + atoms_before, neighbor + atoms_before, shift,
                bond + bonds_before, first + edges_before, corner + atoms_before, left + edges_before,
                right + edges_before)  # fmt: skip
        for part, array in zip(parts, made, strict=True):
            part.append(array)
        atoms_before += len(atoms)
        edges_before += len(center)
        bonds_before += len(first)
    return AtomGraph(*(np.concatenate(part) for part in parts))


def _directed(atoms: Atoms, cutoff: float) -> tuple[IntArray, IntArray, NDArray[np.float64], NDArray[np.float64]]:
    """Directed bonds of one crystal, by the atom they start from.

    Returns:
        the atoms they start from and end at, `(e,)` each; cell vectors to the image of the latter, `(e, 3)`; lengths,
        `(e,)`, angstrom.
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    positions, cell = atoms.get_positions(), np.ascontiguousarray(atoms.cell.array)  # (a, 3), (3, 3), angstrom
    turn = None
    if _images(cell, cutoff) > _MOST_IMAGES:  # of a flat or skewed cell the search would visit millions: minutes
        turn = _reduction(cell)
        cell = np.ascontiguousarray(turn @ cell)
    center, neighbor, shift, length = find_points_in_spheres(
        positions, positions, cutoff, np.ones(3, dtype=np.int64), cell, 1e-8, min(cutoff, 5.0)
    )
    if turn is not None:
        shift = shift @ turn  # in the vectors of the cell as given: shift @ (turn @ cell) = (shift @ turn) @ cell
    other = (center != neighbor) | (length > 1e-8)  # an atom is no neighbor of itself, but of its images
    order = np.flatnonzero(other)[np.argsort(center[other], kind="stable")]
    return center[order], neighbor[order], shift[order], length[order]


def _images(cell: NDArray[np.float64], cutoff: float) -> float:
    """How many copies of a cell `(3, 3)` reach within a distance of it; without limit for one that has no volume."""
    faces = np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)  # (3,), angstrom^2
    with np.errstate(divide="ignore"):
        heights = abs(np.linalg.det(cell)) / faces  # (3,), angstrom between opposite faces
        return float(np.prod(2 * np.ceil(cutoff / heights) + 1))


def _reduction(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix of integers `(3, 3)` that makes a cell's vectors as short and as upright as they can be (LLL)."""
    from pymatgen.core import Lattice

    reduced = Lattice(cell).get_lll_reduced_lattice().matrix
    return np.asarray(np.rint(reduced @ np.linalg.inv(cell)))


def _undirected(center: IntArray, neighbor: IntArray, shift: IntArray) -> tuple[IntArray, IntArray]:
    """The undirected bond `(E,)` of each directed one, and the first directed bond `(U,)` of each undirected one.

    The two directions of a bond are (i, j, s) and (j, i, -s): both are turned to the one whose key is smaller.
    """
    forward = np.column_stack([center, neighbor, shift])  # (E, 5)
    backward = np.column_stack([neighbor, center, -shift])
    # A bond is never its own reverse (an atom is no neighbor of itself), so that some column decides.
    differs = forward != backward
    at = differs.argmax(axis=1)  # the first column in which they differ
    rows = np.arange(len(forward))
    key = np.where((forward[rows, at] <= backward[rows, at])[:, None], forward, backward)
    _, first, bond = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return bond.reshape(-1), first


@numba.njit(cache=True)
def _angles(starts, length, cutoff):  # pragma: no cover
    """Ordered pairs of short bonds that start at the same atom."""
    # Two passes, since the number of angles is not known before: count, then fill arrays of just that length.
    total = 0
    for atom in range(len(starts) - 1):
        short = 0
        for edge in range(starts[atom], starts[atom + 1]):
            short += length[edge] < cutoff
        total += short * (short - 1)  # ordered pairs of different bonds
    corner = np.empty(total, np.int64)
    left = np.empty(total, np.int64)
    right = np.empty(total, np.int64)
    at = 0
    for atom in range(len(starts) - 1):
        for one in range(starts[atom], starts[atom + 1]):
            if length[one] >= cutoff:
                continue
            for two in range(starts[atom], starts[atom + 1]):
                if two != one and length[two] < cutoff:
                    corner[at], left[at], right[at] = atom, one, two
                    at += 1
    return corner, left, right
