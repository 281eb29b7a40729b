"""Witnesses and reasons against every assignment, listed."""

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
from matgen.validity import Explanation, ValidityRules, explain, explaining, state_table
from matgen.validity.rules import MAX_STATE, UNREPORTED, icsd_reports


def one(formula: str, **rules: object) -> tuple[str | None, str | None]:
    found = explain(CompositionBatch.from_formulas([formula]), ValidityRules(**rules))
    return found.oxidation_states[0], found.reason[0]


@pytest.mark.parametrize(
    ("formula", "states"),
    [
        ("SrTiO3", "Sr2+ Ti4+ 3O2-"),
        ("Fe2O3", "2Fe3+ 3O2-"),
        ("NaCl", "Na+ Cl-"),
        ("LiFePO4", "Li+ Fe2+ P5+ 4O2-"),
        ("CsPbI3", "Cs+ Pb2+ 3I-"),
        ("CaC2", "Ca2+ 2C-"),
        ("NaH", "Na+ H-"),
        ("H2O2", "H+ O-"),
        ("Fe", "Fe0"),
    ],
)
def test_witnesses_that_a_chemist_would_write(formula: str, states: str) -> None:
    assert one(formula) == (states, None)


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("Fe3O4", "no neutral assignment: the nearest, 3Fe3+ 4O2-, has charge +1"),
        ("NaCl2", "no neutral assignment: the nearest, Na+ 2Cl-, has charge -1"),
        ("NaXeHe", "no oxidation states for He in icsd24"),
        ("OgO2", "no oxidation states for Og in icsd24"),
        ("HeNe", "no oxidation states for He and Ne in icsd24"),
    ],
)
def test_reasons_in_words(formula: str, reason: str) -> None:
    assert one(formula) == (None, reason)


