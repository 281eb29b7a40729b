"""The search of `witness_kernel` in plain Python, for formulas that do not fit there and where numba is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_SUMS = 200_000
"""Charges that are kept track of; beyond, no witness is given."""

MAX_SITES = 100_000
"""Sites that are searched, likewise."""


@dataclass(frozen=True)
class Site:
    """Some atoms that share an oxidation state.

    Attributes:
        charges: total charge of the site in each state its element may take, ascending.
        weights: how common each of these is.
        electronegativity: of the element; sites come in ascending order of it.
    """

    charges: Sequence[int]
    weights: Sequence[int]
    electronegativity: float


def best_balanced(sites: Sequence[Site]) -> list[int] | None:
    """Places of the most common states that balance, one a site; None where there are none or too many sums.

    `levels[j]` says for the first `j` sites, below and above the cut, which positive charge is left and how it came.
    """
    # Uncancelled positive charge, in elementary charges, to the best sum of weights and the place of the last state.
    below: dict[int, tuple[int, int]] = {0: (0, -1)}
    above: dict[int, tuple[int, int]] = {0: (0, _FROM_BELOW)}
    levels = [(below, above)]
    # More positive charge than all anions cancel leads nowhere.
    most = min(sum(max(site.charges[-1], 0) for site in sites), -sum(min(site.charges[0], 0) for site in sites))
    for j, site in enumerate(sites):
        below = _step(below, site, lambda charge: charge >= 0, most)
        above = _step(above, site, lambda charge: charge <= 0, most)
        # A cut between these sites passes the Pauling test; equal electronegativities stay on one side.
        if j + 1 == len(sites) or site.electronegativity < sites[j + 1].electronegativity:
            for total, (weight, _) in below.items():
                if total not in above or weight > above[total][0]:
                    above[total] = (weight, _FROM_BELOW)
        if len(below) + len(above) > MAX_SUMS:
            return None
        levels.append((below, above))
    if 0 not in above:
        return None
    # Back from the last site along the choices that led to no charge.
    picked, total, phase = [0] * len(sites), 0, 1
    for j in range(len(sites), 0, -1):
        if phase == 1 and levels[j][1][total][1] == _FROM_BELOW:
            phase = 0
        picked[j - 1] = levels[j][phase][total][1]
        total -= sites[j - 1].charges[picked[j - 1]]
    return picked


def best_nearest(sites: Sequence[Site]) -> tuple[list[int], int] | None:
    """Places of the most common states among those whose total is nearest to zero, and that total; None if too many."""
    reach: dict[int, tuple[int, int]] = {0: (0, -1)}
    levels = [reach]
    for site in sites:
        reach = _step(reach, site, lambda charge: True, None)
        if len(reach) > MAX_SUMS:
            return None
        levels.append(reach)
    # Of +d and -d the more common one, of equals +d, as in the kernel.
    nearest = min(reach, key=lambda total: (abs(total), -reach[total][0], -total))
    picked, total = [0] * len(sites), nearest
    for j in range(len(sites), 0, -1):
        picked[j - 1] = levels[j][total][1]
        total -= sites[j - 1].charges[picked[j - 1]]
    return picked, nearest


_FROM_BELOW = -2


def _step(
    reach: dict[int, tuple[int, int]], site: Site, allowed: Callable[[int], bool], most: int | None
) -> dict[int, tuple[int, int]]:
    fresh: dict[int, tuple[int, int]] = {}
    for place, (charge, weight) in enumerate(zip(site.charges, site.weights, strict=True)):
        if not allowed(charge):
            continue
        for total, (score, _) in reach.items():
            sum_ = total + charge
            if most is not None and not 0 <= sum_ <= most:
                continue
            # Strictly better only: of equals the lower state stays, since states ascend.
            if sum_ not in fresh or score + weight > fresh[sum_][0]:
                fresh[sum_] = (score + weight, place)
    return fresh
