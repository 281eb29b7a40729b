"""One structure on its way down a potential's energy surface: atoms and cell together, by quasi-Newton steps.

BFGS of ASE, on positions and on the logarithm of the cell's deformation (ASE's `FrechetCellFilter`). The deformation is
multiplied by a length, so that both are lengths. ASE's length, the number of atoms in angstrom, makes the cell of
twenty atoms some twenty times softer than their bonds, and steps are lost to its slow approach; a length that grows as
the root of that number makes both equally stiff: the energy of a strain grows as the volume, about 1 eV/angstrom^3
times it, that of a shift of an atom not at all.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from matgen.errors import first_line
from matgen.structures.potentials.interface import Evaluation

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

_CELL_LENGTH = 1.5  # angstrom, times the root of the number of atoms
_LARGEST_FORCE = 1e4  # eV/angstrom; beyond it the potential knows nothing
_VOLUME_RATIO = 4.0  # a cell that grows or shrinks by more has come apart or collapsed


class _Cell(FrechetCellFilter):
    """ASE's filter, asked once for the forces at each place: the optimizer and the test of its end both ask."""

    known: Any = None

    def get_forces(self, **kwargs: Any) -> NDArray[np.float64]:
        """Forces on atoms and cell, `(n + 3, 3)`."""
        if self.known is None:
            self.known = super().get_forces(**kwargs)
        return np.asarray(self.known)

    def set_positions(self, positions: Any, **kwargs: Any) -> None:
        """Move atoms and cell."""
        self.known = None
        super().set_positions(positions, **kwargs)


class Descent:
    """A structure, the steps it has taken, and whether it has arrived.

    Attributes:
        place: of the structure among those given.
        start: as given.
        steps: taken so far.
        energies: eV/atom, at the start and after each step but the last, whose place is not evaluated yet.
        ended: whether it takes no further step.
        converged: whether the largest force is below the threshold.
        reason: why it failed; empty where it did not.
        stopped_early: whether it was given up for others.
    """

    def __init__(self, place: int, start: Structure, max_force: float, max_steps: int, *, cell: bool) -> None:
        from pymatgen.io.ase import AseAtomsAdaptor

        self.place, self.start = place, start
        self.atoms: Atoms = AseAtomsAdaptor.get_atoms(start, msonable=False)
        self._max_force, self._max_steps = max_force, max_steps
        self._volume = self.atoms.get_volume()
        self._cell_length = _CELL_LENGTH * math.sqrt(len(self.atoms)) if cell else None
        moved = _Cell(self.atoms, exp_cell_factor=self._cell_length) if cell else self.atoms
        self._optimizer = BFGS(moved, logfile=None)
        self.steps, self.ended, self.converged, self.reason, self.stopped_early = 0, False, False, "", False
        self.energies: list[float] = []
        self.evaluation: Evaluation | None = None

    def advance(self, evaluation: Evaluation | Exception) -> None:
        """Take the evaluation of the present positions, and a step unless it is the last."""
        self.reason = self._failure(evaluation)
        if self.reason:
            self.ended = True
            return
        assert isinstance(evaluation, Evaluation)
        self.evaluation = evaluation
        self.energies.append(evaluation.energy / len(self.atoms))
        # Remembers the results of these positions; ASE refuses to take them for those of any others.
        self.atoms.calc = SinglePointCalculator(
            self.atoms,
            energy=evaluation.energy,
            forces=evaluation.forces,
            stress=full_3x3_to_voigt_6_stress(evaluation.stress),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # logm's accuracy, of steps that are not last
            try:
                self.converged = self._largest_force() < self._max_force
                self.ended = self.converged or self.steps == self._max_steps
                if not self.ended:
                    self._optimizer.step()
                    self.steps += 1
            except Exception as error:  # a cell without volume
                self.ended, self.reason = True, f"the optimizer failed: {first_line(error)}"

    def stop(self) -> None:
        """Take no further step."""
        self.ended = self.stopped_early = True

    def _largest_force(self) -> float:
        """On an atom or, where the cell relaxes, on a row of it per atom, eV/angstrom."""
        forces = -self._optimizer.optimizable.get_gradient().reshape(-1, 3)
        if self._cell_length is not None:
            forces[-3:] *= self._cell_length / len(self.atoms)
        return float(np.linalg.norm(forces, axis=1).max())

    def _failure(self, evaluation: Evaluation | Exception) -> str:
        if isinstance(evaluation, Exception):
            return f"the potential failed: {first_line(evaluation)}"
        if not (
            np.isfinite(evaluation.energy)
            and np.isfinite(evaluation.forces).all()
            and np.isfinite(evaluation.stress).all()
        ):
            return "the potential gave no number"
        force = float(np.abs(evaluation.forces).max())
        if force > _LARGEST_FORCE:
            return f"a force of {force:.0f} eV/angstrom: atoms are too close"
        ratio = self.atoms.get_volume() / self._volume  # to that at the start
        if not 1 / _VOLUME_RATIO < ratio < _VOLUME_RATIO:
            return f"the cell's volume went to {ratio:.2f} times what it was"
        return ""

    def structure(self) -> Structure:
        """Where it was evaluated last, with site property `magmom` where the potential gives moments."""
        from pymatgen.io.ase import AseAtomsAdaptor

        assert self.evaluation is not None
        evaluated = self.atoms.calc.atoms.copy()  # not the present ones, which have moved on where it was stopped
        evaluated.calc = None
        structure: Structure = AseAtomsAdaptor.get_structure(evaluated)
        if self.evaluation.magnetic_moments is not None:
            structure.add_site_property("magmom", [round(float(m), 4) for m in self.evaluation.magnetic_moments])
        return structure
