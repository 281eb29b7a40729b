"""Values of each row and aggregates, against a plain loop with pymatgen and SMACT."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element
from smact import metals
from smact.metallicity import metallicity_score
from smact.screening import ICSD24FilterConfig, smact_validity

from matgen.composition.batch import parse_formulas
from matgen.composition.keys import KeySet
from matgen.evaluation import Report, evaluate, metrics
from matgen.evaluation.labels import COLUMNS, METRICS
from matgen.evaluation.tally import Tally
from tests.frames import listed

from .standin import FORMULAS, Reference

BAD = ["", "Xx2O3", "Fe2O3)", "NaCl/", "hello", "Fe0"]


def candidates(n: int = 400) -> list[str]:
    """Formulas of the reference and others, in other orders and as multiples, with repeats and unreadable rows."""
    rng = random.Random(3)
    symbols = ["Li", "Na", "Mg", "Al", "Ti", "Fe", "Cu", "Sr", "Sb", "O", "S", "Cl", "N", "P", "H", "Xe", "Ac"]
    made = [
        "".join(f"{symbol}{rng.randint(1, 6)}" for symbol in rng.sample(symbols, rng.randint(1, 4)))
        for _ in range(n // 3)
    ]
    pool = [*FORMULAS, *made]
    rows = []
    for _ in range(n):
        parts = list(Composition(rng.choice(pool)).items())
        rng.shuffle(parts)
        multiple = rng.choice([1, 1, 2, 3])
        rows.append("".join(f"{element.symbol}{int(amount) * multiple}" for element, amount in parts))
    for place, text in enumerate(BAD):
        rows.insert(place * 37, text)
    return rows


def oracle(rows: list[str], known: list[str]) -> dict[str, list]:
    """One row at a time with pymatgen and SMACT."""
    reference = {Composition(text).reduced_composition for text in known}
    seen: dict[Composition, int] = {}
    values: dict[str, list] = {
        name: []
        for name in (
            *("parsed", "formula", "duplicate_of", "all_metal", "neutral", "balanced", "novel", "composition"),
            *("common", "metallicity"),
        )
    }
    medium = ICSD24FilterConfig(commonality="medium")
    for i, text in enumerate(rows):
        good = text not in BAD
        composition = Composition(text).reduced_composition if good else None
        values["parsed"].append(good)
        values["composition"].append(composition)
        values["formula"].append(composition.reduced_formula if composition else None)
        values["duplicate_of"].append(seen.get(composition) if composition else None)
        values["all_metal"].append(bool(composition) and all(e.symbol in metals for e in composition))
        values["novel"].append(bool(composition) and composition not in reference)
        for name, pauling in (("neutral", False), ("balanced", True)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values[name].append(
                    bool(composition) and smact_validity(composition, use_pauling_test=pauling, include_alloys=False)
                )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values["common"].append(
                bool(composition) and smact_validity(composition, icsd_filter=medium, include_alloys=False)
            )
            values["metallicity"].append(metallicity_score(composition) if composition else np.nan)
        if composition:
            seen.setdefault(composition, i)
    return values


@pytest.fixture(scope="module")
def judged() -> Report:
    frame = pd.DataFrame({"name": np.arange(406), "formula": candidates()}, index=np.arange(406)[::-1])
    before = frame.copy()
    result = evaluate(frame, Reference(), baselines=False)
    pd.testing.assert_frame_equal(frame, before)
    return result


def test_rows_match_a_plain_loop(judged: Report) -> None:
    rows = candidates()
    expected, frame = oracle(rows, FORMULAS), judged.frame
    assert list(frame.columns) == ["name", "formula", *COLUMNS]
    assert listed(frame["formula"]) == rows
    assert frame["name"].tolist() == list(range(len(rows)))
    assert frame["parsed"].tolist() == expected["parsed"]
    assert listed(frame["reduced_formula"]) == expected["formula"]
    assert [None if pd.isna(v) else v for v in frame["duplicate_of"]] == expected["duplicate_of"]
    assert frame["duplicate_of"].dtype == "Int64"
    assert frame["all_metal"].tolist() == expected["all_metal"]
    assert frame["charge_neutral"].tolist() == expected["neutral"]
    assert frame["electronegativity_balanced"].tolist() == expected["balanced"]
    assert frame["valid"].tolist() == expected["balanced"]
    assert frame["novel"].tolist() == expected["novel"]
    assert frame["balanced_common"].tolist() == expected["common"]
    assert frame["metallicity_score"].tolist() == pytest.approx(expected["metallicity"], abs=1e-9, nan_ok=True)
    # A score for every row that was read, above 0 for every balanced one, and the state that is to blame for it.
    assert frame["oxidation_state_score"].notna().tolist() == expected["parsed"]
    assert (frame["oxidation_state_score"] > 0).tolist() == expected["balanced"]
    several = [bool(c) and len(c) > 1 for c in expected["composition"]]
    named = [a and b for a, b in zip(several, expected["balanced"], strict=True)]
    assert frame["rarest_state"].notna().tolist() == frame["rarest_state_share"].notna().tolist() == named
    # A reason for every row that was not read or not balanced, a witness for every neutral one.
    assert frame["reason"].isna().tolist() == expected["balanced"]
    assert frame["oxidation_states"].notna().tolist() == expected["neutral"]
    assert [bad["formula"] for bad in judged.content["bad"]] == BAD


def test_fractions_match_a_plain_loop(judged: Report) -> None:
    rows = candidates()
    expected, n = oracle(rows, FORMULAS), len(rows)
    distinct = {c for c in expected["composition"] if c}
    novel = {c for c, is_novel in zip(expected["composition"], expected["novel"], strict=True) if is_novel}
    valid = {c for c, balanced in zip(expected["composition"], expected["balanced"], strict=True) if balanced}
    found = {name: judged.content[name] for name in METRICS}
    assert found == metrics.fractions(judged.content["counts"])
    assert found == pytest.approx(
        {
            "parsed": (n - len(BAD)) / n,
            "unique": len(distinct) / (n - len(BAD)),
            "novel": len(novel) / len(distinct),
            "charge_neutral": sum(expected["neutral"]) / n,
            "electronegativity_balanced": sum(expected["balanced"]) / n,
            "valid": sum(expected["balanced"]) / n,
            "balanced_common": sum(expected["common"]) / n,
            "rare_state": (judged.frame["rarest_state_share"] < 0.01).sum() / sum(expected["balanced"]),
            "intermetallic": sum(score >= 0.7 for score in expected["metallicity"]) / n,
            "valid_unique_novel": len(valid & novel) / n,
        }
    )
    groups = judged.content["groups"]
    for name, wanted in (("ionic", False), ("all_metal", True)):
        members = [i for i in range(n) if expected["parsed"][i] and expected["all_metal"][i] == wanted]
        inside = {expected["composition"][i] for i in members}
        assert groups[name]["n"] == len(members)
        assert groups[name]["valid"] == pytest.approx(sum(expected["balanced"][i] for i in members) / len(members))
        assert groups[name]["unique"] == pytest.approx(len(inside) / len(members))
        assert groups[name]["novel"] == pytest.approx(len(inside & novel) / len(inside))


def test_recovery_matches_sets() -> None:
    reference = Reference()
    rows = ["O3SrTi", "Sr2Ti2O6", "NaCl", "BaTiO3", "Li7Fe3", "CaCO3"]
    content = evaluate(rows, reference, baselines=False).content
    got = {Composition(row).reduced_composition for row in rows}
    for part in ("train", "test"):
        known = {Composition(f).reduced_composition for f in reference.part(part).formulas()}
        found = content["counts"]["recovery"][part]
        assert (found["found"], found["of"]) == (len(known & got), len(known))
        assert content["recovery"][part] == found["fraction"] == pytest.approx(len(known & got) / len(known))
    only_train = evaluate(rows, Reference(["NaCl", "KCl"]), baselines=False).content
    assert only_train["recovery"] == {"train": 0.5, "test": None}
    repeated = Reference(["NaCl", "Na2Cl2"])
    assert evaluate(rows, repeated, baselines=False).content["counts"]["recovery"]["train"]["of"] == 1


def test_columns_of_an_earlier_evaluation_are_replaced(judged: Report) -> None:
    again = evaluate(judged.frame.assign(valid="stale"), Reference(), baselines=False)
    pd.testing.assert_frame_equal(again.frame, judged.frame)


def test_no_row_parsed_gives_zeros() -> None:
    judged = metrics.judge_alone(2, parse_formulas(["Xx", None]), Reference().keyset().contains)
    tally = Tally(2)
    tally.add(judged)
    assert metrics.fractions(tally.count()) == dict.fromkeys(METRICS, 0.0)
    assert tally.groups()["ionic"]["n"] == 0
    assert judged.columns()["reason"].tolist() == ["no element 'Xx'", "missing"]


def test_empty_known_set_makes_everything_novel() -> None:
    known = KeySet(np.zeros((0, 2), dtype=np.uint64))
    judged = metrics.judge_alone(1, parse_formulas(["NaCl"]), known.contains)
    assert judged.columns()["novel"].tolist() == [True]


@pytest.mark.parametrize("symbols", [["Li", "O"], [e.symbol for e in Element][:40]])
def test_very_wide_formulas_are_written_as_the_others(symbols: list[str]) -> None:
    rows = ["NaCl", "".join(symbols), "Fe2O3", "".join(f"{symbol}2" for symbol in symbols[:13]) + "Og3"]
    batch = parse_formulas(rows).batch
    assert metrics.formulas(batch).tolist() == batch.formulas().tolist()


@settings(deadline=None)
@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = metrics.wilson(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    z = 1.959963984540054
    for bound in (low, high):  # the interval's ends solve |p_hat - p| = z sqrt(p (1 - p) / n)
        gap = abs(successes / trials - bound)
        assert gap == pytest.approx(z * np.sqrt(bound * (1 - bound) / trials), abs=1e-6)


def test_wilson_without_trials_knows_nothing() -> None:
    assert metrics.wilson(0, 0) == (0.0, 1.0)
