"""Fixtures: CHGNet as its authors wrote it and ours, and some crystals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from matgen.structures.potentials.interface import Potential
from matgen.structures.potentials.registry import load_potential


@pytest.fixture(scope="session")
def published() -> Any:
    """CHGNet's own network."""
    from chgnet.model import CHGNet

    network = CHGNet.load(use_device="cpu", verbose=False)
    network.graph_converter.set_isolated_atom_response("ignore")
    return network


@pytest.fixture(scope="session")
def chgnet() -> Potential:
    return load_potential("chgnet")


def to_atoms(structure: Structure) -> Atoms:
    return AseAtomsAdaptor.get_atoms(structure, msonable=False)


def salt(edge: float = 5.7, symbols: tuple[str, str] = ("Na", "Cl")) -> Structure:
    """Rock salt in its primitive cell."""
    half = edge / 2
    return Structure(Lattice([[0, half, half], [half, 0, half], [half, half, 0]]), symbols, [[0, 0, 0], [0.5] * 3])


def skewed(seed: int = 0) -> Structure:
    """Iron oxide in a skewed cell of eight atoms, off their places."""
    places = np.array([[0, 0, 0], [2, 2, 0], [2, 0, 2], [0, 2, 2], [2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 2, 2]]) / 4
    cell = Lattice([[4.3, 0.1, 0], [0.3, 4.4, 0.2], [0.1, 0.2, 4.5]])
    return Structure(cell, ["Fe"] * 4 + ["O"] * 4, places + np.random.default_rng(seed).normal(0, 0.02, (8, 3)))


CRYSTALS = {
    "rock salt": salt(),
    "one atom": Structure(Lattice([[-1.4, 1.4, 1.4], [1.4, -1.4, 1.4], [1.4, 1.4, -1.4]]), ["Fe"], [[0, 0, 0]]),
    "skewed": skewed(),
    "no angles": Structure(Lattice.cubic(5), ["Xe", "Xe"], [[0, 0, 0], [0.5] * 3]),
    "no bonds": Structure(Lattice.cubic(9), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3]),
    "one atom alone": Structure(Lattice.cubic(12), ["Fe"], [[0, 0, 0]]),
    "perovskite": Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.95), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0]]
    ),
}
"""From 1 to 8 atoms, with angles and bonds and without."""
