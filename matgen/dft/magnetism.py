"""Values of U that the Materials Project's sets give transition metals in oxides and fluorides."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymatgen.core import Structure


@lru_cache(maxsize=1)
def _values() -> dict[str, dict[str, float]]:
    from pymatgen.io.vasp.sets import MPRelaxSet

    table = MPRelaxSet.CONFIG["INCAR"]["LDAUU"]
    return {anion: dict(table[anion]) for anion in ("O", "F")}


def hubbard_u(structure: Structure) -> dict[str, float]:
    """Symbol to U, eV, of the elements of a structure that get one, all on d orbitals.

    The values are of A. Jain et al., Phys. Rev. B 84, 045115 (2011), as pymatgen's MPRelaxSet has them; they are
    applied where the most electronegative element is oxygen or fluorine.
    """
    anion = max(structure.composition.elements, key=lambda element: element.X).symbol
    values = _values().get(anion, {})
    return {element.symbol: values[element.symbol] for element in structure.composition.elements
            if values.get(element.symbol)}  # fmt: skip
