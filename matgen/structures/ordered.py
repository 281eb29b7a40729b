"""Ordered derivatives of templates: several elements of a composition share the sites of one element of a template.

A double perovskite is a perovskite whose octahedra hold two elements in order, an elpasolite is one of `ABX3`. Sites
are shared by elements of like charge, in the template's cell or the smallest supercell that holds the formula, by the
order of most symmetry and by that which keeps like atoms farthest apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, gcd, prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from matgen.structures.assignment import Assignment
from matgen.structures.reasons import Ion
from matgen.structures.volume import at_predicted_volume, composition_volume

if TYPE_CHECKING:
    from pymatgen.core import Structure

MOST_MULTIPLE = 4
"""Primitive cells of a template in a supercell at most."""
_MOST_LISTED = 2_000  # orders of a cell up to which all are listed; beyond, so many symmetric ones are drawn
_MOST_CELLS = 14  # supercells of a template that are tried, the most compact first
_MOST_MERGERS = 3


@dataclass(frozen=True)
class Merger:
    """Elements of a composition that stand for one another.

    Attributes:
        groups: the elements of each group; the first stands for it.
        counts: atoms of each group, by the element that stands for it.
        ions: what stands for each group: its first element, with the group's mean state and radius.
        distance: how unlike merged elements are: differences of logarithms of radii plus 0.2 for each unit of charge.
    """

    groups: tuple[tuple[str, ...], ...]
    counts: dict[str, int]
    ions: dict[str, Ion]
    distance: float


def mergers(counts: dict[str, int], ions: dict[str, Ion]) -> list[Merger]:
    """All ways to merge elements of like charge into fewer, up to three fewer, the most alike first."""
    groups: list[tuple[tuple[str, ...], ...]] = [tuple((symbol,) for symbol in sorted(counts))]
    found: dict[tuple[tuple[str, ...], ...], Merger] = {}
    for _ in range(_MOST_MERGERS):
        groups = sorted({merged for one in groups for merged in _merged(one, ions)})
        for one in groups:
            found[one] = _merger(one, counts, ions)
    return sorted(found.values(), key=lambda merger: (merger.distance, merger.groups))


def _merged(groups: tuple[tuple[str, ...], ...], ions: dict[str, Ion]) -> Iterator[tuple[tuple[str, ...], ...]]:
    """The groups with two of like charge joined, in each way."""
    for i, j in itertools.combinations(range(len(groups)), 2):
        if _sign(ions[groups[i][0]]) == _sign(ions[groups[j][0]]):
            kept = [group for place, group in enumerate(groups) if place not in (i, j)]
            yield tuple(sorted([*kept, tuple(sorted(groups[i] + groups[j]))]))


def _sign(ion: Ion) -> int:
    return int(np.sign(ion.state or 0))


def _merger(groups: tuple[tuple[str, ...], ...], counts: dict[str, int], ions: dict[str, Ion]) -> Merger:
    named, total, distance = {}, {}, 0.0
    ordered = []
    for group in groups:
        members = sorted(group, key=lambda symbol: (-counts[symbol], symbol))
        ordered.append(tuple(members))
        atoms = sum(counts[symbol] for symbol in members)
        known = [ions[symbol] for symbol in members]
        states = [ion.state or 0.0 for ion in known]
        state = sum(counts[ion.symbol] * value for ion, value in zip(known, states, strict=True)) / atoms
        radius = sum(counts[ion.symbol] * ion.radius for ion in known) / atoms
        named[members[0]] = Ion(members[0], None if known[0].state is None else state, radius)
        total[members[0]] = atoms
        for a, b in itertools.pairwise(known):
            distance += abs(np.log(a.radius / b.radius)) + 0.2 * abs((a.state or 0) - (b.state or 0))
    return Merger(tuple(ordered), total, named, float(distance))


def cells_needed(n_atoms: int, size: int, max_atoms: int) -> int:
    """Primitive cells of a template that hold whole formula units of a composition; 0 where too many are needed.

    Args:
        n_atoms: of the template's cell.
        size: atoms of the composition's formula unit.
        max_atoms: of the supercell at most.
    """
    multiple = size // gcd(n_atoms, size)
    return multiple if multiple <= MOST_MULTIPLE and multiple * n_atoms <= max_atoms else 0


def ordered_structures(
    assignment: Assignment, merger: Merger, counts: dict[str, int], max_atoms: int, seed: int = 0
) -> list[Structure]:
    """Structures of a composition on a template of the merged one, at a predicted volume: one or two.

    Args:
        assignment: of the merged composition to a template.
        merger: what was merged.
        counts: atoms of each element in a formula unit.
        max_atoms: of the supercell at most.
        seed: of the orders that are drawn where there are too many to list.
    """
    template, size = assignment.template, sum(counts.values())
    multiple = cells_needed(template.n_atoms, size, max_atoms)
    if not multiple:
        return []
    merged = template.structure()
    merged.replace_species(assignment.mapping)
    units = multiple * template.n_atoms // size
    share = {group[0]: [(symbol, units * counts[symbol]) for symbol in group] for group in merger.groups}
    orders = []
    for cell in superlattices(multiple)[:_MOST_CELLS]:
        parent = merged.copy()
        parent.make_supercell(cell)
        orders += [(symmetry, apart, parent, coloring) for symmetry, apart, coloring in _orders(parent, share, seed)]
    if not orders:
        return []
    chosen = [max(orders, key=lambda order: (order[0], -order[1])), min(orders, key=lambda order: order[1])]
    atomic_volume = composition_volume(template.counts) / template.n_atoms
    return [at_predicted_volume(_colored(parent, coloring), atomic_volume)
            for _, _, parent, coloring in chosen[: 1 if chosen[0] is chosen[1] else 2]]  # fmt: skip


def _colored(parent: Structure, symbols: Sequence[str]) -> Structure:
    from pymatgen.core import Structure

    return Structure(parent.lattice, list(symbols), parent.frac_coords).get_reduced_structure()


@lru_cache(maxsize=MOST_MULTIPLE)
def superlattices(multiple: int) -> list[NDArray[np.int64]]:
    """Hermite normal forms of a determinant, the most compact in a cubic cell first; vectors as rows, `(3, 3)`."""
    forms = []
    for a in range(1, multiple + 1):
        for b in range(1, multiple // a + 1):
            if multiple % (a * b):
                continue
            c = multiple // (a * b)
            for d, e, f in itertools.product(range(b), range(c), range(c)):
                forms.append(np.array([[a, d, e], [0, b, f], [0, 0, c]]))
    return sorted(forms, key=lambda form: (float(np.abs(np.linalg.inv(form)).sum(axis=0).max()), form.tolist()))


def _orders(parent: Structure, share: dict[str, list[tuple[str, int]]], seed: int
            ) -> Iterator[tuple[int, float, list[str]]]:  # fmt: skip
    """Orders of a parent's shared sites: operations that keep it, how near like atoms are, the symbol of each site."""
    species = np.array([site.specie.symbol for site in parent], dtype=object)
    permutations = _permutations(parent)
    slots = [(np.flatnonzero(species == name), parts) for name, parts in share.items()]
    colors = {symbol: number for number, symbol in enumerate(sorted({s for _, parts in slots for s, _ in parts}))}
    number = prod(_multinomial([n for _, n in parts]) for _, parts in slots)
    colorings = (
        _all(len(species), slots, colors) if number <= _MOST_LISTED else _drawn(slots, colors, permutations, seed)
    )
    if not len(colorings):
        return
    kept = np.zeros(len(colorings), dtype=np.int64)
    for permutation in permutations:
        kept += (colorings[:, permutation] == colorings).all(axis=1)
    distances = parent.distance_matrix
    near = np.where(distances > 0.1, 1 / np.maximum(distances, 0.1) ** 3, 0.0)
    shared = np.concatenate([sites for sites, parts in slots if len(parts) > 1])
    near = near[np.ix_(shared, shared)]
    names = sorted(colors)
    best = sorted(range(len(colorings)), key=lambda row: -kept[row])[:40]
    for row in best:
        like = colorings[row, shared]
        yield int(kept[row]), float((near * (like[:, None] == like[None, :])).sum()), [names[c] for c in colorings[row]]


