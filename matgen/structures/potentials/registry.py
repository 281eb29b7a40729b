"""Universal interatomic potentials by name: CHGNet in batches, others through their calculators for ASE."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.errors import MissingDependencyError, unknown_name
from matgen.structures.potentials.interface import Evaluation, Potential, known_elements

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class PotentialKind:
    """A potential that can be asked for by name.

    Attributes:
        name: as on the command line.
        module: what has to be installed, as imported.
        extra: the extra of matgen that installs it.
        load: makes it.
    """

    name: str
    module: str
    extra: str
    load: Callable[[], Potential]


class CalculatorPotential:
    """Any calculator of ASE, one crystal after the other; of a potential that learned energies without corrections."""

    corrected = False

    def __init__(self, name: str, version: str, calculator: Any, elements: frozenset[str]) -> None:
        self.name, self.version, self.elements = name, version, elements
        self.calculator = calculator

    def evaluate(self, crystals: list[Atoms]) -> list[Evaluation]:
        """Energy, forces and stress of each crystal."""
        found = []
        for atoms in crystals:
            copy = atoms.copy()
            copy.calc = self.calculator
            energy = float(copy.get_potential_energy())
            forces = np.asarray(copy.get_forces(), dtype=float)
            found.append(Evaluation(energy, forces, np.asarray(copy.get_stress(voigt=False), dtype=float), None))
        return found


def _chgnet() -> Potential:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it greets on standard output
        warnings.simplefilter("ignore")
        from chgnet.model import CHGNet

        from matgen.structures.potentials.chgnet import BatchedCHGNet

        return BatchedCHGNet(CHGNet.load(use_device="cpu", verbose=False))


def _through_ase(name: str, package: str, make: Callable[[], Any], last: int = 89) -> Potential:
    from importlib.metadata import version

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = make()
    return CalculatorPotential(name, version(package), calculator, known_elements(last))


def _mace() -> Potential:
    def make() -> Any:
        from mace.calculators import mace_mp

        return mace_mp(model="medium-mpa-0", device="cpu", default_dtype="float64")

    return _through_ase("mace", "mace-torch", make)


def _sevennet() -> Potential:
    def make() -> Any:
        from sevenn.calculator import SevenNetCalculator

        return SevenNetCalculator("7net-0", device="cpu")

    return _through_ase("sevennet", "sevenn", make)


def _orb() -> Potential:
    def make() -> Any:
        from orb_models.forcefield import pretrained
        from orb_models.forcefield.calculator import ORBCalculator

        return ORBCalculator(pretrained.orb_v3_conservative_inf_mpa(device="cpu"), device="cpu")

    return _through_ase("orb", "orb-models", make)


def _mattersim() -> Potential:
    def make() -> Any:
        from mattersim.forcefield import MatterSimCalculator

        return MatterSimCalculator(device="cpu")

    return _through_ase("mattersim", "mattersim", make)


POTENTIALS: dict[str, PotentialKind] = {
    kind.name: kind
    for kind in (
        PotentialKind("chgnet", "chgnet", "structures", _chgnet),
        PotentialKind("mace", "mace", "mace", _mace),
        PotentialKind("sevennet", "sevenn", "sevennet", _sevennet),
        PotentialKind("orb", "orb_models", "orb", _orb),
        PotentialKind("mattersim", "mattersim", "mattersim", _mattersim),
    )
}
"""The potentials by name. All learned energies that refer to the Materials Project's elements (PBE, PBE+U): CHGNet with
its corrections of 2020 (B. Deng et al., Nat. Mach. Intell. 5, 1031, 2023), the others without, as Matbench Discovery
takes them (J. Riebesell et al., Nat. Mach. Intell. 7, 836, 2025)."""


def load_potential(name: str) -> Potential:
    """A potential by name, with its weights.

    Raises:
        OptionError: the name is unknown.
        MissingDependencyError: its package is not installed.
    """
    if name not in POTENTIALS:
        raise unknown_name("potential", name, POTENTIALS)
    kind = POTENTIALS[name]
    try:
        importlib.import_module(kind.module)
    except ImportError as error:
        raise MissingDependencyError(
            f"the potential {name} needs {error.name or kind.module}: pip install 'matgen[{kind.extra}]'"
        ) from error
    return kind.load()


@lru_cache(maxsize=2)
def shared_potential(name: str) -> Potential:
    """The potential of that name that all work of this process shares; raises as `load_potential` does."""
    return load_potential(name)
