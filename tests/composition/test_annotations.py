"""Phases, labels, dopants, charges and markup in a formula's cell, and compositions that are no text."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice, Molecule, Structure
from pymatgen.entries.computed_entries import ComputedEntry
from pymatgen.util.string import htmlify, latexify, unicodeify

from matgen.composition.alloys import from_weight_percent
from matgen.composition.batch import CompositionBatch, as_texts, parse_formulas
from matgen.composition.elements import PYMATGEN_ELECTRONEGATIVITY, SYMBOLS
from matgen.errors import FormulaError
from tests.data.real_formulas import READ, REFUSED


@pytest.mark.parametrize(("text", "formula", "remark", "note"), READ, ids=[case[0] for case in READ])
def test_read(text: str, formula: str, remark: str, note: str) -> None:
    parsed = parse_formulas([text])
    assert not parsed.bad
    assert parsed.batch.formulas().tolist() == [formula]
    assert [bool(one.remark) for one in parsed.remarks] == ([True] if remark else [])
    assert all(remark in one.remark and one.note == note for one in parsed.remarks)


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused(text: str, reason: str) -> None:
    (bad,) = parse_formulas([text]).bad
    assert reason in bad.reason and "\n" not in bad.reason


PLAIN = st.lists(
    st.tuples(st.sampled_from(SYMBOLS[np.isfinite(PYMATGEN_ELECTRONEGATIVITY)].tolist()), st.integers(1, 19)),
    min_size=2,
    max_size=4,
    unique_by=lambda p: p[0],
).map(lambda parts: "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in parts))


@settings(max_examples=200, deadline=None)
@given(
    PLAIN,
    st.sampled_from(
        ["{}_rutile", "{} (quartz)", "α-{}", "beta-{}", "{}:Ce", "{}^2-", "{}(s)", "- {} -", '"{}"', "{} (100)"]
    ),
)
def test_what_is_beside_a_formula_does_not_change_it(formula: str, around: str) -> None:
    parsed = parse_formulas([around.format(formula)])
    assert [str(bad) for bad in parsed.bad] == []
    assert parsed.batch.formulas()[0] == Composition(formula).reduced_formula


@settings(max_examples=200, deadline=None)
@given(PLAIN, st.sampled_from([latexify, htmlify, unicodeify]))
def test_pymatgens_markup(formula: str, markup: object) -> None:
    parsed = parse_formulas([markup(formula)])  # type: ignore[operator]
    assert not parsed.bad and not parsed.remarks
    assert parsed.batch.formulas()[0] == Composition(formula).reduced_formula


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="FeOxCaH2345.+-^_(){}[]$\\<>sub/:;%α· '\"", max_size=14))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    parsed = parse_formulas([text])
    assert len(parsed.batch) + len(parsed.bad) == 1
    assert all("\n" not in bad.reason and len(bad.reason) < 160 for bad in parsed.bad)


def test_long_texts_take_no_time() -> None:
    for text in (
        "Fe" + " " * 9000 + "x",
        "Fe" + "(" * 9000,
        "Fe" + "-" * 9000,
        "Fe" + "_" * 9000,
        "Fe ," * 2000,
        "<sup>" * 1900,
        "rutile " * 1200,
        "Fe_2" * 2500 + "x",
    ):
        assert parse_formulas([text]).bad


STRUCTURE = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0] * 3, [0.5] * 3])
OBJECTS = [
    ({"Fe": 2, "O": 3}, "Fe2O3"),
    ({26: 2, 8: 3}, "Fe2O3"),
    ({"Li": Fraction(1, 2), "Co": np.int64(1), "O": np.float32(2)}, "Li(CoO2)2"),
    (Composition("Fe2O3"), "Fe2O3"),
    (Composition({"Fe3+": 1, "Fe2+": 1, "O2-": 2.5}), "Fe4O5"),
    (STRUCTURE, "NaCl"),
    (Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0] * 3, [0.5] * 3]), "KNaCl2"),
    (Molecule(["H", "H", "O"], [[0, 0, 0], [0, 0, 1], [1, 0, 0]]), "H2O"),
    (ComputedEntry("LiFePO4", -1.0), "LiFePO4"),
    (Atoms("CO2"), "CO2"),
    (bulk("NaCl", "rocksalt", 5.6), "NaCl"),
]


@pytest.mark.parametrize(("one", "formula"), OBJECTS, ids=[str(type(one).__name__) for one, _ in OBJECTS])
def test_objects(one: object, formula: str) -> None:
    expected = CompositionBatch.from_formulas([formula]).keys().tolist()
    assert CompositionBatch.from_formulas(one).keys().tolist() == expected  # one, not its elements or sites
    assert CompositionBatch.from_formulas([one]).keys().tolist() == expected
    assert parse_formulas(["Fe2O3", one]).batch[1:].keys().tolist() == expected
    assert CompositionBatch.from_formulas(as_texts([one])).keys().tolist() == expected


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        ({"Xx": 1}, "no element 'Xx'"),
        ({"Fe": "many"}, "is no number"),
        ({"Fe": float("nan")}, "amount of Fe is nan"),
        ({"Fe": -1}, "negative amount of Fe"),
        ({}, "empty composition"),
        (Composition({"X": 1, "O": 1}), "no element 'X'"),
        (Atoms("X"), "'X' is no element"),
        (3, "not text but int"),
        (None, "missing"),
    ],
)
def test_objects_that_are_refused(one: object, reason: str) -> None:
    parsed = parse_formulas(["NaCl", one])
    assert len(parsed.batch) == 1 and reason in parsed.bad[0].reason and parsed.bad[0].row == 1
    assert "\n" not in str(parsed.bad[0])


def test_a_table_is_no_formula() -> None:
    with pytest.raises(FormulaError, match="a table instead of formulas"):
        parse_formulas(pd.DataFrame({"formula": ["NaCl"]}))


def test_nothing_is_imported_for_text() -> None:
    code = (
        "import sys; from matgen import CompositionBatch; "
        "CompositionBatch.from_formulas(['NaCl', {'Fe': 1}, 'α-Fe2O3']); "
        "assert not {'pymatgen', 'ase'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_notes_as_a_column() -> None:
    parsed = parse_formulas(["NaCl", "Xx", "SiO2 (quartz)", "SO4^2-"])
    assert {name: notes.tolist() for name, notes in parsed.note_column().items()} == {
        "formula_note": ["", "quartz", "2-"]
    }
    assert parse_formulas(["NaCl", "CuSO4.5H2O"]).note_column() == {}


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["Al", "V", "Cr", "Ni", "C", "Mo", "Sn", "W"]), st.integers(1, 200), min_size=1, max_size=5
    )
)
def test_weight_per_cent_as_pymatgen(tenths: dict[str, int]) -> None:
    shares = {symbol: tenth / 20 for symbol, tenth in tenths.items()}
    text = "Fe" + "".join(f"-{share:g}{symbol}" for symbol, share in shares.items())
    alloy = from_weight_percent(text)
    oracle = Composition.from_weight_dict({"Fe": 100 - sum(shares.values()), **shares})
    assert alloy.atomic_fractions == pytest.approx({e.symbol: oracle.get_atomic_fraction(e) for e in oracle})
    batch = CompositionBatch.from_formulas(alloy.formula)
    read = dict(zip(SYMBOLS[batch.elements[0]], batch.counts[0] / batch.counts[0].sum(), strict=True))
    assert {k: v for k, v in read.items() if k} == pytest.approx(alloy.atomic_fractions, abs=3e-4)
    assert "weight per cent" in parse_formulas([text]).bad[0].reason


@pytest.mark.parametrize("text", ["Ti-6Al-4V", "Ti-6Al-4V (wt%)", "Ti - 6 wt% Al - 4 wt% V", "90Ti-6Al-4V"])
def test_forms_of_alloys(text: str) -> None:
    assert from_weight_percent(text).formula == "Ti8620Al1020V360"
    assert from_weight_percent({"Ti": 90, "Al": 6, "V": 4}).formula == "Ti8620Al1020V360"


@pytest.mark.parametrize(
    ("alloy", "reason"),
    [
        ("Ti-60Al-50V", "nothing is left"),
        ("Ti-6Xx", "no element 'Xx'"),
        ("Ti-6Al-4Al", "named twice"),
        ("Ti6Al4V", "cannot read the alloy"),
        ("50Fe-10Ni", "60 weight per cent in all"),
        ("Fe-0.0001C", "leave it out"),
        ({"Fe": 50.0}, "50 weight per cent in all"),
        ({"Fe": "much"}, "must be numbers"),
        ({"Fe": float("nan")}, "must be numbers"),
        ("", "cannot read the alloy"),
    ],
)
def test_alloys_that_are_refused(alloy: object, reason: str) -> None:
    with pytest.raises(FormulaError, match=reason):
        from_weight_percent(alloy)  # type: ignore[arg-type]
