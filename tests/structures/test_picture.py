from __future__ import annotations

import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from matgen.structures.picture import scene

from .conftest import CRYSTALS, salt


def test_rock_salt_is_shown_as_its_cube() -> None:
    drawn = scene(salt(5.64))
    assert np.allclose(drawn["cell"], 5.64 * np.eye(3), atol=2e-3)
    symbols = [atom[0] for atom in drawn["atoms"]]
    places = np.array([atom[1:] for atom in drawn["atoms"]])
    # 27 points of a grid of half the edge: corners and faces are of one element, edges and the center of the other.
    assert len(symbols) == 27 and sorted({symbols.count("Na"), symbols.count("Cl")}) == [13, 14]
    assert np.allclose(places * 2 / 5.64, np.round(places * 2 / 5.64), atol=1e-2)
    lengths = [np.linalg.norm(places[i] - places[j]) for i, j in drawn["bonds"]]
    assert len(lengths) == 54 and np.allclose(lengths, 2.82, atol=0.01)


@pytest.mark.parametrize("name", CRYSTALS)
def test_every_atom_is_one_of_the_crystal_and_all_is_json(name: str) -> None:
    structure = CRYSTALS[name]
    drawn = json.loads(json.dumps(scene(structure)))
    assert {atom[0] for atom in drawn["atoms"]} == {site.specie.symbol for site in structure} == set(drawn["elements"])
    cell = Structure(Lattice(drawn["cell"]), [], [])
    inside = np.array([cell.lattice.get_fractional_coords(atom[1:]) for atom in drawn["atoms"]])
    assert (inside > -0.03).all() and (inside < 1.03).all()
    per_volume = len(structure) / structure.volume
    distinct = np.unique(np.round(inside % 1.0, 2) % 1.0, axis=0)
    assert len(distinct) == pytest.approx(per_volume * cell.volume, rel=0.01)
    assert all(i < j < len(drawn["atoms"]) for i, j in drawn["bonds"])


def test_a_large_cell_is_shown_as_it_is() -> None:
    large = salt(5.64).make_supercell([5, 5, 5], in_place=False)
    generator = np.random.default_rng(0)
    large.translate_sites(list(range(len(large))), generator.normal(0, 0.01, 3))
    for i in range(len(large)):
        large.translate_sites([i], generator.normal(0, 0.01, 3))
    drawn = scene(large)
    assert np.allclose(drawn["cell"], large.lattice.matrix, atol=1e-3) or len(drawn["atoms"]) >= len(large)
