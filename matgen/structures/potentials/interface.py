"""What relaxation asks of an interatomic potential, and what one says of a crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from matgen.composition.elements import SYMBOLS

if TYPE_CHECKING:
    from ase import Atoms


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


def known_elements(last: int) -> frozenset[str]:
    """Symbols of the elements up to an atomic number."""
    return frozenset(str(symbol) for symbol in SYMBOLS[1 : last + 1])
