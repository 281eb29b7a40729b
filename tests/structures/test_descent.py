from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE

from matgen.structures.descent import Descent
from matgen.structures.potentials.calculator import CalculatorPotential
from matgen.structures.potentials.interface import symbols_of
from tests.structures.conftest import salt, skewed, to_atoms


def argon_like() -> LennardJones:
    return LennardJones(sigma=2.4, epsilon=0.2, rc=6.0, smooth=True)


def descended(start: object, max_force: float, max_steps: int, *, cell: bool) -> Descent:
    potential = CalculatorPotential("lj", "1", argon_like(), symbols_of(range(1, 95)))
    descent = Descent(0, start, max_force, max_steps, cell=cell)
    while not descent.ended:
        descent.advance(potential.evaluate([descent.atoms])[0])
    return descent


def test_follows_bfgs_of_ase_step_by_step() -> None:
    found = descended(skewed(), 0.01, 40, cell=False)
    atoms = to_atoms(skewed())
    atoms.calc = argon_like()
    optimizer = BFGS(atoms, logfile=None)
    optimizer.run(fmax=0.01, steps=40)
    assert found.steps == optimizer.nsteps
    assert found.structure().cart_coords == pytest.approx(atoms.get_positions(), abs=1e-8)
    assert found.energies[-1] == pytest.approx(atoms.get_potential_energy() / 8)
    assert (found.structure().lattice.matrix == skewed().lattice.matrix).all()


@pytest.mark.parametrize("edge", [3.6, 4.4])
def test_cells_end_where_fire_of_ase_ends_and_by_its_threshold(edge: float) -> None:
    start = salt(edge, ("Fe", "O")) * [2, 2, 1]
    found = descended(start, 0.001, 300, cell=True)
    atoms = to_atoms(start)
    atoms.calc = argon_like()
    optimizer = FIRE(FrechetCellFilter(atoms), logfile=None)
    assert optimizer.run(fmax=0.001, steps=2000)
    assert found.converged
    assert found.energies[-1] == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-5)
    assert found.structure().volume == pytest.approx(atoms.get_volume(), rel=1e-3)
    assert found.steps < optimizer.nsteps
    ended = to_atoms(found.structure())
    ended.calc = argon_like()
    # ASE's own measure: forces on atoms, and on the rows of the cell per atom.
    assert np.linalg.norm(FrechetCellFilter(ended).get_forces(), axis=1).max() < 0.001


def test_stopped_where_it_was_evaluated_last() -> None:
    potential = CalculatorPotential("lj", "1", argon_like(), symbols_of(range(1, 95)))
    descent = Descent(0, skewed(), 1e-6, 100, cell=True)
    for _ in range(4):
        descent.advance(potential.evaluate([descent.atoms])[0])
    descent.stop()
    assert descent.ended
    assert descent.stopped_early
    assert not descent.converged
    assert len(descent.energies) == descent.steps == 4
    (again,) = potential.evaluate([to_atoms(descent.structure())])
    assert again.energy / 8 == pytest.approx(descent.energies[-1], abs=1e-9)
