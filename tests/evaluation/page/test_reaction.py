"""Decompositions as reactions, against pymatgen's balancing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.reaction_calculator import Reaction
from pymatgen.core import Composition

from matgen.evaluation.page.reaction import reaction


@pytest.mark.parametrize(
    ("formula", "phases"),
    [
        ("Na3AlO3", ["Na2O", "Al2O3"]),
        ("CsBiI4", ["Cs3Bi2I9", "BiI3"]),
        ("LiBe2P3O10", ["Be(PO3)2", "Li4P2O7", "BeO"]),
        ("La3Se3N", ["La3Se4", "LaN", "N2"]),
    ],
)
def test_reactions_balance_as_pymatgens_do(formula: str, phases: list[str]) -> None:
    text = reaction(formula, " + ".join(f"0.50 {phase}" for phase in phases))
    assert text is not None
    left, right = text.split(" → ")
    expected = Reaction([Composition(formula)], [Composition(phase) for phase in phases])

    def amounts(side: str) -> dict[str, float]:
        found = {}
        for part in side.split(" + "):
            count, name = re.fullmatch(r"(?:(\d+) )?(\S+)", part).groups()
            found[Composition(name).reduced_formula] = int(count or 1) * (
                Composition(name).num_atoms / Composition(Composition(name).reduced_formula).num_atoms
            )
        return found

    ours = amounts(right)
    scale = amounts(left)[Composition(formula).reduced_formula] / -expected.get_coeff(Composition(formula))
    for phase in phases:
        name = Composition(phase).reduced_formula
        theirs = expected.get_coeff(Composition(phase)) * Composition(phase).num_atoms / Composition(name).num_atoms
        assert ours[name] == pytest.approx(scale * theirs)


def test_what_is_no_decomposition_is_no_reaction() -> None:
    assert reaction("NaCl", "not known: oqmd has no energy of Ra") is None
    assert reaction("NaCl", "1.00 Xx") is None and reaction("NaCl", "") is None
    assert reaction("NaCl", "0.50 KCl + 0.50 Na") is None  # does not balance
    assert reaction("NaCl", "0.50 Na + 0.50 Cl") == "2 NaCl → 2 Na + Cl2"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_any_text_gives_a_reaction_or_none(text: str) -> None:
    assert reaction("NaCl", text) is None or "→" in reaction("NaCl", text)
