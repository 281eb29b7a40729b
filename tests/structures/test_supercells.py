from __future__ import annotations

import itertools
from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from matgen.structures import supercells
from matgen.structures.supercells import (
    Placement,
    arrangements,
    canonical,
    degeneracy,
    shortest_vector,
    spread,
    supercell,
)
from matgen.structures.symmetry import site_permutations, symmetry_operations
from tests.structures.conftest import CRYSTALS, salt

PEROVSKITE = CRYSTALS["perovskite"]
WURTZITE = Structure.from_spacegroup(
    "P6_3mc", Lattice.hexagonal(3.19, 5.19), ["Ga", "N"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]]
)
CELLS = {
    "perovskite": (PEROVSKITE, 8),
    "perovskite, not cubic": (PEROVSKITE, 6),
    "rock salt": (salt(), 8),
    "wurtzite": (WURTZITE, 4),
}


def sites_of(structure: Structure, symbol: str) -> list[int]:
    return [place for place, site in enumerate(structure) if site.specie.symbol == symbol]


def no_matter(placement: Placement) -> float:
    return 0.0


def every_placement(sites: list[list[int]], counts: tuple[int, ...]) -> list[Placement]:
    """All placements, one by one."""
    chosen = itertools.product(*(itertools.combinations(own, count) for own, count in zip(sites, counts, strict=True)))
    return [placement for placement in chosen if len({x for taken in placement for x in taken}) == sum(counts)]


def orbits_one_by_one(group: np.ndarray, placements: list[Placement]) -> list[set[Placement]]:
    """Orbits by applying every operation to every placement."""
    left, orbits = set(placements), []
    while left:
        one = next(iter(left))
        orbit = {tuple(tuple(sorted(int(g[x]) for x in taken)) for taken in one) for g in group}
        orbits.append(orbit)
        left -= orbit
    return orbits


def burnside(group: np.ndarray, sites: list[list[int]], counts: tuple[int, ...]) -> int:
    """Orbits of placements on disjoint sets of sites: the mean number of placements that an operation leaves alone."""
    total = 0
    for g in group:
        fixed = 1
        for own, count in zip(sites, counts, strict=True):
            ways, seen = [1] + [0] * count, set()
            for start in own:  # each cycle is taken whole or not at all
                length, x = 0, start
                while x not in seen:
                    seen.add(x)
                    length, x = length + 1, int(g[x])
                if length:
                    ways = [ways[k] + (ways[k - length] if k >= length else 0) for k in range(count + 1)]
            fixed *= ways[count]
        total += fixed
    assert total % len(group) == 0
    return total // len(group)


def test_supercells_are_near_to_cubes() -> None:
    made = supercell(PEROVSKITE, 8)
    assert len(made) == 40
    assert made.lattice.abc == pytest.approx([2 * PEROVSKITE.lattice.a] * 3)
    assert made.lattice.angles == pytest.approx([90] * 3)
    assert shortest_vector(made) == pytest.approx(2 * PEROVSKITE.lattice.a)
    conventional = supercell(salt(), 4)
    assert conventional.volume == pytest.approx(4 * salt().volume)
    assert supercell(salt(), 32).lattice.abc == pytest.approx([11.4] * 3)  # twice the cube of rock salt
    assert supercell(salt(), 1) == salt()


def permutations_of(structure: Structure) -> np.ndarray:
    operations = symmetry_operations(structure)
    assert operations is not None
    return site_permutations(structure, operations)


@pytest.mark.parametrize("name", CELLS)
def test_supercells_hold_the_same_crystal(name: str) -> None:
    cell, n = CELLS[name]
    made = supercell(cell, n)
    assert made.composition == cell.composition * n
    assert made.volume == pytest.approx(cell.volume * n)
    assert np.linalg.det(made.lattice.matrix) * np.linalg.det(cell.lattice.matrix) > 0
    one, other = (sorted(s.get_neighbors(s[0], 6.0), key=lambda x: x.nn_distance) for s in (cell, made))
    assert [x.nn_distance for x in one] == pytest.approx([x.nn_distance for x in other])


@pytest.mark.parametrize("name", CELLS)
def test_permutations_are_the_space_group(name: str) -> None:
    made = supercell(*CELLS[name])
    group = permutations_of(made)
    distances, numbers = made.distance_matrix, np.array(made.atomic_numbers)
    for g in group:
        assert (numbers[g] == numbers).all()
        assert distances[np.ix_(g, g)] == pytest.approx(distances, abs=1e-6)
    rows = {tuple(g) for g in group.tolist()}
    assert tuple(range(len(made))) in rows
    assert {tuple(one[other].tolist()) for one in group[:12] for other in group} <= rows
    # every site of an element is equivalent in these crystals
    assert {int(x) for x in group[:, 0]} == set(sites_of(made, made[0].specie.symbol))


