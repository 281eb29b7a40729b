"""Any calculator of ASE as a potential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.structures.potentials.interface import Evaluation

if TYPE_CHECKING:
    from ase import Atoms


class CalculatorPotential:
    """Any calculator of ASE, one crystal after the other; of a potential that learned energies without corrections."""

    corrected = False

    def __init__(self, name: str, version: str, calculator: Any, elements: frozenset[str]) -> None:
        self.name, self.version, self.elements = name, version, elements
        self.calculator = calculator

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        """Energy, forces and stress of each crystal."""
        evaluations = []
        for atoms in crystals:
            copy = atoms.copy()  # so that the caller's atoms keep their own calculator
            copy.calc = self.calculator
            energy = float(copy.get_potential_energy())  # eV of the cell
            forces = np.asarray(copy.get_forces(), dtype=float)  # (n, 3), eV/angstrom
            stress = np.asarray(copy.get_stress(voigt=False), dtype=float)  # (3, 3), eV/angstrom^3
            evaluations.append(Evaluation(energy, forces, stress, None))
        return evaluations
