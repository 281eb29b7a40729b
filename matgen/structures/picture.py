"""A crystal as what a viewer draws: atoms of the conventional cell, their images on its faces, bonds, cell edges."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pymatgen.core import Structure

_MOST_ATOMS = 160  # of a conventional cell that is shown; of larger ones the primitive cell is
_ON_A_FACE = 0.02  # fractional coordinates nearer to 0 than this stand on the opposite face too
_BOND = 1.2  # times the sum of covalent radii


def scene(structure: Structure) -> dict[str, Any]:
    """What a viewer needs of a crystal, as JSON.

    Covalent radii are those of B. Cordero et al. (Dalton Trans. 2008, 2832) and colors those of Jmol, as ASE has them.

    Returns:
        `elements`, symbol to `{"color", "radius"}` (hexadecimal; angstrom); `atoms`, `[symbol, x, y, z]` (angstrom);
        `bonds`, pairs of places of atoms; `cell`, three vectors (angstrom).
    """
    from ase.data import atomic_numbers, covalent_radii
    from ase.data.colors import jmol_colors

    cell = shown_cell(structure)
    symbols, fractions = _with_images(cell)
    positions = fractions @ cell.lattice.matrix
    elements = {}
    for symbol in sorted(set(symbols)):
        number = atomic_numbers[symbol]
        red, green, blue = (round(255 * float(part)) for part in jmol_colors[number])
        elements[symbol] = {
            "color": f"#{red:02x}{green:02x}{blue:02x}",
            "radius": round(float(covalent_radii[number]), 3),
        }
    radii = np.array([elements[symbol]["radius"] for symbol in symbols])
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    near = np.triu((distance < _BOND * (radii[:, None] + radii[None])) & (distance > 1e-3), k=1)
    return {
        "elements": elements,
        "atoms": [[symbol, *place] for symbol, place in zip(symbols, positions.round(3).tolist(), strict=True)],
        "bonds": np.argwhere(near).tolist(),
        "cell": cell.lattice.matrix.round(3).tolist(),
    }


def shown_cell(structure: Structure) -> Structure:
    """The conventional cell, or the cell as it is where that would be too large to look at or there is no symmetry."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            conventional = SpacegroupAnalyzer(structure, symprec=0.01).get_conventional_standard_structure()
        except Exception:  # spglib gives up on cells that are far from any symmetry
            return structure
    return conventional if len(conventional) <= _MOST_ATOMS else structure


def _with_images(cell: Structure) -> tuple[list[str], np.ndarray]:
    """Symbols and fractional coordinates of the cell's atoms, those on a face also on the opposite one."""
    symbols: list[str] = []
    places: list[np.ndarray] = []
    for site in cell:
        at = site.frac_coords % 1.0
        at = np.where(at > 1 - _ON_A_FACE, at - 1, at)
        steps = [(0, 1) if abs(part) < _ON_A_FACE else (0,) for part in at]
        for shift in np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3):
            symbols.append(site.specie.symbol)
            places.append(at + shift)
    return symbols, np.array(places)


def space_group_symbol(number: int) -> str:
    """The Hermann-Mauguin symbol of a space group, such as `Fm-3m` of 225.

    Raises:
        ValueError: no such space group.
    """
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    return str(sg_symbol_from_int_number(number))
