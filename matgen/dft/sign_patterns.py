"""Distinct collinear orders of a crystal: signs of moments up to its symmetry, and the cells that such orders need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

SYMPREC = 0.05
"""Angstrom within which relaxed atoms count as related by a symmetry operation."""


def symmetry_of(structure: Structure) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rotations `(k, 3, 3)` and translations `(k, 3)` of a crystal without moments, on fractional columns.

    Where spglib finds none, the identity alone.
    """
    import spglib

    numbers = [site.specie.Z for site in structure]
    try:
        found = spglib.get_symmetry((structure.lattice.matrix, structure.frac_coords, numbers), symprec=SYMPREC)
    except Exception:  # spglib's own error, in releases that raise instead of returning None
        found = None
    if found is None:
        return np.eye(3, dtype=np.intp)[None], np.zeros((1, 3))
    return found["rotations"].astype(np.intp), found["translations"]


def site_permutations(structure: Structure, sites: Sequence[int]) -> NDArray[np.intp]:
    """Distinct permutations `(k, n)` of `n` sites by the symmetry operations: entry `i` is where site `i` goes.

    Args:
        structure: the crystal.
        sites: indices of sites that operations map onto one another.
    """
    rotations, translations = symmetry_of(structure)
    return _permutations(structure, sites, rotations, translations)


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
    return _permutations(structure, sites, rotations, shifts)


def _permutations(structure: Structure, sites: Sequence[int], rotations: NDArray[np.intp],
                  translations: NDArray[np.float64]) -> NDArray[np.intp]:  # fmt: skip
    at = structure.frac_coords[list(sites)]  # (n, 3)
    moved = np.einsum("kab,nb->kna", rotations, at) + translations[:, None]  # (k, n, 3)
    apart = moved[:, :, None] - at[None, None]  # (k, n, n, 3)
    apart -= np.round(apart)
    targets = np.linalg.norm(apart @ structure.lattice.matrix, axis=-1).argmin(axis=-1)
    whole = np.sort(targets, axis=1) == np.arange(len(at))
    return np.asarray(np.unique(targets[whole.all(axis=1)], axis=0), dtype=np.intp)


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
