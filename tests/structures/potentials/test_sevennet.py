from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import DataError
from matgen.structures.potentials import sevennet
from matgen.structures.potentials.interface import Evaluation, Potential
from matgen.structures.potentials.registry import load_potential, shared_potential
from matgen.structures.potentials.sevennet import WEIGHTS, load_network
from tests.structures.conftest import CRYSTALS, skewed, to_atoms

BONDED = [name for name in CRYSTALS if name not in ("no bonds", "one atom alone")]


def published(name: str) -> Any:
    """SevenNet's own calculator for ASE."""
    from sevenn.calculator import SevenNetCalculator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SevenNetCalculator(name, device="cpu", modal=WEIGHTS[name].fidelity)


@pytest.fixture(scope="module", params=["7net-l3i5", pytest.param("7net-0", marks=pytest.mark.slow),
                                        pytest.param("7net-mf-0", marks=pytest.mark.slow)])  # fmt: skip
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Potential, Any]]:
    """Ours and its authors' of the same weights."""
    yield load_potential(request.param), published(request.param)


def assert_same(found: Evaluation, calculator: Any, atoms: Atoms) -> None:
    bare = atoms.copy()
    bare.calc = calculator
    assert found.energy / len(atoms) == pytest.approx(bare.get_potential_energy() / len(atoms), abs=5e-6)
    assert found.forces == pytest.approx(bare.get_forces(), abs=1e-4)
    assert found.stress == pytest.approx(bare.get_stress(voigt=False), abs=1e-5)
    assert found.magnetic_moments is None


def test_the_numbers_are_sevennets_whatever_else_is_in_the_batch(pair: tuple[Potential, Any]) -> None:
    potential, calculator = pair
    crystals = [to_atoms(CRYSTALS[name]) for name in BONDED]
    for atoms, found in zip(crystals, potential.evaluate(crystals), strict=True):
        assert_same(found, calculator, atoms)
    for atoms in crystals:
        (alone,) = potential.evaluate([atoms])
        assert_same(alone, calculator, atoms)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_of_any_cell(pair: tuple[Potential, Any], seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 5))
    cell = np.eye(3) * generator.uniform(2.5, 6, 3) + generator.normal(0, 0.6, (3, 3))
    numbers = generator.choice([1, 3, 8, 16, 26, 57, 92], n)
    atoms = Atoms(numbers, cell=cell, scaled_positions=generator.random((n, 3)), pbc=True)
    bare = atoms.copy()
    potential, bare.calc = pair
    (found,) = potential.evaluate([atoms])
    force = max(float(np.abs(bare.get_forces()).max()), 1.0)  # atoms may overlap: eV/angstrom by the million
    assert found.energy == pytest.approx(bare.get_potential_energy(), rel=3e-5, abs=1e-4)  # float32
    assert found.forces == pytest.approx(bare.get_forces(), abs=2e-4 * force)
    assert found.stress * atoms.get_volume() == pytest.approx(
        bare.get_stress(voigt=False) * atoms.get_volume(), abs=1e-3 * force
    )


def test_atoms_without_bonds(pair: tuple[Potential, Any]) -> None:
    potential, _ = pair
    crystals = [to_atoms(CRYSTALS[name]) for name in ("no bonds", "one atom alone", "rock salt")]
    apart, alone, salt = potential.evaluate(crystals)
    for found in (apart, alone):
        assert np.isfinite(found.energy)
        assert (found.forces == 0).all() and (found.stress == 0).all()
    assert (potential.evaluate(crystals[1:2])[0].energy, potential.evaluate(crystals[2:])[0].energy) == pytest.approx(
        (alone.energy, salt.energy), abs=1e-5
    )


def test_atoms_at_one_place_give_no_number(pair: tuple[Potential, Any]) -> None:
    """So that a relaxation knows that it failed."""
    atoms = to_atoms(CRYSTALS["rock salt"])
    atoms.positions[1] = atoms.positions[0]
    assert not np.isfinite(pair[0].evaluate([atoms])[0].energy)


def test_forces_and_stress_are_slopes_of_the_energy(pair: tuple[Potential, Any]) -> None:
    potential, step = pair[0], 0.004
    atoms = to_atoms(skewed(1))
    (found,) = potential.evaluate([atoms])
    moved = []
    for place, axis in [(0, 0), (5, 2)]:
        for sign in (1, -1):
            other = atoms.copy()
            other.positions[place, axis] += sign * step
            moved.append(other)
    for i, j in [(0, 0), (1, 2)]:
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            other = atoms.copy()
            other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            moved.append(other)
    energies = [one.energy for one in potential.evaluate(moved)]
    slopes = (np.array(energies[::2]) - np.array(energies[1::2])) / (2 * step)
    assert -slopes[:2] == pytest.approx([found.forces[0, 0], found.forces[5, 2]], abs=0.01)
    # the off-diagonal strain is shared by two entries, whose stresses are equal
    assert slopes[2:] / atoms.get_volume() == pytest.approx([found.stress[0, 0], found.stress[1, 2]], abs=5e-4)
    assert found.stress == pytest.approx(found.stress.T, abs=1e-9)
    assert found.forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-4)


def test_a_flat_cell_takes_no_minutes() -> None:
    """Its images within a bond's length are millions in the given vectors, and few in the reduced ones."""
    potential = shared_potential("7net-0")
    rock_salt = to_atoms(CRYSTALS["rock salt"])
    flat = rock_salt.copy()
    flat.set_cell(np.array([[1, 0, 0], [0, 1, 0], [40, 41, 1]]) @ rock_salt.cell.array)
    began = time.perf_counter()
    one, other = potential.evaluate([flat, rock_salt])
    assert time.perf_counter() - began < 10
    assert one.energy == pytest.approx(other.energy, abs=1e-4)
    assert one.stress == pytest.approx(other.stress, abs=1e-5)


def test_weights_that_are_not_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that would run code is neither opened by its name nor, where its hash were known, read."""
    import hashlib

    import sevenn

    ran = tmp_path / "ran"

    class Harmful:
        def __reduce__(self) -> Any:
            return Path.touch, (ran,)

    weights = tmp_path / WEIGHTS["7net-0"].path
    weights.parent.mkdir(parents=True)
    torch.save({"config": Harmful()}, weights)
    monkeypatch.setattr(sevenn, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(DataError, match=r"weights of 7net-0 are not those that matgen knows, .*: install sevenn"):
        load_network("7net-0")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    monkeypatch.setitem(sevennet.WEIGHTS, "7net-0", sevennet._Weights(WEIGHTS["7net-0"].path, digest))
    with pytest.raises(pickle.UnpicklingError):
        load_network("7net-0")
    assert not ran.exists()
    weights.unlink()
    with pytest.raises(DataError, match="cannot read the weights of 7net-0"):
        load_network("7net-0")
