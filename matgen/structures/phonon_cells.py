"""Cells for phonons: the primitive cell with its symmetry, a supercell, the smallest cell that a wave fits in."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from math import gcd, lcm
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matgen.structures.symmetry import SYMMETRY_TOLERANCE

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LARGEST_DENOMINATOR = 48  # of a wave vector's coordinates; supercells of hundreds of atoms stay far below


def standard_primitive(structure: Structure) -> Structure:
    """The primitive cell as spglib sets it, its atoms and vectors put exactly where its space group has them.

    Args:
        structure: ordered; what site properties it has are lost. Returned as it is where spglib finds no symmetry.
    """
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            primitive = SpacegroupAnalyzer(structure, symprec=SYMMETRY_TOLERANCE).get_primitive_standard_structure()
    except Exception:  # spglib gives up on cells that are far from any symmetry
        primitive = structure
    return Structure(primitive.lattice, primitive.species, primitive.frac_coords)


def conventional_vectors(structure: Structure) -> NDArray[np.int64]:
    """The conventional cell's vectors in those of a primitive cell, rows of integers `(3, 3)`."""
    import spglib

    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_TOLERANCE)
        # spglib: (a, b, c) = (a_standard, b_standard, c_standard) P, columns are vectors.
        vectors = np.linalg.inv(np.asarray(dataset.transformation_matrix)).T
    except Exception:
        return np.eye(3, dtype=np.int64)
    rounded = np.rint(vectors).astype(np.int64)
    whole = np.abs(vectors - rounded).max() < 1e-3 and round(abs(np.linalg.det(rounded))) >= 1
    return rounded if whole else np.eye(3, dtype=np.int64)


def supercell_vectors(structure: Structure, *, shortest: float, max_atoms: int) -> NDArray[np.int64]:
    """Vectors of a supercell in those of a primitive cell, rows of integers `(3, 3)`.

    Even multiples of the conventional cell, so that the centers of the zone's faces, where crystals of few atoms are
    most often unstable, are among the waves that fit. Axes of equal length get equal multiples, so that the supercell
    keeps the crystal's symmetry and few displacements are needed. Where there are more atoms than allowed, the longest
    axes give way first, and the conventional cell before the primitive one.

    Args:
        structure: a primitive cell.
        shortest: angstrom, of a vector of the supercell at least.
        max_atoms: of the supercell at most, unless the primitive cell itself has more.
    """
    for base in (conventional_vectors(structure), np.eye(3, dtype=np.int64)):
        atoms = len(structure) * round(abs(np.linalg.det(base)))
        if atoms > max_atoms:
            continue
        lengths = np.linalg.norm(base @ structure.lattice.matrix, axis=1)  # angstrom
        multiples = 2 * np.maximum(np.ceil(shortest / lengths / 2 - 1e-9), 1).astype(np.int64)
        while atoms * multiples.prod() > max_atoms:
            spans = np.where(multiples > 1, lengths * multiples, 0)
            longest = spans > spans.max() - 0.05  # angstrom
            multiples = np.where(longest, np.where(multiples > 2, multiples - 2, 1), multiples)
        return np.diag(multiples) @ base
    return np.eye(3, dtype=np.int64)


def fractions_of(wave: ArrayLike) -> tuple[tuple[int, int], ...]:
    """Numerator and denominator of each coordinate `(3,)` of a wave vector that fits in some supercell."""
    from fractions import Fraction

    parts = [Fraction(float(x)).limit_denominator(_LARGEST_DENOMINATOR) for x in np.asarray(wave)]
    return tuple((part.numerator, part.denominator) for part in parts)


def wave_text(wave: ArrayLike) -> str:
    """A wave vector as `1/2 1/2 0`."""
    return " ".join(str(a) if b == 1 else f"{a}/{b}" for a, b in fractions_of(wave))


def smallest_cell_of(wave: ArrayLike) -> NDArray[np.int64]:
    """Vectors of a smallest supercell in which a wave of the primitive cell fits, rows of integers `(3, 3)`.

    Not diagonal in general: of `lcm` of the denominators primitive cells (J. H. Lloyd-Williams and B. Monserrat, Phys.
    Rev. B 92, 184301, 2015). Of those the one with the shortest rows.

    Args:
        wave: `(3,)`, in the reciprocal vectors of the primitive cell.
    """
    parts = fractions_of(wave)
    cells = lcm(*(denominator for _, denominator in parts))
    numerators = np.array([a * (cells // b) for a, b in parts])
    best = np.diag([cells // gcd(int(n), cells) for n in numerators])
    fits = [vectors for vectors in _hermite(cells) if not (vectors @ numerators % cells).any()]
    return min(fits, key=lambda vectors: int((vectors**2).sum()), default=best)


def _hermite(cells: int) -> Iterator[NDArray[np.int64]]:
    """All Hermite normal forms of a determinant: one for each sublattice."""
    for a, b in itertools.product(range(1, cells + 1), repeat=2):
        if cells % (a * b):
            continue
        c = cells // (a * b)
        for x, y, z in itertools.product(range(b), range(c), range(c)):
            yield np.array([[a, x, y], [0, b, z], [0, 0, c]])
