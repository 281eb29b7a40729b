"""How common states are, against a loop over all assignments."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY, SYMBOLS
from matgen.datasets import load_dataset
from matgen.validity import RARE, ValidityRules, check, explain, explaining, state_table
from matgen.validity.commonness import share_text, state_text
from matgen.validity.rules import MAX_STATE, UNREPORTED, icsd_reports


def reports_of(symbol: str, *, zero: bool = True) -> dict[int, int]:
    counts = icsd_reports()[ATOMIC_NUMBER[symbol]]
    return {s - MAX_STATE: int(c) for s, c in enumerate(counts) if c and (zero or s != MAX_STATE)}


def best_by_loop(formula: dict[str, int], rules: ValidityRules) -> tuple[float, list[tuple[str, float]]]:
    """The best score, and the rarest state with its share in each assignment that reaches it."""
    table = state_table(rules)
    best, rarest = 0.0, []
    options = []
    for symbol, atoms in formula.items():
        states = table.of(symbol)
        mixed = rules.mixed_valence and table.mixed[ATOMIC_NUMBER[symbol]]
        ways = itertools.combinations_with_replacement(states, atoms) if mixed else [(s,) * atoms for s in states]
        options.append(list(ways))
    for choice in itertools.product(*options):
        named = list(zip(formula, choice, strict=True))
        if sum(map(sum, choice)):
            continue
        chi = {symbol: ELECTRONEGATIVITY[ATOMIC_NUMBER[symbol]] for symbol in formula}
        if any(math.isnan(value) for value in chi.values()):
            continue
        if any(chi[a] >= chi[b] for a, one in named if max(one) > 0 for b, other in named if min(other) < 0):
            continue
        ratios, shares = [], []
        for symbol, way in named:
            counts = reports_of(symbol, zero=0 in table.of(symbol))
            most = max(counts.values(), default=1)
            ratios.append(math.prod((counts.get(s, UNREPORTED) / most) ** (1 / len(way)) for s in way))
            everything = sum(reports_of(symbol).values())
            shares += [(state_text(ATOMIC_NUMBER[symbol], s), reports_of(symbol).get(s, 0) / everything) for s in way]
        score = math.prod(ratios) ** (1 / len(ratios))
        if score > best * (1 + 1e-5):
            rarest = []
        if score > best * (1 - 1e-5):
            rarest.append(min(shares, key=lambda share: share[1]))
            best = max(best, score)
    return best, rarest


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(SYMBOLS[1:96].tolist()), st.integers(1, 6), min_size=2, max_size=4),
    st.sampled_from([ValidityRules(), ValidityRules("icsd16"), ValidityRules(include_zero=True)]),
)
def test_the_score_is_that_of_the_best_of_all_assignments(formula: dict[str, int], rules: ValidityRules) -> None:
    text = "".join(f"{symbol}{count}" for symbol, count in formula.items())
    batch = CompositionBatch.from_formulas([text])
    reduced = dict(zip(SYMBOLS[batch.elements[0]].tolist(), batch.counts[0].tolist(), strict=True))
    if not all(state_table(rules).of(symbol) and reports_of(symbol) for symbol in reduced):
        return
    score, rarest = best_by_loop(reduced, rules)
    found = explain(batch, rules).commonness
    assert found.score[0] == pytest.approx(score, rel=2e-5, abs=1e-12)
    if score:
        assert any(
            (found.rarest_state[0], found.rarest_state_share[0]) == (name, pytest.approx(share))
            for name, share in rarest
        )
    else:
        assert found.rarest_state[0] is None and np.isnan(found.rarest_state_share[0])


def test_bundled_compositions_by_the_loop() -> None:
    every = load_dataset("hybrid").batch
    few = np.flatnonzero(every.n_elements <= 5)
    batch = every[np.random.default_rng(11).choice(few, 400, replace=False)]
    found = explain(batch)  # few enough for the plain search
    compiled = explain(CompositionBatch.concatenate([batch] * 2))  # and enough for the compiled one
    assert 2 * len(batch) > explaining.FEW > len(batch)
    for i in range(len(batch)):
        present = batch.elements[i] > 0
        formula = dict(
            zip(SYMBOLS[batch.elements[i][present]].tolist(), batch.counts[i][present].tolist(), strict=True)
        )
        score, _ = best_by_loop(formula, ValidityRules())
        assert found.commonness.score[i] == pytest.approx(score, rel=2e-5, abs=1e-12)
    assert compiled.commonness.score.tolist() == found.commonness.score.tolist() * 2
    assert compiled.commonness.rarest_state.tolist() == found.commonness.rarest_state.tolist() * 2


@pytest.mark.parametrize("formula", ["Fe3O4", "Mn3O4", "Sb3O5", "Ti4O7"])
def test_mixed_valence_counts_an_element_by_its_atoms(formula: str) -> None:
    rules = ValidityRules(mixed_valence=True)
    batch = CompositionBatch.from_formulas([formula])
    reduced = dict(zip(SYMBOLS[batch.elements[0]].tolist(), batch.counts[0].tolist(), strict=True))
    found = explain(batch, rules).commonness
    assert found.score[0] == pytest.approx(best_by_loop(reduced, rules)[0], rel=2e-5)
    assert explain(batch).commonness.score[0] == 0


def test_a_state_that_four_reports_know_stands_out() -> None:
    found = explain(CompositionBatch.from_formulas(["CsPbSe", "CsPbI3", "Fe", "NaCl2", "PmCl3"]))
    common = found.commonness
    reports = reports_of("Pb")
    assert common.rarest_state.tolist()[:2] == ["Pb+1", "I-1"]
    assert common.rarest_state_share[0] == reports[1] / sum(reports.values()) < RARE
    caesium, selenium = reports_of("Cs"), reports_of("Se", zero=False)
    assert caesium[1] == max(reports_of("Cs", zero=False).values())
    expected = (reports[1] / reports[2] * selenium[-2] / max(selenium.values())) ** (1 / 3)
    assert common.score[0] == pytest.approx(expected)
    assert common.rare.tolist() == [True, False, False, False, False]
    # A single element, no neutral assignment, no electronegativity.
    assert common.score.tolist()[2:] == [1.0, 0.0, 0.0]
    assert common.rarest_state.tolist()[2:] == [None] * 3


def test_common_states_are_smacts_medium_ones() -> None:
    batch = load_dataset("hybrid").batch[::131]
    medium = check(batch, ValidityRules(commonality="medium")).valid
    found = explain(batch)
    assert (found.balanced_common == medium).all() and 0.1 < medium.mean() < 0.9
    assert not (medium & ~found.validity.valid).any()
    assert (explain(batch, ValidityRules("icsd16")).balanced_common == medium).all()
    # No state of those is rare, and the best assignment is at least as good as one of states above 10 %.
    assert not found.commonness.rare[medium].any()


def test_a_formula_too_large_to_search_has_no_score() -> None:
    rules = ValidityRules(mixed_valence=True)
    found = explain(CompositionBatch.from_formulas(["Fe300001O400000Na2", "NaCl"]), rules)
    assert found.validity.valid.all() and np.isnan(found.commonness.score[0]) and found.commonness.score[1] > 0.9


def test_no_rows() -> None:
    common = explain(CompositionBatch.from_formulas([])).commonness
    assert len(common.score) == len(common.rarest_state) == len(common.rare) == 0


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.00 %"), (0.00057, "0.06 %"), (0.00002, "below 0.01 %"), (0.034, "3.4 %"), (0.8, "80 %")]
)
def test_shares_in_words(share: float, text: str) -> None:
    assert share_text(share) == text
