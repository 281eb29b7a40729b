"""The lowest structures of a composition, relaxed further by a second potential that is more accurate and slower.

The first looks at all proposals, the second at those that are likely to be the ground state; where the two disagree
about a formation energy, at least one of them is far from what it learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pandas as pd

from matgen.errors import OptionError, require_above_zero
from matgen.structures.folder import bare_atoms
from matgen.structures.potentials.registry import FINISHING, POTENTIALS, column_suffix, present_name, shared_potential
from matgen.structures.propose import same_crystals
from matgen.structures.relax import Race, Relaxed, RelaxSettings, relax

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from matgen.structures.potentials.interface import Potential

DISAGREE = 0.1
"""eV/atom: two potentials whose formation energies of a structure differ by more disagree."""


@dataclass(frozen=True)
class Finish:
    """Which structures a second potential relaxes further.

    Attributes:
        potential: its name.
        lowest: structures of each composition, those of the lowest energy by the first potential; of structures that
            are the same crystal only the lowest counts.
        top: compositions, the first ones; 0 means all.
    """

    potential: str = FINISHING
    lowest: int = 2
    top: int = 0

    def __post_init__(self) -> None:
        require_above_zero(self, "lowest")
        if self.top < 0:
            raise OptionError(f"top is {self.top}, it must be 0 (all compositions) or more")
        object.__setattr__(self, "potential", present_name(self.potential))

    @classmethod
    def if_installed(cls, lowest: int = 2, top: int = 0) -> Finish | None:
        """By the default potential, or None where its package is missing."""
        if find_spec(POTENTIALS[FINISHING].module) is None:
            return None
        return cls(lowest=lowest, top=top)

    def takes(self, rank: int) -> bool:
        """Whether the composition in a row of the candidates, from 1, is among the first `top`."""
        return self.top == 0 or rank <= self.top


def finished(screened: Sequence[Relaxed], finish: Finish, settings: RelaxSettings, first: Potential, *,
             race: Race | None = None) -> dict[int, tuple[Relaxed, float]]:  # fmt: skip
    """Relax the lowest distinct crystals of one composition further.

    Args:
        screened: its structures as the first potential relaxed them.
        finish: how many, and by which potential.
        settings: as of the first relaxation.
        first: the potential that relaxed them.
        race: when to stop one of them for the others; None to relax all to their ends.

    Returns:
        by place in `screened` the result (where it failed, its `reason` says why), and the structure's energy by the
        first potential, eV/atom: where that left the structure or, if that is lower, where the second did. A
        difference between the two potentials is then not one between two minima, where the second found a deeper one.
    """
    places = _lowest_distinct(screened, finish.lowest)
    given = [screened[place].structure for place in places]
    results = relax(given, shared_potential(finish.potential), settings, race=race)
    results = [replace(result, structure=_with_moments_of(result.structure, start))
               for result, start in zip(results, given, strict=True)]  # fmt: skip
    return {place: (result, min(screened[place].energy, _energy(result, first)))
            for place, result in zip(places, results, strict=True)}  # fmt: skip


def _energy(result: Relaxed, potential: Potential) -> float:
    """The energy of a relaxed structure by another potential, eV/atom; infinite where there is none."""
    if result.reason:
        return float("inf")
    try:
        energy = potential.evaluate([bare_atoms(result.structure)])[0].energy
    except Exception:  # as in a relaxation, where a potential may fail in ways of its own
        return float("inf")
    return energy / len(result.structure) if math.isfinite(energy) else float("inf")


def _lowest_distinct(screened: Sequence[Relaxed], n: int) -> list[int]:
    """Places of the `n` structures of the lowest energy of which no two are the same crystal."""
    sound = [place for place, result in enumerate(screened) if not result.reason]
    order = sorted(sound, key=lambda place: screened[place].energy)
    crystals: dict[str, Structure] = {str(place): screened[place].structure for place in order}
    matches = same_crystals([0] * len(order), list(crystals), crystals)
    return [place for place, same in zip(order, matches, strict=True) if same is None][:n]


def _with_moments_of(structure: Structure, other: Structure) -> Structure:
    """The structure with the magnetic moments of another with the same sites, where it has none of its own."""
    if "magmom" in structure.site_properties or "magmom" not in other.site_properties:
        return structure
    return structure.copy(site_properties={"magmom": list(other.site_properties["magmom"])})


def agreement(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The table with `potential_spread`, and `potentials_disagree` where that is known.

    Args:
        frame: structures with formation energies by both, eV/atom.
        first: name of a potential.
        second: name of the other.
    """
    one, other = (frame[f"formation_energy_{column_suffix(name)}"] for name in (first, second))
    spread = (one - other).abs()
    disagree = (spread > DISAGREE).astype("boolean").mask(spread.isna())
    return frame.assign(potential_spread=spread, potentials_disagree=disagree)
