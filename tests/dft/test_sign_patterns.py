"""Distinct signs against brute force and pymatgen's matcher, sublattices against their known numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import SpeciesComparator, StructureMatcher
from pymatgen.core import Species, Structure

from matgen.dft.sign_patterns import (
    distinct_patterns,
    distinct_supercells,
    hermite_normal_forms,
    lattice_permutations,
    sign_patterns,
    symmetry_of,
    unchanged_by,
)
from matgen.structures.symmetry import site_permutations

from .magnets import MAGNETS


def closure(generators: list[tuple[int, ...]], n: int) -> np.ndarray:
    """The group that permutations generate."""
    group, left = {tuple(range(n))}, [tuple(range(n))]
    while left:
        one = left.pop()
        for other in generators:
            image = tuple(other[place] for place in one)
            if image not in group:
                group.add(image)
                left.append(image)
    return np.array(sorted(group))


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.permutations(range(n)), max_size=2))))
def test_orbits_are_those_of_brute_force(drawn: tuple[int, list[list[int]]]) -> None:
    n, generators = drawn
    group = closure([tuple(one) for one in generators], n)
    orbits = set()
    for signs in product((1, -1), repeat=n):
        images = {tuple(signs[place] for place in one) for one in group.tolist()}
        orbits.add(frozenset(images | {tuple(-sign for sign in image) for image in images}))
    found = [tuple(pattern) for pattern in distinct_patterns(group, n).tolist()]
    assert len(found) == len(orbits) and found[0] == (1,) * n
    assert {next(orbit for orbit in orbits if pattern in orbit) for pattern in found} == orbits


def test_all_signs() -> None:
    assert sign_patterns(1).tolist() == [[1]]
    assert sign_patterns(3).tolist() == [[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1]]


def sites_of(structure: Structure, symbol: str) -> list[int]:
    return [index for index, site in enumerate(structure) if site.specie.symbol == symbol]


@pytest.mark.parametrize(
    ("name", "symbol", "cell"),
    [("Fe2O3", "Fe", (1, 1, 1)), ("LaMnO3", "Mn", (1, 1, 1)), ("Fe3O4", "Fe", (1, 1, 1)), ("MnF2", "Mn", (1, 1, 2)),
     ("NiO", "Ni", (2, 2, 1)), ("KMnF3", "Mn", (1, 2, 2))],
)  # fmt: skip
def test_distinct_signs_are_those_that_pymatgens_matcher_tells_apart(
    name: str, symbol: str, cell: tuple[int, ...]
) -> None:
    structure = MAGNETS[name].copy()
    structure.remove_site_property("magmom")
    structure.make_supercell(cell)
    sites = sites_of(structure, symbol)
    matcher = StructureMatcher(primitive_cell=False, comparator=SpeciesComparator())  # spins are part of a species

    def signed(signs: np.ndarray) -> Structure:
        spins = np.zeros(len(structure))
        spins[sites] = 5.0 * signs
        species = [Species(site.specie.symbol, 0, spin=spin) for site, spin in zip(structure, spins, strict=True)]
        return Structure(structure.lattice, species, structure.frac_coords)

    told_apart: list[Structure] = []
    for signs in sign_patterns(len(sites)):
        if not any(matcher.fit(signed(signs), other) or matcher.fit(signed(-signs), other) for other in told_apart):
            told_apart.append(signed(signs))
    assert len(distinct_patterns(site_permutations(structure, symmetry_of(structure), sites), len(sites))) == len(
        told_apart
    )


@pytest.mark.parametrize(("order", "number"), [(1, 1), (2, 7), (3, 13), (4, 35), (6, 91)])
def test_every_sublattice_once(order: int, number: int) -> None:
    """As many as the sum over divisors says (Hart and Forcade 2008, table I)."""
    forms = list(hermite_normal_forms(order))
    assert len(forms) == number and all(round(np.linalg.det(form)) == order for form in forms)
    for one, other in product(forms, forms):
        same = np.allclose(quotient := one @ np.linalg.inv(other), np.round(quotient), atol=1e-6)
        assert same == (one is other)


@pytest.mark.parametrize(
    ("name", "order", "number"),
    [("NiO", 2, 2), ("Cr", 2, 2), ("KMnF3", 2, 3), ("NiO", 3, 3), ("NiO", 4, 7), ("Cr", 4, 7), ("KMnF3", 3, 3),
     ("KMnF3", 4, 9)],
)  # fmt: skip
def test_sublattices_up_to_the_point_group(name: str, order: int, number: int) -> None:
    """Of cubic lattices as many as G. L. W. Hart and R. W. Forcade, Phys. Rev. B 77, 224115 (2008), table II list."""
    assert len(distinct_supercells(MAGNETS[name], order)) == number


def test_translations_of_the_smaller_cell() -> None:
    cell = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 2]])
    structure = MAGNETS["KMnF3"].make_supercell(cell, in_place=False)
    moves = lattice_permutations(structure, sites_of(structure, "Mn"), cell)
    assert len(moves) == 3 and all((move != np.arange(4)).all() for move in moves)  # no atom stays
    patterns = sign_patterns(4)
    assert unchanged_by(patterns, moves).sum() == 4  # all +, and three that alternate along one direction
    assert len(lattice_permutations(structure, [0], np.eye(3, dtype=np.intp))) == 0
