from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen.structures.assignment import (
    Assignment,
    _ways,
    assign,
    ions_of,
    radius,
)
from matgen.structures.reasons import Ion, ScoreWeights, Weights
from matgen.structures.templates import Template, bundled_templates

TEMPLATES = {template.id: template for template in bundled_templates().templates}
PEROVSKITE = TEMPLATES["aflow:AB3C_cP5_221_a_c_b"]


def assigned(formula: str, counts: dict[str, int], template: Template = PEROVSKITE, **options) -> list[Assignment]:
    ions, own = ions_of([formula, template.formula])
    return assign(counts, ions, template, own, **options)


def test_ions_in_their_common_states() -> None:
    salt, magnetite, alloy = ions_of(["NaCl", "Fe3O4", "CuZn"])
    assert salt["Na"] == Ion("Na", 1.0, radius("Na", 1.0))
    assert salt["Cl"].state == -1
    assert magnetite["Fe"].state == pytest.approx(8 / 3)
    assert magnetite["O"].state == -2
    assert {ion.state for ion in alloy.values()} == {None}


def test_radii() -> None:
    assert radius("Na", 1.0) == pytest.approx(1.16)  # Shannon's crystal radii, angstrom
    assert radius("O", -2.0) == pytest.approx(1.26)
    assert radius("Fe", 8 / 3) == radius("Fe", 3.0)
    assert radius("Cl", -1.0) > radius("Cl", 7.0)
    assert radius("Na", None) == radius("Na", 0.0) == pytest.approx(1.8)
    assert radius("Fm", None) == 1.5


@pytest.mark.parametrize(
    ("formula", "large", "small"), [("BaZrO3", "Ba", "Zr"), ("LaAlO3", "La", "Al"), ("CsPbI3", "Cs", "Pb")]
)
def test_the_right_ions_on_the_sites_of_a_perovskite(formula: str, large: str, small: str) -> None:
    anion = formula[-2]
    best, second = assigned(formula, {large: 1, small: 1, anion: 3})
    assert best.mapping == {"Ca": large, "Ti": small, "O": anion}
    assert second.mapping == {"Ca": small, "Ti": large, "O": anion}
    assert best.score > second.score


def test_anions_go_where_anions_were() -> None:
    (best, *_) = assigned("MgO", {"Mg": 1, "O": 1}, TEMPLATES["aflow:AB_cF8_225_a_b"])
    assert best.mapping == {"Na": "Mg", "Cl": "O"}
    (best, *_) = assigned("Li2O", {"Li": 2, "O": 1}, TEMPLATES["aflow:AB2_cF12_225_a_c"])  # an antifluorite
    assert best.mapping == {"Ca": "O", "F": "Li"}


def test_multiples_of_a_formula_are_the_same() -> None:
    one, four = (assigned("BaZrO3", {"Ba": n, "Zr": n, "O": 3 * n}) for n in (1, 4))
    assert [assignment.mapping for assignment in one] == [assignment.mapping for assignment in four]
    assert len(assigned("BaZrO3", {"Ba": 1, "Zr": 1, "O": 3}, most=1)) == 1


def test_facts_of_the_template_count() -> None:
    asked = ("BaZrO3", {"Ba": 1, "Zr": 1, "O": 3})
    weights = ScoreWeights(Weights(members=0.5, substitution=1), Weights(members=0.1))
    facts = (np.log(100), 0, 0, 0, 0)
    (none, *_), (common, *_) = (assigned(*asked, facts=given, weights=weights) for given in (None, facts))
    ionicity = 3.44 - 0.89  # of oxygen and barium
    assert common.score - none.score == pytest.approx((0.5 + 0.1 * ionicity) * np.log(100))


@given(st.integers(2, 7), st.data())
def test_ways_keep_to_what_is_allowed(size: int, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.integers(1, 3), min_size=size, max_size=size))
    shuffled = data.draw(st.permutations(kinds))
    allowed = np.array([[a == b for b in shuffled] for a in kinds])
    score = np.where(allowed, np.random.default_rng(size).normal(size=(size, size)), -1e6)
    ways = _ways(allowed, score)
    every = [way for way in itertools.permutations(range(size)) if all(allowed[row, way[row]] for row in range(size))]
    if size <= 6:
        assert sorted(ways) == sorted(every)
    else:
        rows = np.arange(size)
        assert score[rows, ways[0]].sum() == pytest.approx(max(score[rows, list(way)].sum() for way in every))
