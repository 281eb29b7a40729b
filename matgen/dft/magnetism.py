"""Initial magnetic moments, and values of U in oxides and fluorides, by the Materials Project's sets of inputs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core import Structure

DEFAULT_MOMENTS = "no moments are predicted: calculated from ferromagnetic ones, those of pymatgen's MPRelaxSet"
"""Remark on a calculation that begins with default moments."""

NET_SHARE = 0.05
"""Share of the sum of moments below which a net moment is none, as of sublattices that are not quite alike."""

_WIDTHS = (0.5, 1.0, 2.0, float("inf"))
"""Bohr magnetons within which moments of an element count as like, the finest first."""


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


@lru_cache(maxsize=1)
def _default_moments() -> dict[str, float]:
    """Moment of each element that the set has magnetic, of rare earths that of their trivalent ion."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    table = MPRelaxSet.CONFIG["INCAR"]["MAGMOM"]
    trivalent = {name.removesuffix("3+"): float(moment) for name, moment in table.items() if name.endswith("3+")}
    return trivalent | {name: float(moment) for name, moment in table.items() if not name.endswith("+")}


def default_moments(structure: Structure) -> list[float] | None:
    """Ferromagnetic initial moments of a structure's atoms, Bohr magnetons; None where no element is magnetic.

    Those of pymatgen's MPRelaxSet, but 0 for atoms that it gives 0.6 because it does not list their elements.
    """
    table = _default_moments()
    moments = [table.get(site.specie.symbol, 0.0) for site in structure]
    return moments if any(moments) else None


def order_name(moments: Sequence[float] | None) -> str:
    """`nonmagnetic`, `ferromagnetic`, `antiferromagnetic` or `ferrimagnetic`, by the signs of moments.

    Opposite moments of which less than `NET_SHARE` of all is left over count as antiferromagnetic.

    Args:
        moments: of a cell's atoms, Bohr magnetons; None for no magnetism.
    """
    if moments is None or not any(moments):
        return "nonmagnetic"
    if min(moments) >= 0 or max(moments) <= 0:
        return "ferromagnetic"
    left = abs(sum(moments)) / sum(abs(moment) for moment in moments)
    return "antiferromagnetic" if left < NET_SHARE else "ferrimagnetic"


def merge_moments(symbols: Sequence[str], moments: Sequence[float], most: int = 10) -> list[float]:
    """Moments of which like ones of an element are replaced by their mean, so that at most so many species are left.

    A code that has one species for each element and moment has room for few of them (pw.x: 10). The finest of
    `_WIDTHS` that suffices is taken; signs always stay.

    Args:
        symbols: of `n` atoms.
        moments: theirs, Bohr magnetons.
        most: species that there is room for.
    """
    merged = list(moments)
    for width in _WIDTHS:
        groups: dict[tuple[str, int, int], list[int]] = {}
        for place, (symbol, moment) in enumerate(zip(symbols, moments, strict=True)):
            sign = (moment > 0) - (moment < 0)
            groups.setdefault((symbol, sign, 0 if width == float("inf") else round(moment / width)), []).append(place)
        for places in groups.values():
            mean = sum(moments[place] for place in places) / len(places)
            for place in places:
                merged[place] = mean
        if len(groups) <= most:
            break
    return merged
