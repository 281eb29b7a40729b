"""Crystals from the closings of a formula: for compositions that no known structure fits, or fits too seldom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from matgen.errors import StructureError
from matgen.structures.assignment import ions_of
from matgen.structures.crystals import crystal_on
from matgen.structures.reasons import Ion
from matgen.structures.volume import composition_volume
from matgen.structures.wyckoff import N_SPACE_GROUPS, Closings, Placement, in_words, space_group
from matgen.structures.wyckoff_rates import role, site_statistics

if TYPE_CHECKING:
    from pymatgen.core import Structure

MULTIPLES = (1, 2, 3, 4, 6, 8)
"""Formula units in a primitive cell."""
_DRAWS = 12  # closings drawn for a structure that is wanted at most


@dataclass(frozen=True, eq=False)
class SymmetricStructure:
    """A structure made from a closing.

    Attributes:
        structure: in its primitive cell at a predicted volume.
        closing: space group and positions, such as `space group 62, 4a 4c 8d`.
        probability: of the closing among all of the composition, by how often known crystals occupy such sites.
    """

    structure: Structure
    closing: str
    probability: float


class ClosingsOfFormula:
    """The closings of a formula in all space groups, for any number of formula units, and their probabilities.

    A closing's weight is the probability of its space group among known crystals, times that of its orbits where each
    element takes `n` orbits of a position by a Poisson distribution of the rate in `SiteStatistics`.

    Args:
        counts: atoms of each element in a formula unit, `(k,)`.
        roles: of each element in `wyckoff_rates.ROLES`, `(k,)`.
        max_atoms: of the primitive cell at most.
        space_groups: numbers of those allowed; all without any.
    """

    def __init__(
        self, counts: Sequence[int], roles: Sequence[int], max_atoms: int, space_groups: Sequence[int] = ()
    ) -> None:
        statistics = site_statistics()
        self.cells: list[tuple[Closings, float]] = []
        for number in space_groups or range(1, N_SPACE_GROUPS + 1):
            group = space_group(number)
            rates = statistics.rates(group.positions, roles)
            prior = float(statistics.groups[number - 1] * np.exp(-rates.sum()))
            for multiple in MULTIPLES:
                if multiple * sum(counts) > max_atoms:
                    break
                closings = Closings(group, [multiple * count for count in counts], rates)
                if closings.total:
                    self.cells.append((closings, prior))
        weights = np.array([closings.total * prior for closings, prior in self.cells])
        self.total = float(weights.sum())
        self.probabilities = weights / self.total if self.cells else weights

    def sample(self, generator: np.random.Generator) -> tuple[Closings, Placement, float]:
        """Closings of a space group and number of formula units, one of them, and its probability among all."""
        closings, prior = self.cells[int(generator.choice(len(self.cells), p=self.probabilities))]
        placement = closings.sample(generator)
        return closings, placement, prior * closings.weight(placement) / self.total


@lru_cache(maxsize=256)
def closings_of(
    counts: tuple[int, ...], roles: tuple[int, ...], max_atoms: int, space_groups: tuple[int, ...]
) -> ClosingsOfFormula:
    """`ClosingsOfFormula`, kept: compositions of one anonymous formula and equal roles share it."""
    return ClosingsOfFormula(counts, roles, max_atoms, space_groups)


def symmetric_structures(
    counts: dict[str, int], n: int, *, max_atoms: int, seed: int = 0, space_groups: tuple[int, ...] = ()
) -> list[SymmetricStructure]:
    """Structures of a composition from closings drawn by their probability, the likeliest first.

    Args:
        counts: atoms of each element in a formula unit.
        n: how many.
        max_atoms: of a primitive cell at most.
        seed: the same seed gives the same structures.
        space_groups: numbers of those allowed; all without any.

    Raises:
        StructureError: one formula unit has too many atoms, no space group allowed can hold the composition, or atoms
            come too close in all that were drawn.
    """
    ordered = dict(sorted(counts.items(), key=lambda entry: (entry[1], entry[0])))
    size = sum(ordered.values())
    if size > max_atoms:
        raise StructureError(f"its {size} atoms are more than the {max_atoms} a primitive cell may have")
    (described,) = ions_of(["".join(f"{symbol}{count}" for symbol, count in ordered.items())])
    ions = [described[symbol] for symbol in ordered]
    closings = closings_of(tuple(ordered.values()), tuple(map(role, ions)), max_atoms, space_groups)
    if not closings.cells:
        raise StructureError(f"no space group asked for can hold its {size} atoms in at most {max_atoms}")
    generator = np.random.default_rng(
        [seed, *(sum(map(ord, symbol)) * 1000 + count for symbol, count in ordered.items())]
    )
    made = _drawn(closings, ions, composition_volume(ordered) / size, n, generator)
    if not made:
        raise StructureError(f"atoms come too close in all of {_DRAWS * n} symmetric cells")
    return sorted(made, key=lambda one: -one.probability)


def _drawn(closings: ClosingsOfFormula, ions: list[Ion], volume: float, n: int, generator: np.random.Generator
           ) -> list[SymmetricStructure]:  # fmt: skip
    """Up to `n` structures of different closings; `volume` is that of an atom, angstrom^3."""
    made: list[SymmetricStructure] = []
    tried: set[tuple[str, tuple[int, ...]]] = set()
    for _ in range(_DRAWS * n):
        of_cell, placement, probability = closings.sample(generator)
        words = in_words(of_cell.group, placement)
        if (words, of_cell.atoms) in tried:
            continue
        tried.add((words, of_cell.atoms))
        crystal = crystal_on(of_cell.group, placement, ions, volume * sum(of_cell.atoms), generator)
        if crystal is not None:
            made.append(SymmetricStructure(crystal[0], words, probability))
        if len(made) == n:
            break
    return made