def test_a_cubic_supercell_has_all_operations() -> None:
    assert len(permutations_of(supercell(PEROVSKITE, 8))) == 48 * 8
    assert len(permutations_of(supercell(salt(), 32))) == 48 * 32


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_arrangements_are_those_of_going_through_all(name: str, count: int) -> None:
    made = supercell(*CELLS[name])
    group, sites = permutations_of(made), sites_of(made, made[0].specie.symbol)
    found = arrangements(group, [sites], [count], no_matter)
    assert found.complete
    orbits = orbits_one_by_one(group, every_placement([sites], (count,)))
    assert sorted(found.placements) == sorted(min(orbit) for orbit in orbits)
    assert len(orbits) == burnside(group, [sites], (count,))
    assert Counter(degeneracy(group, one) for one in found.placements) == Counter(map(len, orbits))


@pytest.mark.parametrize(("symbols", "counts"), [(("Sr", "O"), (2, 1)), (("Ti", "Sr"), (2, 2)), (("Sr", "Sr"), (2, 1))])
def test_dopants_and_vacancies(symbols: tuple[str, str], counts: tuple[int, int]) -> None:
    made = supercell(PEROVSKITE, 8)
    group, sites = permutations_of(made), [sites_of(made, symbol) for symbol in symbols]
    found = arrangements(group, sites, counts, no_matter)
    orbits = orbits_one_by_one(group, every_placement(sites, counts))
    assert sorted(found.placements) == sorted(min(orbit) for orbit in orbits)
    if symbols[0] != symbols[1]:
        assert len(orbits) == burnside(group, sites, counts)


@pytest.mark.parametrize("count", [4, 6])
def test_counts_of_many_by_burnside(count: int) -> None:
    made = supercell(salt(), 32)
    group, sites = permutations_of(made), sites_of(made, "Na")
    found = arrangements(group, [sites], [count], no_matter)
    if found.complete:
        assert len(found.placements) == burnside(group, [sites], (count,))
        assert sum(degeneracy(group, one) for one in found.placements) == comb(32, count)
    else:
        assert burnside(group, [sites], (count,)) > supercells.MOST_ORBITS == len(found.placements)


@st.composite
def groups(draw: st.DrawFn) -> np.ndarray:
    """A permutation group of up to seven sites, from one or two generators."""
    n = draw(st.integers(2, 7))
    generators = draw(st.lists(st.permutations(range(n)), min_size=1, max_size=2))
    rows, new = {tuple(range(n))}, [tuple(range(n))]
    while new:
        new = [r for g in generators for one in new if (r := tuple(g[x] for x in one)) not in rows and not rows.add(r)]
    return np.array(sorted(rows))


@settings(max_examples=40, deadline=None)
@given(groups(), st.data())
def test_orbits_of_any_group(group: np.ndarray, data: st.DataObject) -> None:
    n = group.shape[1]
    count = data.draw(st.integers(0, n))
    sites = [list(range(n))]
    found = arrangements(group, sites, [count], no_matter)
    assert len(found.placements) == burnside(group, sites, (count,))
    assert sum(degeneracy(group, one) for one in found.placements) == comb(n, count)
    for placement in every_placement(sites, (count,)):
        g = group[data.draw(st.integers(0, len(group) - 1))]
        image = (tuple(sorted(int(g[x]) for x in placement[0])),)
        assert canonical(group, placement) == canonical(group, image) in found.placements


def test_spread_takes_both_ends() -> None:
    placements: list[Placement] = [((x,),) for x in range(10)]
    by_site = {placement: float(-placement[0][0]) for placement in placements}
    assert spread(placements, 3, by_site.__getitem__) == [((9,),), ((5,),), ((0,),)]
    assert spread(placements, 1, by_site.__getitem__) == [((9,),)]
    assert spread(placements[:2], 5, by_site.__getitem__) == [((1,),), ((0,),)]


def test_too_many_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supercells, "MOST_ORBITS", 2)
    made = supercell(PEROVSKITE, 8)
    found = arrangements(permutations_of(made), [sites_of(made, "O")], [2], no_matter)
    assert not found.complete
    assert len(found.placements) == 2
