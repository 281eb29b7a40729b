from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matgen.structures.assignment import Assignment
from matgen.structures.propose import Proposer
from matgen.structures.templates import Template, bundled_templates
from matgen.structures.volume import (
    USUAL_ATOMIC_VOLUME,
    atomic_volumes,
    bond_length_volume,
    composition_volume,
    scaled,
)

MEASURED = {
    "NaCl": 22.4,
    "MgO": 9.3,
    "SrTiO3": 11.9,
    "CsCl": 34.9,
    "Al2O3": 8.5,
    "LiFePO4": 10.4,
    "ZnS": 19.8,
    "KBr": 35.9,
}
"""Angstrom^3 per atom, at room temperature."""


@pytest.mark.parametrize("formula", MEASURED)
def test_volumes_of_known_compounds(formula: str) -> None:
    library = bundled_templates()
    own = next(t for t in library.templates if t.formula == formula)
    without = Proposer(library=library.without([formula]))
    (first, *_) = without.propose(formula)
    assert first.structure.volume / len(first.structure) == pytest.approx(MEASURED[formula], rel=0.25)
    itself = scaled(Assignment(own, {symbol: symbol for symbol in own.counts}, 0.0))
    assert itself.volume / len(itself) == pytest.approx(MEASURED[formula], rel=0.15)


def test_atomic_volumes_add_up() -> None:
    volumes = atomic_volumes()
    assert all(0 <= volume < 150 for volume in volumes.values())
    assert volumes["Cs"] > volumes["Na"] > volumes["Li"]
    assert composition_volume({"Na": 2, "Cl": 2}) == pytest.approx(2 * composition_volume({"Na": 1, "Cl": 1}))
    assert composition_volume({"Og": 1}) == USUAL_ATOMIC_VOLUME
    errors = [
        np.log(composition_volume(t.counts) / abs(np.linalg.det(t.lattice)))
        for t in bundled_templates().templates[::20]
    ]
    assert np.median(np.abs(errors)) < 0.15


def test_positions_and_shape_are_the_templates() -> None:
    template = next(t for t in bundled_templates().templates if t.id == "aflow:AB3C_cP5_221_a_c_b")
    structure = scaled(Assignment(template, {"Ca": "Ba", "Ti": "Zr", "O": "O"}, 0.0))
    assert structure.frac_coords == pytest.approx(template.positions)
    assert structure.lattice.angles == pytest.approx(Lattice(template.lattice).angles)
    assert [site.specie.symbol for site in structure] == [
        {"Ca": "Ba", "Ti": "Zr", "O": "O"}[symbol] for symbol in template.species
    ]
    assert template.structure().composition.reduced_formula == "CaTiO3"  # untouched


def test_elements_that_change_places() -> None:
    lattice, positions = np.eye(3) * 4.2, np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]])
    template = Template("x", "", "file", "", "NaCl2", 1, ("Na", "Cl", "Cl"), lattice, positions)
    structure = scaled(Assignment(template, {"Na": "Cl", "Cl": "Na"}, 0.0))
    assert [site.specie.symbol for site in structure] == ["Cl", "Na", "Na"]


def test_atoms_far_apart_keep_their_volume() -> None:
    alone = Structure(Lattice.cubic(30), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    assert bond_length_volume(alone) == pytest.approx(27000)
