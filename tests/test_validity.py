"""Verdicts against `smact_validity` called formula by formula."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from pymatgen.core import Composition
from smact.screening import smact_validity

from matgen import validity
from matgen.chemistry import SYMBOLS
from matgen.composition import CompositionBatch
from matgen.errors import OptionError
from matgen.validity import TABLES, ValidityRules, check

KNOWN = [
    "SrTiO3",
    "NaCl",
    "Fe3O4",
    "Fe2O3",
    "LiFePO4",
    "CuZn",
    "Ni3Al",
    "Fe",
    "O2",
    "H2O2",
    "NaHO",
    "CsXe3",
    "KrF2",
    "AcCl3",
    "NaK",
    "Mn3O4",
    "Pb3O4",
    "Sb2O4",
    "C60",
    "CO",
]


def random_formulas(n: int, seed: int = 0) -> list[str]:
    """Formulas of 2 to 4 elements of H to Lr with counts to 6, half of them with an anion, and known ones."""
    rng = random.Random(seed)
    rows = list(KNOWN)
    while len(rows) < n:
        chosen = rng.sample(SYMBOLS[1:104].tolist(), rng.randint(1, 3))
        anion = rng.choice(["O", "F", "S", "Cl", "N", "Sb"])
        if anion not in chosen:
            chosen.append(anion)
        rows.append("".join(f"{symbol}{rng.randint(1, 6)}" for symbol in chosen))
    return rows


def smact_says(rows: list[str], **settings: object) -> list[bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [bool(smact_validity(Composition(row).reduced_composition, **settings)) for row in rows]


@pytest.mark.parametrize("table", TABLES)
def test_agrees_with_smact(table: str) -> None:
    rows = random_formulas(300)
    batch = CompositionBatch.from_formulas(rows)
    settings = {"oxidation_states_set": TABLES[table]}
    tested = check(batch, ValidityRules(table), workers=1)
    waved = check(batch, ValidityRules(table, include_alloys=True), workers=1)
    assert tested.judged.all()
    assert tested.charge_neutral.tolist() == smact_says(rows, use_pauling_test=False, include_alloys=False, **settings)
    assert tested.electronegativity_balanced.tolist() == smact_says(rows, include_alloys=False, **settings)
    assert tested.valid.tolist() == tested.electronegativity_balanced.tolist()
    assert waved.valid.tolist() == smact_says(rows, include_alloys=True, **settings)
    # The alloy rule changes `valid` alone.
    assert waved.charge_neutral.tolist() == tested.charge_neutral.tolist()
    assert waved.electronegativity_balanced.tolist() == tested.electronegativity_balanced.tolist()
    assert 0.1 < tested.valid.mean() < 0.9


def test_mixed_valence_agrees_with_smact() -> None:
    rows = ["Fe3O4", "Mn3O4", "NaCl", "Cu4O3", "Sb2O4", "Bi2O4", "CuZn"]
    found = check(CompositionBatch.from_formulas(rows), ValidityRules(mixed_valence=True))
    assert found.valid.tolist() == smact_says(rows, include_alloys=False, mixed_valence=True)
    assert found.valid[0] and not check(CompositionBatch.from_formulas(["Fe3O4"])).valid[0]


def test_defaults_are_smacts_table_without_its_alloy_rule() -> None:
    assert ValidityRules() == ValidityRules("icsd24", include_alloys=False, mixed_valence=False)
    found = check(CompositionBatch.from_formulas(["NaCl", "CuZn", "Fe", "O2", "NaCl2"]))
    assert found.valid.tolist() == [True, False, True, True, False]
    assert all(getattr(found, name).dtype == bool for name in ("charge_neutral", "electronegativity_balanced", "valid"))


def test_neutral_but_not_balanced() -> None:
    rows = ["".join(pair) for pair in (("Sb", "N"), ("Al", "As"), ("O", "F2"), ("S", "O2"))] + ["CuAg", "TiFe", "PbW"]
    found = check(CompositionBatch.from_formulas(rows))
    assert (found.charge_neutral >= found.electronegativity_balanced).all()
    assert found.charge_neutral.tolist() == smact_says(rows, use_pauling_test=False, include_alloys=False)


def test_repeated_compositions_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    original = validity._judge_one

    def counting(elements: np.ndarray, counts: np.ndarray, rules: ValidityRules) -> tuple[bool, bool, bool]:
        judged.append("".join(SYMBOLS[elements]))
        return original(elements, counts, rules)

    monkeypatch.setattr(validity, "_judge_one", counting)
    progress: list[int] = []
    rows = ["NaCl", "NaCl2", "ClNa", "Na3Cl3", "KCl"] * 20
    found = check(CompositionBatch.from_formulas(rows), workers=1, progress=progress.append)
    assert sorted(judged) == ["KCl", "NaCl", "NaCl"]
    assert sum(progress) == 3
    assert found.valid.tolist() == [True, False, True, True, True] * 20


def test_elements_that_smact_does_not_know() -> None:
    found = check(CompositionBatch.from_formulas(["Og", "OgO2", "RfCl4", "NaCl"]))
    assert found.valid.tolist() == [True, False, False, True]
    assert found.judged.all()


def test_too_many_combinations_are_left_unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "MAX_COMBINATIONS", 20)
    rows = ["NaCl", "MnFeCoNi", "MnFeCoNiO5"]
    found = check(CompositionBatch.from_formulas(rows), workers=1)
    assert found.judged.tolist() == [True, False, False]
    assert found.charge_neutral.tolist() == found.valid.tolist() == [True, False, False]
    # SMACT lets alloys pass without looking at states.
    waved = check(CompositionBatch.from_formulas(rows), ValidityRules(include_alloys=True), workers=1)
    assert waved.valid.tolist() == [True, True, False]


def test_worker_processes_say_the_same() -> None:
    batch = CompositionBatch.from_formulas(random_formulas(2_600, seed=7))
    one, two = check(batch, workers=1), check(batch, workers=2)
    for name in ("charge_neutral", "electronegativity_balanced", "valid", "judged"):
        assert (getattr(one, name) == getattr(two, name)).all()


def test_no_rows() -> None:
    found = check(CompositionBatch.from_formulas([]))
    assert len(found.valid) == len(found.judged) == 0


def test_no_warnings_reach_the_user() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(CompositionBatch.from_formulas(["Fe3O4", "NaCl"]), ValidityRules("wiki"), workers=1)
        check(CompositionBatch.from_formulas(["Fe31O40"]), ValidityRules(mixed_valence=True), workers=1)


def test_unknown_table() -> None:
    with pytest.raises(OptionError, match=r"unknown oxidation-state table 'icsd99'; known: icsd24, icsd16"):
        ValidityRules("icsd99")
