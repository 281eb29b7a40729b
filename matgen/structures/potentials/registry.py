"""Universal interatomic potentials by name: CHGNet and SevenNet in batches, others through their calculators for ASE.

The command line builds its help from these rows, so potentials and heavy packages are imported inside functions.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matgen.errors import MissingDependencyError, unknown_name
from matgen.structures.potentials.interface import MPTRJ_NUMBERS, Potential, symbols_of


@dataclass(frozen=True)
class PotentialKind:
    """A potential that can be asked for by name.

    Attributes:
        name: as on the command line.
        title: as its authors write it, with the weights that are taken.
        module: what has to be installed, as imported.
        package: its name in the package index.
        extra: the extra of matgen that installs it.
        load: makes it, with its weights, from its row.
        numbers: atomic numbers of the elements that it was trained on.
        batched: whether it evaluates several crystals at once.
        corrected: whether its energies carry the Materials Project's corrections of 2020; else they are plain PBE's.
        license: of the package.
        citation: the paper to cite.
    """

    name: str
    title: str
    module: str
    package: str
    extra: str
    load: Callable[[PotentialKind], Potential]
    numbers: frozenset[int]
    license: str
    citation: str
    batched: bool = False
    corrected: bool = False

    @property
    def elements(self) -> frozenset[str]:
        """Symbols of the elements that it was trained on."""
        return symbols_of(self.numbers)


def _chgnet(kind: PotentialKind) -> Potential:
    with contextlib.redirect_stdout(io.StringIO()):  # it greets on standard output
        from chgnet.model import CHGNet

        from matgen.structures.potentials.chgnet import BatchedCHGNet

        return BatchedCHGNet(CHGNet.load(use_device="cpu", verbose=False))


def _sevennet(kind: PotentialKind) -> Potential:
    from importlib.metadata import version

    from matgen.structures.potentials.sevennet import BatchedSevenNet, load_network

    return BatchedSevenNet(kind.name, load_network(kind.name), version(kind.package))


def through_ase(make: Callable[[], Any]) -> Callable[[PotentialKind], Potential]:
    """What loads a potential whose package has a calculator for ASE.

    Args:
        make: makes the calculator, with its weights.
    """

    def load(kind: PotentialKind) -> Potential:
        from importlib.metadata import version

        from matgen.structures.potentials.calculator import CalculatorPotential

        return CalculatorPotential(kind.name, version(kind.package), make(), kind.elements)

    return load


def _mace() -> Any:
    from mace.calculators import mace_mp

    return mace_mp(model="medium-mpa-0", device="cpu", default_dtype="float64")


def _orb() -> Any:
    from orb_models.forcefield import pretrained
    from orb_models.forcefield.calculator import ORBCalculator

    return ORBCalculator(pretrained.orb_v3_conservative_inf_mpa(device="cpu"), device="cpu")


def _mattersim() -> Any:
    from mattersim.forcefield import MatterSimCalculator

    return MatterSimCalculator(device="cpu")


POTENTIALS: dict[str, PotentialKind] = {
    kind.name: kind
    for kind in (
        PotentialKind(
            name="chgnet",
            title="CHGNet 0.3.0",
            module="chgnet",
            package="chgnet",
            extra="structures",
            load=_chgnet,
            numbers=MPTRJ_NUMBERS,
            license="BSD-3-Clause",
            citation="B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023)",
            batched=True,
            corrected=True,
        ),
        PotentialKind(
            name="7net-l3i5",
            title="SevenNet-l3i5",
            module="sevenn",
            package="sevenn",
            extra="structures",
            load=_sevennet,
            numbers=MPTRJ_NUMBERS,
            license="MIT",
            citation="Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024)",
            batched=True,
        ),
        PotentialKind(
            name="7net-0",
            title="SevenNet-0",
            module="sevenn",
            package="sevenn",
            extra="structures",
            load=_sevennet,
            numbers=MPTRJ_NUMBERS,
            license="MIT",
            citation="Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024)",
            batched=True,
        ),
        PotentialKind(
            name="7net-mf-0",
            title="SevenNet-MF-0",
            module="sevenn",
            package="sevenn",
            extra="structures",
            load=_sevennet,
            numbers=MPTRJ_NUMBERS,
            license="MIT",
            citation="J. Kim et al., J. Am. Chem. Soc. 147, 1042 (2025)",
            batched=True,
        ),
        PotentialKind(
            name="mace",
            title="MACE-MPA-0",
            module="mace",
            package="mace-torch",
            extra="mace",
            load=through_ase(_mace),
            numbers=MPTRJ_NUMBERS,
            license="MIT",
            citation="I. Batatia et al., arXiv:2401.00096 (2024)",
        ),
        PotentialKind(
            name="orb",
            title="Orb v3",
            module="orb_models",
            package="orb-models",
            extra="orb",
            load=through_ase(_orb),
            numbers=MPTRJ_NUMBERS,
            license="Apache-2.0",
            citation="B. Rhodes et al., arXiv:2504.06231 (2025)",
        ),
        PotentialKind(
            name="mattersim",
            title="MatterSim v1",
            module="mattersim",
            package="mattersim",
            extra="mattersim",
            load=through_ase(_mattersim),
            numbers=frozenset(range(1, 90)),
            license="MIT",
            citation="H. Yang et al., arXiv:2405.04967 (2024)",
        ),
    )
}
"""The potentials by name. All learned energies that refer to the Materials Project's elements (PBE, PBE+U): CHGNet with
its corrections of 2020, the others without, as Matbench Discovery takes them (J. Riebesell et al., Nat. Mach. Intell.
7, 836, 2025)."""


FINISHING = "7net-l3i5"
"""The potential that by default relaxes the lowest structures further, where its package is installed."""

FORMER_NAMES = {"sevennet": "7net-0"}
"""What a potential was called in the release before, by which it is found for one more."""


def present_name(name: str) -> str:
    """The name of a potential in `POTENTIALS`, by that or by its former name.

    Raises:
        OptionError: the name is unknown.
    """
    name = FORMER_NAMES.get(name, name)
    if name not in POTENTIALS:
        raise unknown_name("potential", name, POTENTIALS)
    return name


def column_suffix(name: str) -> str:
    """How the columns of a potential end: `7net_l3i5` for `7net-l3i5`."""
    return name.replace("-", "_")


def load_potential(name: str) -> Potential:
    """A potential by name, with its weights.

    Raises:
        OptionError: the name is unknown.
        MissingDependencyError: its package is not installed.
    """
    kind = POTENTIALS[present_name(name)]
    try:
        importlib.import_module(kind.module)
    except ImportError as error:
        raise MissingDependencyError(
            f"the potential {kind.name} needs {error.name or kind.module}: pip install 'matgen[{kind.extra}]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that deprecate each other
        return kind.load(kind)


@lru_cache(maxsize=3)
def shared_potential(name: str) -> Potential:
    """The potential of that name that all work of this process shares; raises as `load_potential` does."""
    return load_potential(name)
