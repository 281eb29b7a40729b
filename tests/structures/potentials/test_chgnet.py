from __future__ import annotations

import numpy as np
import pytest
from ase.units import GPa
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.structures.potentials.chgnet import BatchedCHGNet
from matgen.structures.potentials.interface import Evaluation, Potential
from tests.structures.conftest import CRYSTALS, skewed, to_atoms


def assert_same(found: Evaluation, published, structure) -> None:
    expected = published.predict_structure(structure)
    assert found.energy / len(structure) == pytest.approx(float(expected["e"]), abs=1e-5)
    assert found.forces == pytest.approx(expected["f"], abs=1e-4)
    assert found.stress / GPa == pytest.approx(expected["s"], abs=1e-3)
    assert found.magnetic_moments == pytest.approx(expected["m"], abs=1e-4)


@pytest.mark.parametrize("name", CRYSTALS)
def test_the_numbers_are_chgnets(name: str, chgnet: Potential, published) -> None:
    (found,) = chgnet.evaluate([to_atoms(CRYSTALS[name])])
    assert_same(found, published, CRYSTALS[name])


@settings(max_examples=8, deadline=None)
@given(st.permutations(list(CRYSTALS)), st.integers(2, len(CRYSTALS)))
def test_whatever_else_is_in_the_batch(chgnet: Potential, published, names: list[str], n: int) -> None:
    for name, found in zip(names[:n], chgnet.evaluate([to_atoms(CRYSTALS[name]) for name in names[:n]]), strict=True):
        assert_same(found, published, CRYSTALS[name])


def test_other_weights() -> None:
    from chgnet.model import CHGNet

    network = CHGNet.load(model_name="r2scan", use_device="cpu", verbose=False)
    potential = BatchedCHGNet(network)
    assert potential.version == "r2scan"
    structures = [skewed(), CRYSTALS["perovskite"]]
    for structure, found in zip(structures, potential.evaluate([to_atoms(s) for s in structures]), strict=True):
        assert_same(found, network, structure)


def test_forces_and_stress_are_slopes_of_the_energy(chgnet: Potential) -> None:
    step = 0.002
    atoms = to_atoms(skewed(1))
    (found,) = chgnet.evaluate([atoms])
    moved = []
    for place, axis in [(0, 0), (3, 1), (5, 2)]:
        for sign in (1, -1):
            other = atoms.copy()
            other.positions[place, axis] += sign * step
            moved.append(other)
    for i, j in [(0, 0), (1, 2), (0, 1)]:
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            other = atoms.copy()
            other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            moved.append(other)
    energies = [one.energy for one in chgnet.evaluate(moved)]
    slopes = (np.array(energies[::2]) - np.array(energies[1::2])) / (2 * step)
    assert -slopes[:3] == pytest.approx([found.forces[0, 0], found.forces[3, 1], found.forces[5, 2]], abs=0.01)
    volume = atoms.get_volume()
    # the off-diagonal strain is shared by two entries, whose stresses are equal
    assert slopes[3:] / volume == pytest.approx([found.stress[0, 0], found.stress[1, 2], found.stress[0, 1]], abs=3e-4)
    assert found.stress == pytest.approx(found.stress.T, abs=1e-5)
    assert found.forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-4)


def test_elements() -> None:
    assert len(BatchedCHGNet.elements) == 89
    assert "Pu" in BatchedCHGNet.elements
    assert "Po" not in BatchedCHGNet.elements  # CHGNet has a row for it, which no training structure ever changed
    assert "Am" not in BatchedCHGNet.elements
