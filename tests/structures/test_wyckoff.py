from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import OptionError
from matgen.structures.wyckoff import (
    Closings,
    SpaceGroup,
    count_closings,
    in_words,
    parse_operation,
    parse_space_groups,
    space_group,
)

GROUPS = [1, 2, 5, 14, 15, 47, 62, 70, 123, 141, 146, 166, 167, 194, 205, 216, 221, 225, 227, 230]


@pytest.mark.parametrize("number", GROUPS)
def test_positions_are_pyxtals(number: int) -> None:
    from pyxtal.symmetry import Group

    positions = space_group(number).positions
    known = list(Group(number))[::-1]
    assert [(p.letter, p.multiplicity, p.freedom) for p in positions] == [
        (k.letter, k.multiplicity, k.get_dof()) for k in known
    ]


def test_primitive_cells_and_site_symmetries() -> None:
    by_letter = {position.letter: position for position in space_group(225).positions}
    assert {letter: by_letter[letter].atoms for letter in "abcl"} == {"a": 1, "b": 1, "c": 2, "l": 48}
    assert [by_letter[letter].symmetry for letter in "acdefl"] == ["m-3m", "-43m", "mmm", "4mm", "3m", "1"]
    assert len(space_group(225).centering) == 4
    assert [position.symmetry for position in space_group(62).positions] == ["-1", "-1", "m", "1"]
    assert len(space_group(166).centering) == 3  # on hexagonal axes
    with pytest.raises(OptionError, match="there is no space group 231: they are numbered from 1 to 230"):
        space_group(231)


def test_operations() -> None:
    rotation, shift = parse_operation("-y, x-y, z+1/2")
    assert rotation.tolist() == [[0, -1, 0], [1, -1, 0], [0, 0, 1]]
    assert shift.tolist() == [0, 0, 0.5]
    assert parse_operation("0, 1/4, -2x+0.75")[0].tolist() == [[0, 0, 0], [0, 0, 0], [-2, 0, 0]]


def listed(group: SpaceGroup, atoms: tuple[int, ...]) -> list[tuple]:
    """Every closing by trying every number of orbits of every element on every position."""
    free = [range(max(atoms) // p.atoms + 1) if p.freedom else range(2) for p in group.positions]
    per_element = []
    for size in atoms:
        ways = []
        for numbers in itertools.product(*free):
            if sum(n * p.atoms for n, p in zip(numbers, group.positions, strict=True)) == size:
                ways.append(numbers)
        per_element.append(ways)
    return [
        closing
        for closing in itertools.product(*per_element)
        if all(p.freedom or sum(of_one[place] for of_one in closing) <= 1 for place, p in enumerate(group.positions))
    ]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 5, 14, 62, 166, 194, 216, 221, 225]), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_counts_are_those_of_a_plain_loop(number: int, atoms: list[int]) -> None:
    assert count_closings(number, atoms) == len(listed(space_group(number), tuple(atoms)))


def test_counts_that_are_known() -> None:
    assert count_closings(225, (1, 1)) == 2  # rock salt, at either origin
    assert count_closings(221, (1, 1, 3)) == 4  # cubic perovskites: a b c, a b d, b a c, b a d
    assert count_closings(1, (40, 17)) == 1
    assert count_closings(230, (1,)) == 0
    assert count_closings(47, (8,) * 7) > 10**12


def test_weights_are_products_of_poisson_terms_and_draws_follow_them() -> None:
    group, atoms = space_group(5), (2, 3)
    generator = np.random.default_rng(0)
    rates = generator.uniform(0.2, 1.5, (len(group.positions), 2))
    closings = Closings(group, atoms, rates)
    every = listed(group, atoms)
    factorials = np.array([1, 1, 2, 6])
    weights = [
        float(np.prod([rates[:, e] ** np.array(numbers) / factorials[list(numbers)] for e, numbers in enumerate(one)]))
        for one in every
    ]
    assert closings.total == pytest.approx(sum(weights))
    letters = [position.letter for position in group.positions]
    names = {
        tuple(tuple((letters[place], n) for place, n in enumerate(numbers) if n) for numbers in one): weight
        for one, weight in zip(every, weights, strict=True)
    }
    drawn = Counter(closings.sample(generator) for _ in range(4_000))
    assert drawn.keys() <= names.keys()
    for name, weight in names.items():
        share = weight / closings.total
        assert closings.weight(name) == pytest.approx(weight)
        assert abs(drawn[name] / 4_000 - share) < 5 * np.sqrt(share * (1 - share) / 4_000) + 1e-9


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(GROUPS), st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(0, 99))
def test_drawn_closings_hold_the_atoms(number: int, atoms: list[int], seed: int) -> None:
    group = space_group(number)
    closings = Closings(group, atoms)
    if not closings.total:
        with pytest.raises(ValueError, match="cannot hold"):
            closings.sample(np.random.default_rng(seed))
        return
    placement = closings.sample(np.random.default_rng(seed))
    positions = {position.letter: position for position in group.positions}
    assert [sum(positions[letter].atoms * n for letter, n in of_one) for of_one in placement] == atoms
    fixed = [letter for of_one in placement for letter, n in of_one if not positions[letter].freedom for _ in range(n)]
    assert len(fixed) == len(set(fixed))


def test_words() -> None:
    assert (
        in_words(space_group(62), ((("a", 1),), (("c", 1),), (("c", 1), ("d", 2)))) == "space group 62, 4a 4c 4c 8d 8d"
    )


def test_numbers_and_ranges_of_space_groups() -> None:
    assert parse_space_groups(["225", "3..5", "4"]) == (3, 4, 5, 225)
    assert parse_space_groups([]) == ()
    for text in ("0", "231", "5..3", "Fm-3m", "", "-1"):
        with pytest.raises(OptionError, match="is no space group: give a number from 1 to 230"):
            parse_space_groups([text])
