"""Distinct collinear orders of a crystal: signs of moments up to its symmetry, and the cells that such orders need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matgen.structures.symmetry import Operations, site_permutations, symmetry_operations

if TYPE_CHECKING:
    from pymatgen.core import Structure

SYMPREC = 0.05
"""Angstrom within which relaxed atoms count as related by a symmetry operation."""


def symmetry_of(structure: Structure) -> Operations:
    """Rotations `(k, 3, 3)` and translations `(k, 3)` of a crystal without moments, on fractional columns.

    Where spglib finds none, the identity alone.
    """
    found = symmetry_operations(structure, SYMPREC)
    return (np.eye(3, dtype=np.intp)[None], np.zeros((1, 3))) if found is None else found


def lattice_permutations(structure: Structure, sites: Sequence[int], matrix: NDArray[np.intp]) -> NDArray[np.intp]:
    """Permutations `(m - 1, n)` of sites of a supercell by the translations of the cell that it is a multiple of.

    Args:
        structure: the supercell, its vectors `matrix` times those of the cell.
        sites: indices of its sites.
        matrix: `(3, 3)`, of determinant `m`.
    """
    order = round(abs(float(np.linalg.det(matrix))))
    inverse = np.linalg.inv(matrix)
    steps = np.stack(np.meshgrid(*[np.arange(order)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = np.unique(np.round((steps @ inverse) % 1.0, 8) % 1.0, axis=0)
    shifts = shifts[np.abs(shifts).max(axis=1) > 1e-6]
    rotations = np.broadcast_to(np.eye(3, dtype=np.intp), (len(shifts), 3, 3))
    return site_permutations(structure, (rotations, shifts), sites)


def sign_patterns(n: int) -> NDArray[np.int8]:
    """All signs of `n` moments up to their common reversal, `(2**(n - 1), n)`; the first sign is +."""
    codes = np.arange(2 ** (n - 1))
    bits = (codes[:, None] >> np.arange(n - 2, -1, -1)) & 1  # (p, n - 1)
    return np.hstack([np.ones((len(codes), 1), dtype=np.int8), (1 - 2 * bits).astype(np.int8)])


def distinct_patterns(permutations: NDArray[np.intp], n: int) -> NDArray[np.int8]:
    """One pattern of each orbit under permutations and reversal, `(p, n)`; the first is the ferromagnetic one.

    Args:
        permutations: `(k, n)`, a group.
        n: moments.
    """
    patterns = sign_patterns(n)
    places = 2 ** np.arange(n - 1, -1, -1, dtype=np.int64)
    lowest = np.arange(len(patterns), dtype=np.int64)  # the number of a pattern is that of its minus signs
    for permutation in permutations:
        image = patterns[:, permutation]
        image = image * image[:, :1]
        np.minimum(lowest, (image < 0) @ places, out=lowest)
    return patterns[np.unique(lowest)]


def unchanged_by(patterns: NDArray[np.int8], permutations: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which patterns `(p, n)` some of the permutations leave as they are, `(p,)`."""
    unchanged = np.zeros(len(patterns), dtype=bool)
    for permutation in permutations:
        unchanged |= (patterns[:, permutation] == patterns).all(axis=1)
    return unchanged


def hermite_normal_forms(order: int) -> Iterator[NDArray[np.intp]]:
    """A basis `(3, 3)`, in rows, of every sublattice of an index, in Hermite normal form (upper triangular)."""
    for a in range(1, order + 1):
        for d in range(1, order + 1):
            if order % (a * d):
                continue
            f = order // (a * d)
            for b in range(d):
                for c in range(f):
                    for e in range(f):
                        yield np.array([[a, b, c], [0, d, e], [0, 0, f]], dtype=np.intp)


def distinct_supercells(structure: Structure, order: int) -> list[NDArray[np.intp]]:
    """Supercells `(3, 3)` of an order of which no two are related by the crystal's point group.

    G. L. W. Hart and R. W. Forcade, Phys. Rev. B 77, 224115 (2008), enumerate sublattices this way.
    """
    rotations = np.unique(symmetry_of(structure)[0], axis=0)
    kept: list[NDArray[np.intp]] = []
    for form in hermite_normal_forms(order):
        images = form @ rotations.transpose(0, 2, 1)  # (k, 3, 3)
        if not any(_integral(images @ np.linalg.inv(other)) for other in kept):
            kept.append(form)
    return kept


def _integral(bases: NDArray[np.float64]) -> bool:
    """Whether one of the bases `(k, 3, 3)` has integers only."""
    return bool((np.abs(bases - np.round(bases)).max(axis=(1, 2)) < 1e-6).any())
