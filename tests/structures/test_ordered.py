from __future__ import annotations

import itertools
from collections import Counter
from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from matgen.structures.assignment import Assignment, assign, ions_of
from matgen.structures.ordered import Merger, _joined, _ways, mergers, ordered_structures, superlattices
from matgen.structures.templates import bundled_templates
from tests.structures.conftest import salt

TEMPLATES = {template.id: template for template in bundled_templates().templates}
PEROVSKITE = TEMPLATES["aflow:AB3C_cP5_221_a_c_b"]


def merged(formula: str, *together: str) -> tuple[dict[str, int], Merger]:
    counts = {symbol: int(n) for symbol, n in Composition(formula).as_dict().items()}
    (ions,) = ions_of([formula])
    return counts, next(one for one in mergers(counts, ions) if set(together) in map(set, one.groups))


def assigned(merger: Merger) -> Assignment:
    return assign(merger.counts, merger.ions, PEROVSKITE, ions_of([PEROVSKITE.formula])[0])[0]


def test_a_double_perovskite_is_ordered_as_rock_salt() -> None:
    counts, merger = merged("Sr2FeMoO6", "Fe", "Mo")
    assert merger.counts == {"Fe": 2, "Sr": 2, "O": 6}
    first, *_ = ordered_structures(assigned(merger), merger, counts, max_atoms=10)
    assert first.composition.reduced_formula == "Sr2FeMoO6"
    assert SpacegroupAnalyzer(first).get_space_group_number() == 225
    iron = next(site for site in first if site.specie.symbol == "Fe")
    around = [n.specie.symbol for n in first.get_neighbors(iron, 0.55 * iron.lattice.a * 2**0.5)]
    assert Counter(around)["O"] == 6
    assert ordered_structures(assigned(merger), merger, counts, max_atoms=9) == []


def test_elements_of_unlike_charge_are_not_merged() -> None:
    counts = {"Sr": 2, "Fe": 1, "Mo": 1, "O": 5, "F": 1}
    (ions,) = ions_of(["Sr2FeMoO5F"])
    every = mergers(counts, ions)
    for one in every:
        assert all(len({np.sign(ions[symbol].state) for symbol in group}) == 1 for group in one.groups)
        assert sum(one.counts.values()) == 10
        assert sorted(itertools.chain(*one.groups)) == sorted(counts)
    assert {"O", "F"} in [set(group) for one in every for group in one.groups]
    assert [one.distance for one in every] == sorted(one.distance for one in every)
    # one merger of two cations or of the anions, then two, then three
    assert Counter(len(one.groups) for one in every) == {4: 3 + 1, 3: 1 + 3, 2: 1}


@pytest.mark.parametrize(("multiple", "number"), [(1, 1), (2, 7), (3, 13), (4, 35)])
def test_superlattices_are_all_hermite_normal_forms(multiple: int, number: int) -> None:
    forms = superlattices(multiple)
    assert len({form.tobytes() for form in forms}) == len(forms) == number  # sums of divisors, known
    assert all(round(np.linalg.det(form)) == multiple for form in forms)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_ways_to_color(numbers: list[int]) -> None:
    ways = list(_ways(sum(numbers), list(enumerate(numbers))))
    assert len({tuple(way) for way in ways}) == len(ways)
    assert len(ways) == factorial(sum(numbers)) // prod(map(factorial, numbers))
    assert all(Counter(way) == dict(enumerate(numbers)) for way in ways)


def test_orbits_of_permutations() -> None:
    orbit = _joined(np.array([[1, 0, 2, 3, 4], [0, 1, 3, 2, 4]]))
    assert orbit[0] == orbit[1] and orbit[2] == orbit[3]
    assert len(set(orbit.tolist())) == 3


def test_many_orders_are_drawn_and_not_listed() -> None:
    counts = {"Na": 1, "K": 1, "Cl": 2}
    (ions,) = ions_of(["NaKCl2"])
    merger = next(one for one in mergers(counts, ions) if {"Na", "K"} in map(set, one.groups))
    template = TEMPLATES["aflow:AB_cF8_225_a_b"]
    (assignment, *_) = assign(merger.counts, merger.ions, template, ions_of(["NaCl"])[0])
    for structure in ordered_structures(assignment, merger, counts, max_atoms=4):
        assert structure.composition.reduced_formula == "KNaCl2"
        assert min(n.nn_distance for n in structure.get_neighbors(structure[0], 4)) > 2
    assert salt().volume > 0
