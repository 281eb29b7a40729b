from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from matgen.structures.phonon_cells import (
    conventional_vectors,
    smallest_cell_of,
    standard_primitive,
    supercell_vectors,
    wave_text,
)
from tests.structures.conftest import CRYSTALS, salt, skewed

coordinates = st.builds(Fraction, st.integers(-5, 6), st.integers(1, 6))


def test_the_primitive_cell() -> None:
    conventional = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.7), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    conventional.add_site_property("magmom", [1.0] * 8)
    primitive = standard_primitive(conventional)
    assert len(primitive) == 2
    assert primitive.site_properties == {}
    assert StructureMatcher(scale=False).fit(primitive, salt(5.7))
    off = conventional.copy()
    off.perturb(0.002)  # within the tolerance: put back where symmetry has it
    assert standard_primitive(off).distance_matrix[0, 1] == pytest.approx(5.7 / 2, abs=0.01)
    assert len(standard_primitive(off)) == 2
    assert len(standard_primitive(skewed())) == 8  # without symmetry


@pytest.mark.parametrize("name", ["rock salt", "one atom", "perovskite"])
def test_a_cubic_crystals_supercell_is_a_cube(name: str) -> None:
    primitive = standard_primitive(CRYSTALS[name])
    vectors = supercell_vectors(primitive, shortest=8.0, max_atoms=200)
    cell = Lattice(vectors @ primitive.lattice.matrix)
    assert cell.angles == pytest.approx((90, 90, 90), abs=1e-6)
    assert cell.abc == pytest.approx([cell.a] * 3)
    multiple = cell.a / Lattice(conventional_vectors(primitive) @ primitive.lattice.matrix).a
    assert round(multiple) % 2 == 0
    assert cell.a >= 7.8  # a perovskite's is doubled: four times would be 320 atoms


@given(
    lengths=st.tuples(*[st.floats(2.5, 20)] * 3), angles=st.tuples(*[st.floats(70, 110)] * 3),
    atoms=st.integers(1, 12), most=st.integers(12, 300), seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_supercells_are_long_enough_or_as_large_as_allowed(
    lengths: tuple[float, ...], angles: tuple[float, ...], atoms: int, most: int, seed: int
) -> None:
    places = np.random.default_rng(seed).random((atoms, 3))
    structure = Structure(Lattice.from_parameters(*lengths, *angles), ["Na"] * atoms, places)
    vectors = supercell_vectors(structure, shortest=8.0, max_atoms=most)
    cells = round(abs(np.linalg.det(vectors)))
    assert cells >= 1
    assert cells * atoms <= most
    spans = np.linalg.norm(vectors @ structure.lattice.matrix, axis=1)
    conventional = conventional_vectors(structure)
    base = np.linalg.norm(conventional @ structure.lattice.matrix, axis=1)
    wanted = np.prod(2 * np.maximum(np.ceil(8.0 / base / 2 - 1e-9), 1)) * round(abs(np.linalg.det(conventional)))
    if wanted * atoms <= most:
        assert (spans >= 8.0 - 1e-6).all()


def test_a_large_cell_stays_as_it_is() -> None:
    assert (supercell_vectors(skewed(), shortest=30.0, max_atoms=4) == np.eye(3)).all()
    assert (supercell_vectors(skewed(), shortest=30.0, max_atoms=8) == np.eye(3)).all()


@given(st.tuples(coordinates, coordinates, coordinates))
@settings(deadline=None, max_examples=60)
def test_the_smallest_cell_of_a_wave(wave: tuple[Fraction, Fraction, Fraction]) -> None:
    vectors = smallest_cell_of([float(part) for part in wave])
    phases = [sum(int(n) * part for n, part in zip(row, wave, strict=True)) for row in vectors]
    assert all(phase.denominator == 1 for phase in phases)  # the wave is the same at all corners
    # no smaller: translations of the primitive cell take as many different phases as the least common denominator
    assert round(abs(np.linalg.det(vectors))) == lcm(*(part.denominator for part in wave))


def test_waves_as_text() -> None:
    assert wave_text([0, 0, 0]) == "0 0 0"
    assert wave_text([0.5, 1 / 3, -0.25]) == "1/2 1/3 -1/4"
