"""Verdicts against `smact_validity` and against trying every assignment; the two ways of judging against each other."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition
from smact.screening import smact_validity

from benchmarks.smact_verdicts import smact_check
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY, SYMBOLS
from matgen.datasets import load_dataset
from matgen.validity import TABLES, ValidityRules, check, exact, judging, state_table
from tests.progress import Recorder
from tests.validity import brute

KNOWN = [
    *("SrTiO3", "NaCl", "Fe3O4", "Fe2O3", "LiFePO4", "CuZn", "Ni3Al", "Fe", "O2", "H2O2", "NaHO", "CsXe3", "KrF2"),
    *("AcCl3", "NaK", "Mn3O4", "Pb3O4", "Sb2O4", "C60", "CO", "PmCl3", "SbN", "AlAs", "OF2", "SO2", "CSe2", "WU"),
]
SETTINGS = [
    *(ValidityRules(table) for table in TABLES),
    ValidityRules(include_zero=True),
    ValidityRules(commonality="medium"),
    ValidityRules(commonality="main", consensus=10),
    ValidityRules(consensus=0, include_zero=True),
]
MIXED = [
    ValidityRules(mixed_valence=True),
    ValidityRules(mixed_valence=True, include_zero=True),
    ValidityRules("wiki", mixed_valence=True),
]


def random_batch(n: int, *, most_elements: int = 4, most_atoms: int = 8, seed: int = 0) -> CompositionBatch:
    """Known formulas, and random ones of H to Lr, half of them with an anion."""
    rng = random.Random(seed)
    rows = list(KNOWN)
    while len(rows) < n:
        chosen = rng.sample(SYMBOLS[1:104].tolist(), rng.randint(1, most_elements - 1))
        anion = rng.choice(["O", "F", "S", "Cl", "N", "Sb"])
        if anion not in chosen:
            chosen.append(anion)
        rows.append("".join(f"{symbol}{rng.randint(1, most_atoms)}" for symbol in chosen))
    return CompositionBatch.from_formulas(rows)


def bundled(n: int, seed: int) -> CompositionBatch:
    batch = load_dataset("hybrid").batch
    return batch[np.random.default_rng(seed).choice(len(batch), n, replace=False)]


def same(ours: judging.Validity, theirs: judging.Validity) -> bool:
    names = ("charge_neutral", "electronegativity_balanced", "valid")
    where = ours.judged & theirs.judged
    return all((getattr(ours, name) == getattr(theirs, name))[where].all() for name in names)


def by_brute_force(batch: CompositionBatch, rules: ValidityRules) -> list[tuple[bool, bool]]:
    table = state_table(rules)
    return [brute.verdict(z[z > 0], c[z > 0], table) for z, c in zip(batch.elements, batch.counts, strict=True)]


def verdicts(found: judging.Validity) -> list[tuple[bool, bool]]:
    return list(zip(found.charge_neutral.tolist(), found.electronegativity_balanced.tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("rules", SETTINGS, ids=str)
def test_agrees_with_smact_on_bundled_formulas(rules: ValidityRules) -> None:
    batch = bundled(3_000, seed=1)
    found, smact = check(batch, rules), smact_check(batch, rules, workers=1)
    assert smact.judged.all() and found.judged.all()
    assert same(found, smact)
    assert 0.001 < found.electronegativity_balanced.mean() <= found.charge_neutral.mean()


@pytest.mark.parametrize("rules", SETTINGS, ids=str)
def test_agrees_with_smact_on_random_formulas(rules: ValidityRules) -> None:
    batch = random_batch(700, seed=2)
    assert same(check(batch, rules), smact_check(batch, rules, workers=1))


def test_agrees_with_smact_called_as_users_call_it() -> None:
    batch = random_batch(200, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        smact = [smact_validity(Composition(formula)) for formula in batch.formulas()]
    assert check(batch, ValidityRules(include_alloys=True)).valid.tolist() == smact
    assert check(batch).valid.tolist() != smact  # alloys are accepted without a test by default there, and only there


@pytest.mark.slow
@pytest.mark.parametrize("rules", MIXED[:1], ids=str)
def test_mixed_valence_agrees_with_smact_where_smact_ends(rules: ValidityRules) -> None:
    batch = bundled(600, seed=4)
    smact = smact_check(batch, rules, workers=1)
    assert smact.judged.mean() > 0.9
    assert same(check(batch, rules), smact)


@pytest.mark.slow
@pytest.mark.parametrize("rules", MIXED + SETTINGS[:1] + SETTINGS[-1:], ids=str)
def test_agrees_with_brute_force(rules: ValidityRules) -> None:
    rows = CompositionBatch.concatenate([bundled(1_500, seed=5), random_batch(600, seed=6)])
    table = state_table(rules)
    fits = [
        brute.n_assignments(z[z > 0], c[z > 0], table) < 200_000
        for z, c in zip(rows.elements, rows.counts, strict=True)
    ]
    rows = rows[np.array(fits)]
    assert len(rows) > 1_900
    assert verdicts(check(rows, rules)) == by_brute_force(rows, rules)


def test_mixed_valence_beyond_smacts_limit() -> None:
    rules = ValidityRules(mixed_valence=True)
    batch = CompositionBatch.from_formulas(["Fe21O32", "Fe12O17", "Mn8Co7O20", "Fe20O31", "Fe20O161"])
    assert not smact_check(batch, rules).judged.any()
    assert verdicts(check(batch, rules)) == by_brute_force(batch, rules)
    assert check(batch, rules).valid.tolist() == [True, True, True, True, False]
    assert not check(CompositionBatch.from_formulas(["Fe3O4"])).valid[0]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(SYMBOLS[1:104].tolist()), st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from(SETTINGS + MIXED),
)
@example({"Fe": 40, "Mn": 40, "He": 1}, MIXED[0])  # no assignment, though iron and manganese have many states
def test_any_formula_is_judged_as_by_brute_force(formula: dict[str, int], rules: ValidityRules) -> None:
    batch = CompositionBatch.from_formulas(["".join(f"{symbol}{count}" for symbol, count in formula.items())])
    if brute.n_assignments(batch.elements[0], batch.counts[0], state_table(rules)) > 100_000:
        return
    expected = by_brute_force(batch, rules)
    assert verdicts(check(batch, rules)) == expected
    repeated = CompositionBatch.concatenate([batch] * (judging.FEW + 1))  # long enough for the compiled kernel
    assert verdicts(check(repeated, rules)) == expected * (judging.FEW + 1)


@pytest.mark.parametrize("rules", SETTINGS + MIXED, ids=str)
def test_without_numba_the_verdicts_are_the_same(rules: ValidityRules, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = CompositionBatch.concatenate([bundled(1_500, seed=8), random_batch(500, most_elements=7, most_atoms=40)])
    compiled = check(batch, rules)
    monkeypatch.setattr(judging, "load_kernel", lambda name: None)
    plain = check(batch, rules)
    assert plain.judged.all() and compiled.judged.all()
    assert same(plain, compiled)


def test_a_missing_numba_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def without_numba(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "numba":
            raise ModuleNotFoundError("no numba", name="numba")
        return real(name, *rest)

    monkeypatch.delitem(__import__("sys").modules, "matgen.validity.kernel", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_numba)
    assert judging.load_kernel.__wrapped__("validity.kernel") is None


@settings(max_examples=200, deadline=None)
@given(
    st.sets(st.integers(0, 7), min_size=1, max_size=5).map(sorted),
    st.integers(1, 120),
    st.sets(st.integers(0, 30), min_size=1, max_size=4),
)
def test_many_atoms_at_once_are_as_many_atoms_one_by_one(charges: list[int], atoms: int, reach: set[int]) -> None:
    start = sum(1 << value for value in reach)
    expected = start
    for _ in range(atoms):
        expected = exact._bits.element(expected, charges, 1, mixed=False)
    assert exact._bits.element(start, charges, atoms, mixed=True) == expected
    sums = exact._sums.element(set(reach), charges, atoms, mixed=True)
    assert sum(1 << value for value in sums) == expected


@pytest.mark.parametrize("rules", [ValidityRules(), ValidityRules(mixed_valence=True)], ids=str)
def test_formulas_with_very_many_atoms(rules: ValidityRules) -> None:
    rows = [
        "Na1000000Cl1000001",
        "Na1000003Cl1000003O",
        "Ti500000O1000001",
        "Fe1000000O1500001Na2",
        "Na9999999O5000000",
    ]
    batch = CompositionBatch.from_formulas(rows)
    found = check(batch, rules)
    assert found.judged.all()
    # By hand: titanium between 2+ and 3+ beside O-; Fe3+ beside O2-; one Na+ too few or too many, of fixed states.
    assert found.electronegativity_balanced.tolist() == [False, False, rules.mixed_valence, True, False]
    long = CompositionBatch.concatenate([batch] * 200)
    assert (check(long, rules).electronegativity_balanced.reshape(200, -1) == found.electronegativity_balanced).all()


def test_charges_too_large_are_left_unjudged() -> None:
    primes = (2147483647, 2147483629, 2147483587)
    batch = CompositionBatch.from_formulas([f"Fe{primes[0]}Mn{primes[1]}Cr{primes[2]}O{primes[0]}", "NaCl"])
    found = check(batch, ValidityRules(mixed_valence=True))
    assert found.judged.tolist() == [False, True]
    assert found.charge_neutral.tolist() == found.valid.tolist() == [False, True]
    assert check(batch).judged.all()  # without mixing the sums can still be listed
    alloy = CompositionBatch.from_formulas([f"Fe{primes[0]}Mn{primes[1]}Cr{primes[2]}Ni"])
    untested = check(alloy, ValidityRules(mixed_valence=True, include_alloys=True))
    assert (untested.judged.tolist(), untested.valid.tolist()) == ([False], [True])


def test_all_elements_at_once() -> None:
    every = "".join(SYMBOLS[1:119])
    states = [s for s in SYMBOLS[1:104] if state_table(ValidityRules()).of(s)]
    known = [s for s in states if not np.isnan(ELECTRONEGATIVITY[ATOMIC_NUMBER[s]])]
    rows = [every, "".join(states), "".join(states) + "O200", "".join(known) + "O200"]
    # Too few anions; promethium has no electronegativity; all is well.
    expected = [(False, False), (False, False), (True, False), (True, True)]
    batch = CompositionBatch.from_formulas(rows * judging.FEW)
    assert verdicts(check(batch)) == expected * judging.FEW
    assert verdicts(check(batch[:4])) == expected


def test_elements_that_smact_does_not_know() -> None:
    found = check(CompositionBatch.from_formulas(["Og", "OgO2", "RfCl4", "NaCl"]))
    assert found.valid.tolist() == [True, False, False, True]


def test_alloys_change_valid_alone() -> None:
    batch = random_batch(300, seed=9)
    tested, untested = check(batch), check(batch, ValidityRules(include_alloys=True))
    assert untested.charge_neutral.tolist() == tested.charge_neutral.tolist()
    assert untested.electronegativity_balanced.tolist() == tested.electronegativity_balanced.tolist()
    assert untested.valid.tolist() == (tested.valid | batch.all_metal).tolist()
    assert tested.valid.tolist() == tested.electronegativity_balanced.tolist()


def test_a_users_table_as_smact_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "states.txt"
    path.write_text(
        "# few\n" + "\n".join(["Fe 2 3", "O -2", "Na 1", "Cl -1 7", "Sb -3 0 3 5", "Ti 4", "Sr 2", "Cu 1 2 0"])
    )
    rows = ["Fe2O3", "FeO", "FeO2", "NaCl", "SrTiO3", "SbCu", "SbCu2O3", "KCl", "NaSb", "Sb2O4", "ClSb"]
    batch, rules = CompositionBatch.from_formulas(rows), ValidityRules(str(path))
    assert same(check(batch, rules), smact_check(batch, rules))
    assert check(batch, rules).valid.tolist()[:3] == [True, True, False]


def test_progress_counts_formulas() -> None:
    progress = Recorder()
    batch = CompositionBatch.concatenate([random_batch(300)] * 10)
    check(batch, progress=progress)
    assert progress.begun == [(len(batch), "judge", "compositions", 0)]
    assert sum(progress.updates) == len(batch)


def test_no_rows() -> None:
    found = check(CompositionBatch.from_formulas([]))
    assert len(found.valid) == len(found.judged) == 0


def test_threads_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = bundled(3_000, seed=10)
    one = check(batch, workers=1)
    monkeypatch.setattr(judging, "CHUNK", 137)
    monkeypatch.setattr(judging.slices, "__defaults__", (137,))
    assert same(check(batch, workers=3), one)