def test_the_pair_that_fails_the_pauling_test_is_named() -> None:
    states, reason = one("PmCl3")
    assert states and reason == f"neutral as {states}, but Pm has no electronegativity to test"
    found = explain(load_dataset("hybrid").batch)
    rows = np.flatnonzero(found.validity.charge_neutral & ~found.validity.electronegativity_balanced)
    assert len(rows) > 10_000
    for row in rows[:: len(rows) // 200]:
        if "no electronegativity" in found.reason[row]:
            continue
        ions = found.ions.row == row
        cations = ions & (found.ions.state > 0)
        anions = ions & (found.ions.state < 0)
        chi = ELECTRONEGATIVITY[found.ions.element]
        high, low = chi[cations].max(), chi[anions].min()
        assert high >= low
        assert f"(electronegativity {high:.2f}) is no less electronegative than" in found.reason[row]
        assert found.reason[row].endswith(f"({low:.2f})")
        assert found.reason[row].startswith(f"neutral as {found.oxidation_states[row]}, but ")


def test_mixed_valence_is_used_only_where_it_is_needed() -> None:
    assert one("Fe3O4", mixed_valence=True) == ("Fe2+ 2Fe3+ 4O2-", None)
    assert one("Fe2O3", mixed_valence=True) == one("Fe2O3")
    assert one("Mn3O4", mixed_valence=True)[0] == "2Mn2+ Mn4+ 4O2-"  # by reports; hausmannite is Mn2+ 2Mn3+


def listed(batch: CompositionBatch, row: int, rules: ValidityRules) -> list[tuple[int, bool, float, dict]]:
    """Every assignment: charge, whether it balances, logarithm of its share of reports, and the ions."""
    table, reports = state_table(rules), icsd_reports()
    options = []
    for z, c in zip(batch.elements[row], batch.counts[row], strict=True):
        if z == 0:
            continue
        states = table.states[z, : table.n_states[z]].tolist()
        counts = {s: max(float(reports[z, s + MAX_STATE]), UNREPORTED) for s in states}
        shares = {s: math.log(counts[s] / sum(counts.values())) for s in states}
        ways = (
            itertools.combinations_with_replacement(states, int(c))
            if table.mixed[z]
            else [(s,) * int(c) for s in states]
        )
        options.append([(int(z), way, sum(shares[s] for s in way) / len(way)) for way in ways])
    found = []
    for choice in itertools.product(*options):
        chi = ELECTRONEGATIVITY
        cations = [chi[z] for z, way, _ in choice if max(way) > 0]
        anions = [chi[z] for z, way, _ in choice if min(way) < 0]
        balances = not any(np.isnan(chi[z]) for z, _, _ in choice) and max(cations, default=-9) < min(anions, default=9)
        ions = {(z, s): way.count(s) for z, way, _ in choice for s in way}
        found.append((sum(sum(way) for _, way, _ in choice), balances, sum(share for *_, share in choice), ions))
    return found


def expected_ions(batch: CompositionBatch, row: int, rules: ValidityRules) -> tuple[int, float, list[dict]]:
    """Charge, score and all equally good assignments that an explanation may show."""
    plain = listed(batch, row, ValidityRules(**{**rules.__dict__, "mixed_valence": False}))
    mixed = listed(batch, row, rules) if rules.mixed_valence else plain
    for wanted in (lambda a: a[0] == 0 and a[1], lambda a: a[0] == 0):
        for ways in (plain, mixed):
            chosen = [a for a in ways if wanted(a)]
            if chosen:
                best = max(a[2] for a in chosen)
                return 0, best, [a[3] for a in chosen if a[2] > best - 1e-4]
    nearest = min(abs(a[0]) for a in mixed)
    chosen = [a for a in mixed if abs(a[0]) == nearest]
    best = max(a[2] for a in chosen)
    charge = next(a[0] for a in chosen if a[2] == best)
    return charge, best, [a[3] for a in chosen if a[2] > best - 1e-4]


def ions_of(found: Explanation, row: int) -> dict[tuple[int, int], int]:
    here = found.ions.row == row
    return {
        (int(z), int(s)): int(c)
        for z, s, c in zip(found.ions.element[here], found.ions.state[here], found.ions.count[here], strict=True)
    }


RULES = [ValidityRules(), ValidityRules("wiki"), ValidityRules(include_zero=True), ValidityRules(mixed_valence=True)]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(SYMBOLS[1:104].tolist()), st.integers(1, 6), min_size=2, max_size=4),
    st.sampled_from(RULES),
)
def test_the_witness_is_the_best_of_all_assignments(formula: dict[str, int], rules: ValidityRules) -> None:
    batch = CompositionBatch.from_formulas(["".join(f"{symbol}{count}" for symbol, count in formula.items())])
    table = state_table(rules)
    if not all(table.of(symbol) for symbol in formula):
        return
    if (
        math.prod(
            math.comb(len(table.of(s)) + c - 1, c) if table.mixed[ATOMIC_NUMBER[s]] else 9 for s, c in formula.items()
        )
        > 3e4
    ):
        return
    charge, _, allowed = expected_ions(batch, 0, rules)
    found = explain(batch, rules)
    assert abs(found.charge[0]) == abs(charge)
    assert ions_of(found, 0) in allowed
    assert (found.oxidation_states[0] is not None) == (charge == 0)


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_both_ways_of_searching_find_the_same(rules: ValidityRules, monkeypatch: pytest.MonkeyPatch) -> None:
    every = load_dataset("hybrid").batch
    batch = every[np.random.default_rng(3).choice(len(every), 4_000, replace=False)]
    compiled = explain(batch, rules)
    monkeypatch.setattr(explaining, "load_kernel", lambda name: None)
    plain = explain(batch, rules)
    assert compiled.explained.all() or (compiled.explained == plain.explained).all()
    for name in ("row", "element", "state", "count"):
        assert (getattr(compiled.ions, name) == getattr(plain.ions, name)).all()
    assert (compiled.charge == plain.charge).all()
    assert compiled.reason.tolist() == plain.reason.tolist()


def test_ions_hold_all_atoms_and_the_charge() -> None:
    batch = load_dataset("hybrid").batch[::97]
    found = explain(batch, ValidityRules(mixed_valence=True))
    charge = np.bincount(
        found.ions.row, weights=found.ions.state.astype(float) * found.ions.count, minlength=len(batch)
    )
    atoms = np.bincount(found.ions.row, weights=found.ions.count, minlength=len(batch))
    explained = found.explained
    assert explained.mean() > 0.999
    assert (charge[explained] == found.charge[explained]).all()
    assert (atoms[explained] == batch.n_atoms[explained]).all()
    assert ((found.charge == 0) == found.validity.charge_neutral)[explained].all()
    assert ((found.reason == None) == found.validity.electronegativity_balanced).all()  # noqa: E711
    assert ((found.oxidation_states != None) == found.validity.charge_neutral)[explained].all()  # noqa: E711


def test_verdict_without_a_witness_where_there_are_too_many_atoms() -> None:
    batch = CompositionBatch.from_formulas(["Fe300000O400000Na", "Fe300001O400000Na2", "Na1000000Cl1000001"])
    found = explain(batch, ValidityRules(mixed_valence=True))
    assert found.explained.tolist() == [False, False, True]
    assert [states is None for states in found.oxidation_states] == [True, True, True]
    assert found.validity.judged.all()
    for balanced, reason in zip(found.validity.electronegativity_balanced, found.reason, strict=True):
        assert (reason is None) == balanced


def test_no_rows() -> None:
    found = explain(CompositionBatch.from_formulas([]))
    assert len(found.reason) == len(found.oxidation_states) == len(found.ions.row) == 0
