"""Crystals of known magnetic order, and magnitudes of their moments."""

from __future__ import annotations

from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

MOMENTS = {"Cr": 2.9, "Mn": 4.5, "Fe": 4.1, "Ni": 1.7, "Rh": 1.0, "O": 0.1}
"""Bohr magnetons, as CHGNet has them in oxides, without signs."""


def crystal(group: str, lattice: Lattice, species: list[str], positions: list[list[float]]) -> Structure:
    """The primitive cell, with moments."""
    whole = Structure.from_spacegroup(group, lattice, species, positions)
    structure = SpacegroupAnalyzer(whole).find_primitive()
    structure.add_site_property("magmom", [MOMENTS.get(site.specie.symbol, 0.0) for site in structure])
    return structure


def nickel_oxide() -> Structure:
    return crystal("Fm-3m", Lattice.cubic(4.18), ["Ni", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])


MAGNETS = {
    "NiO": nickel_oxide(),
    "Cr": crystal("Im-3m", Lattice.cubic(2.87), ["Cr"], [[0, 0, 0]]),
    "fcc Mn": crystal("Fm-3m", Lattice.cubic(3.6), ["Mn"], [[0, 0, 0]]),
    "FeRh": crystal("Pm-3m", Lattice.cubic(2.99), ["Fe", "Rh"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "KMnF3": crystal("Pm-3m", Lattice.cubic(4.19), ["K", "Mn", "F"], [[0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0, 0]]),
    "MnF2": crystal("P4_2/mnm", Lattice.tetragonal(4.87, 3.31), ["Mn", "F"], [[0, 0, 0], [0.305, 0.305, 0]]),
    "MnTe": crystal("P6_3/mmc", Lattice.hexagonal(4.15, 6.71), ["Mn", "Te"], [[0, 0, 0], [1 / 3, 2 / 3, 0.25]]),
    "Fe2O3": crystal("R-3c", Lattice.hexagonal(5.03, 13.75), ["Fe", "O"], [[0, 0, 0.3553], [0.3059, 0, 0.25]]),
    "Cr2O3": crystal("R-3c", Lattice.hexagonal(4.96, 13.59), ["Cr", "O"], [[0, 0, 0.3475], [0.3053, 0, 0.25]]),
    "LaMnO3": crystal(
        "Pnma", Lattice.orthorhombic(5.70, 7.69, 5.54), ["La", "Mn", "O", "O"],
        [[0.549, 0.25, 0.01], [0, 0, 0.5], [-0.014, 0.25, -0.07], [0.309, 0.039, 0.224]],
    ),
    "Fe3O4": crystal("Fd-3m", Lattice.cubic(8.39), ["Fe", "Fe", "O"], [[0] * 3, [0.625] * 3, [0.3799] * 3]),
}  # fmt: skip