def _multinomial(parts: Sequence[int]) -> int:
    return prod(comb(sum(parts[: place + 1]), n) for place, n in enumerate(parts))


def _permutations(structure: Structure) -> NDArray[np.int64]:
    """Where each operation of a structure's space group takes its sites, `(m, n)`."""
    import spglib

    places = structure.frac_coords
    cell = (structure.lattice.matrix, places, [site.specie.Z for site in structure])
    found = spglib.get_symmetry(cell, symprec=0.01)
    if found is None:
        return np.arange(len(places))[None]
    moved = np.einsum("mij,nj->mni", found["rotations"], places) + found["translations"][:, None]
    apart = moved[:, :, None] - places[None, None]
    apart = ((apart - np.rint(apart)) @ structure.lattice.matrix) ** 2
    return np.asarray(apart.sum(axis=-1).argmin(axis=-1))


_Slots = Sequence[tuple[NDArray[np.int64], list[tuple[str, int]]]]


def _all(n_sites: int, slots: _Slots, colors: dict[str, int]) -> NDArray[np.int8]:
    """Every order, `(m, n)`."""
    colorings = np.zeros((1, n_sites), dtype=np.int8)
    for sites, parts in slots:
        ways = np.array(list(_ways(len(sites), [(colors[symbol], n) for symbol, n in parts])), dtype=np.int8)
        colorings = np.repeat(colorings, len(ways), axis=0)
        colorings[:, sites] = np.tile(ways, (len(colorings) // len(ways), 1))
    return colorings


def _ways(n_sites: int, parts: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Every way to give some sites their colors."""
    (color, n), *others = parts
    if not others:
        yield [color] * n_sites
        return
    for chosen in itertools.combinations(range(n_sites), n):
        for rest in _ways(n_sites - n, others):
            left = iter(rest)
            yield [color if place in chosen else next(left) for place in range(n_sites)]


def _drawn(slots: _Slots, colors: dict[str, int], permutations: NDArray[np.int64], seed: int) -> NDArray[np.int8]:
    """Orders in which the sites that one or two operations exchange have one color each, distinct, `(m, n)`."""
    generator = np.random.default_rng(seed)
    n_sites = permutations.shape[1]
    found: dict[bytes, NDArray[np.int8]] = {}
    for _ in range(300):
        chosen = permutations[generator.integers(len(permutations), size=generator.integers(1, 3))]
        orbit = _joined(chosen)
        coloring = np.zeros(n_sites, dtype=np.int8)
        if all(_fill(coloring, sites, parts, colors, orbit, generator) for sites, parts in slots):
            found[coloring.tobytes()] = coloring
    return np.array(list(found.values()), dtype=np.int8).reshape(-1, n_sites)


def _joined(permutations: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the orbit of each site under some permutations, `(n,)`."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n_sites = permutations.shape[1]
    rows, columns = np.tile(np.arange(n_sites), len(permutations)), permutations.ravel()
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(n_sites, n_sites))
    return np.asarray(connected_components(graph, directed=False)[1])


def _fill(coloring: NDArray[np.int8], sites: NDArray[np.int64], parts: list[tuple[str, int]], colors: dict[str, int],
          orbit: NDArray[np.int64], generator: np.random.Generator) -> bool:  # fmt: skip
    """Color sites orbit by orbit in a random order; whether the numbers came out."""
    left = {colors[symbol]: n for symbol, n in parts}
    for number in generator.permutation(np.unique(orbit[sites])):
        members = sites[orbit[sites] == number]
        fitting = [color for color, n in left.items() if n >= len(members)]
        if not fitting:
            return False
        color = fitting[int(generator.integers(len(fitting)))]
        coloring[members] = color
        left[color] -= len(members)
    return True
