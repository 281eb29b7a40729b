from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from matgen.structures.assignment import ions_of
from matgen.structures.crystals import (
    CLOSEST,
    Packing,
    contacts,
    conventional_cell,
    crystal_on,
    n_shape,
    orbits_on,
    primitive_vectors,
)
from matgen.structures.reasons import Ion
from matgen.structures.wyckoff import Placement, space_group

PEROVSKITE: Placement = ((("a", 1),), (("b", 1),), (("c", 1),))
ORTHORHOMBIC: Placement = ((("c", 1),), (("b", 1),), (("c", 1), ("d", 1)))


def ions(formula: str, *symbols: str) -> list[Ion]:
    (described,) = ions_of([formula])
    return [described[symbol] for symbol in symbols]


TITANATE = ions("SrTiO3", "Sr", "Ti", "O")


@pytest.mark.parametrize("number", [1, 5, 38, 43, 62, 139, 146, 166, 216, 227])
def test_primitive_cells(number: int) -> None:
    group = space_group(number)
    basis = primitive_vectors(group.centering)
    assert np.linalg.det(basis) == pytest.approx(1 / len(group.centering))
    whole = group.centering @ np.linalg.inv(basis)
    assert np.allclose(whole, np.rint(whole))


def test_cells_of_crystal_systems() -> None:
    for number, free in [(2, 5), (14, 3), (62, 2), (139, 1), (194, 1), (225, 0)]:
        assert n_shape(number) == free
        cell = conventional_cell(number, np.linspace(-0.2, 0.2, free))
        assert np.linalg.det(cell) == pytest.approx(1)
    a, b, c = conventional_cell(194, np.array([0.3]))
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b))
    assert a @ b / (a @ a) == pytest.approx(-0.5)
    assert np.linalg.norm(c) / np.linalg.norm(a) == pytest.approx(np.exp(0.3))
    a, b, c = conventional_cell(14, np.array([0.1, 0.2, -0.3]))
    assert a @ b == pytest.approx(0)
    assert a @ c / np.linalg.norm(a) / np.linalg.norm(c) == pytest.approx(-0.3)


def test_a_cubic_perovskite_comes_out_whole() -> None:
    found = crystal_on(space_group(221), PEROVSKITE, TITANATE, 60.0, np.random.default_rng(0))
    assert found is not None
    structure = found[0]
    assert structure.composition.reduced_formula == "SrTiO3"
    assert SpacegroupAnalyzer(structure).get_space_group_number() == 221
    assert structure.volume == pytest.approx(60)
    titanium = next(site for site in structure if site.specie.symbol == "Ti")
    assert len(structure.get_neighbors(titanium, 2.1)) == 6


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1_000))
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    generator = np.random.default_rng(seed)
    orbits = orbits_on(space_group(62), ORTHORHOMBIC)
    packing = Packing(orbits, contacts(TITANATE), 240.0)
    values = np.r_[generator.random(orbits.n_free), generator.normal(0, 0.2, 2)]
    _, gradient = packing.overlap(values)
    step = 1e-6
    for place in range(len(values)):
        ends = [packing.overlap(values + sign * step * np.eye(len(values))[place])[0] for sign in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-5)


def test_atoms_are_not_too_close() -> None:
    generator = np.random.default_rng(1)
    contact = contacts(TITANATE)
    found = crystal_on(space_group(62), ORTHORHOMBIC, TITANATE, 240.0, generator)
    assert found is not None
    symbols = [ion.symbol for ion in TITANATE]
    for site in found[0]:
        for other in found[0].get_neighbors(site, 3.0):
            least = CLOSEST * contact[symbols.index(site.specie.symbol), symbols.index(other.specie.symbol)]
            assert other.nn_distance >= least - 1e-6
    assert crystal_on(space_group(62), ORTHORHOMBIC, TITANATE, 60.0, generator) is None  # no room


def test_cations_keep_farther_apart_than_a_cation_and_an_anion() -> None:
    table = contacts(TITANATE)
    assert np.allclose(table, table.T)
    assert table[0, 1] > table[0, 2] > table[1, 2]
    alloy = ions("CuZn", "Cu", "Zn")
    assert contacts(alloy)[0, 1] == pytest.approx(alloy[0].radius + alloy[1].radius)
