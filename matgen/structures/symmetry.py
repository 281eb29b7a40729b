"""Symmetry of crystals by spglib: the space group, its operations, and what these do to the sites."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

SYMMETRY_TOLERANCE = 0.01
"""Angstrom within which atoms are taken for symmetric, as in the column `space_group`."""

Operations = tuple[NDArray[np.intp], NDArray[np.float64]]
"""Rotations `(k, 3, 3)` and translations `(k, 3)` on fractional columns."""


def space_group_number(structure: Structure) -> int:
    """Number of the space group, 1 where spglib gives up, as on cells that are far from any symmetry."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(SpacegroupAnalyzer(structure, symprec=SYMMETRY_TOLERANCE).get_space_group_number())
    except Exception:  # spglib's own error, whose class differs between releases
        return 1


def symmetry_operations(structure: Structure, symprec: float = SYMMETRY_TOLERANCE) -> Operations | None:
    """Operations of a crystal without moments, translations within the cell among them; None where spglib finds none.

    Args:
        structure: the crystal.
        symprec: distance within which positions are the same, angstrom.
    """
    import spglib

    numbers = [site.specie.Z for site in structure]
    try:
        found = spglib.get_symmetry((structure.lattice.matrix, structure.frac_coords, numbers), symprec=symprec)
    except Exception:  # spglib's own error, in releases that raise instead of returning None
        found = None
    return None if found is None else (found["rotations"].astype(np.intp), found["translations"])


def site_permutations(
    structure: Structure, operations: Operations, sites: Sequence[int] | None = None
) -> NDArray[np.intp]:
    """Distinct permutations of sites by operations.

    Args:
        structure: the crystal.
        operations: as of `symmetry_operations`.
        sites: indices of `n` sites, by default of all; operations that take one of them elsewhere are left out.

    Returns:
        int `(g, n)`: operation `i` brings the atom of site `j` to site `[i, j]`.
    """
    chosen = np.arange(len(structure)) if sites is None else np.asarray(sites, dtype=np.intp)
    at = structure.frac_coords[chosen]  # (n, 3)
    numbers = np.array([structure[int(site)].specie.Z for site in chosen])
    other = np.where(numbers[:, None] == numbers[None, :], 0.0, np.inf)  # (n, n): elements do not change places
    permutations = []
    for rotation, translation in zip(*operations, strict=True):
        apart = (at @ rotation.T + translation)[:, None, :] - at[None, :, :]  # (n, n, 3)
        apart -= np.rint(apart)
        permutations.append((np.linalg.norm(apart @ structure.lattice.matrix, axis=2) + other).argmin(axis=1))
    found = np.unique(np.array(permutations, dtype=np.intp).reshape(-1, len(chosen)), axis=0)
    return found[(np.sort(found, axis=1) == np.arange(len(chosen))).all(axis=1)]
