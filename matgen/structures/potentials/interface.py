"""What relaxation asks of an interatomic potential, and what one says of a crystal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

MPTRJ_NUMBERS = frozenset((*range(1, 84), *range(89, 95)))
"""Atomic numbers in the Materials Project's relaxations (MPtrj): up to plutonium, without polonium to radium."""


@dataclass(frozen=True)
class Evaluation:
    """What a potential says of one crystal of `n` atoms.

    Attributes:
        energy: eV of the whole cell.
        forces: `(n, 3)`, eV/angstrom.
        stress: `(3, 3)`, eV/angstrom^3, positive under tension as in ASE.
        magnetic_moments: `(n,)`, Bohr magnetons, absolute values; None where the potential has none.
    """

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    magnetic_moments: NDArray[np.float64] | None


class Potential(Protocol):
    """What relaxation asks of a potential."""

    name: str
    version: str
    elements: frozenset[str]
    corrected: bool
    """Whether its energies carry the Materials Project's corrections of 2020; those of others are plain PBE's."""

    def evaluate(self, crystals: list[Atoms]) -> Sequence[Evaluation]:
        """Energy, forces and stress of each crystal."""
        ...


def symbols_of(numbers: Iterable[int]) -> frozenset[str]:
    """Symbols of the elements of some atomic numbers."""
    from matgen.composition.elements import SYMBOLS

    return frozenset(str(SYMBOLS[number]) for number in numbers)
