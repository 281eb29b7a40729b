"""How often space groups and their sites are occupied in known crystals: what makes a closing of a formula likely."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from matgen.structures.assignment import ions_of
from matgen.structures.reasons import Ion
from matgen.structures.templates import Template, bundled_templates
from matgen.structures.wyckoff import LETTERS, N_SPACE_GROUPS, Position, space_group

ROLES = ("cation", "anion", "neutral")
"""What an element is in a compound, by the sign of its oxidation state."""

GROUP_SMOOTHING = 0.5
SITE_SMOOTHING = 5.0


def role(ion: Ion) -> int:
    """Place in `ROLES` of an element as it stands in a compound."""
    if not ion.state:
        return 2
    return 0 if ion.state > 0 else 1


@dataclass(frozen=True, eq=False)
class SiteStatistics:
    """Occupation of the sites of known crystals, with additive smoothing.

    Attributes:
        groups: probability of each space group, `(230,)`: `(n + 0.5) / (N + 230 * 0.5)`, `n` of `N` crystals.
        sites: expected orbits of an element on a position by the point group of its sites and its free coordinates, for
            each of `ROLES`, `(3,)`: `(n + 5 r) / (m + 5)`, where `n` orbits stand on the `m` positions of that kind
            that the crystals' space groups offer to their elements, and `r` is the same ratio of all kinds of so many
            free coordinates.
        freedoms: these ratios `r`, `(4, 3)`.
    """

    groups: NDArray[np.float64]
    sites: dict[tuple[str, int], NDArray[np.float64]]
    freedoms: NDArray[np.float64]

    def rates(self, positions: Iterable[Position], roles: Sequence[int]) -> NDArray[np.float64]:
        """Expected orbits of elements of some roles on positions, `(positions, k)`."""
        rows = [self.sites.get((one.symmetry, one.freedom), self.freedoms[one.freedom])[list(roles)]
                for one in positions]  # fmt: skip
        return np.array(rows).reshape(-1, len(roles))


def site_statistics_of(templates: Sequence[Template]) -> SiteStatistics:
    """Statistics of some crystals; those of equal compound and prototype count once."""
    distinct = list({(template.formula, template.prototype): template for template in templates}.values())
    names = sorted({template.formula for template in distinct})
    ions = dict(zip(names, ions_of(names), strict=True))
    groups = np.full(N_SPACE_GROUPS, GROUP_SMOOTHING)
    held: dict[tuple[str, int], NDArray[np.float64]] = {}
    offered: dict[tuple[str, int], NDArray[np.float64]] = {}
    for template in distinct:
        groups[template.space_group - 1] += 1
        positions = space_group(template.space_group).positions
        for symbol, orbits in zip(sorted(template.counts), orbits_of(template.prototype), strict=True):
            place = role(ions[template.formula][symbol])
            for position, n in zip(positions, orbits, strict=False):
                kind = (position.symmetry, position.freedom)
                held.setdefault(kind, np.zeros(3))[place] += n
                offered.setdefault(kind, np.zeros(3))[place] += 1
    freedoms = np.array([
        sum((value for kind, value in held.items() if kind[1] == freedom), np.full(3, 0.1))
        / sum((value for kind, value in offered.items() if kind[1] == freedom), np.ones(3))
        for freedom in range(4)
    ])  # fmt: skip
    sites = {
        kind: (value + SITE_SMOOTHING * freedoms[kind[1]]) / (offered[kind] + SITE_SMOOTHING)
        for kind, value in held.items()
    }
    return SiteStatistics(groups / groups.sum(), sites, freedoms)


@lru_cache(maxsize=1)
def site_statistics() -> SiteStatistics:
    """Statistics of the bundled crystals."""
    return site_statistics_of(bundled_templates().templates)


def orbits_of(prototype: str) -> NDArray[np.int64]:
    """Orbits of each element, alphabetically, on each position by letter, from AFLOW's label, `(k, 27)`."""
    parts = prototype.split("_")[3:]
    orbits = np.zeros((len(parts), len(LETTERS)), dtype=np.int64)
    for row, part in enumerate(parts):
        for n, letter in re.findall(r"(\d*)([a-zA])", part):
            orbits[row, LETTERS.index(letter)] += int(n or 1)
    return orbits
