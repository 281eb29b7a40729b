"""Reading formula text, against pymatgen where pymatgen reads it, and row by row where it does not."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import reduce
from math import gcd, lcm

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from matgen.composition.batch import parse_formulas
from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS
from matgen.composition.parser import MAX_COUNT, parse_exact, parse_plain
from matgen.errors import FormulaError

SYMBOL = st.sampled_from(SYMBOLS[1:].tolist())
AMOUNT = st.one_of(
    st.just(""),
    st.integers(1, 30).map(str),
    st.tuples(st.integers(0, 9), st.integers(1, 99)).map(lambda pair: f"{pair[0]}.{pair[1]:02d}"),
)
PIECE = st.recursive(
    st.tuples(SYMBOL, AMOUNT).map("".join),
    lambda inner: st.tuples(
        st.lists(inner, min_size=1, max_size=3).map("".join), AMOUNT, st.sampled_from(["()", "[]", "{}"])
    ).map(lambda group: f"{group[2][0]}{group[0]}{group[2][1]}{group[1]}"),
    max_leaves=4,
)
FORMULA = st.lists(PIECE, min_size=1, max_size=4).map("".join)


def ratios(amounts: dict[int, Fraction]) -> dict[int, int]:
    """Smallest whole numbers in the same ratio."""
    scale = lcm(*(amount.denominator for amount in amounts.values()))
    whole = {z: int(amount * scale) for z, amount in amounts.items()}
    divisor = reduce(gcd, whole.values())
    return {z: amount // divisor for z, amount in whole.items()}


@settings(max_examples=300, deadline=None)
@given(FORMULA)
def test_same_ratios_as_pymatgen(formula: str) -> None:
    composition = Composition(formula)
    total = composition.num_atoms
    parsed = parse_formulas([formula])
    # Products of decimals may need more atoms than int32 holds: that is refused, not rounded.
    assume(not (parsed.bad and parsed.bad[0].reason.startswith(f"more than {MAX_COUNT} atoms")))
    # What chemists and pymatgen read differently (a point before H2O) is in test_spelling.
    assume(not any("decimal point or dot" in bad.reason or "zero for the letter O" in bad.reason for bad in parsed.bad))
    assume(not any("an oxidation state" in bad.reason or "the isotope" in bad.reason for bad in parsed.bad))
    assume(not any("oxidation state" in said.remark or "isotope" in said.remark for said in parsed.remarks))
    assume(not any("fractions" in said.remark or "hydrate" in said.remark for said in parsed.remarks))
    assert not parsed.bad, parsed.bad
    elements, counts = parsed.batch.elements[0], parsed.batch.counts[0]
    found = {SYMBOLS[z]: count / counts.sum() for z, count in zip(elements, counts, strict=True) if z}
    # pymatgen computes with floats and lets go amounts below 1e-8 of an atom
    assert found == pytest.approx({element.symbol: amount / total for element, amount in composition.items()}, abs=1e-7)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SYMBOL, st.integers(1, 40)), min_size=1, max_size=8))
def test_exactly_pymatgens_whole_numbers(parts: list[tuple[str, int]]) -> None:
    formula = "".join(f"{symbol}{count}" for symbol, count in parts)
    assume(not re.fullmatch("[A-Z][a-z]?[0-9]{2,}|.*[0-9]0[0-9]", formula))  # the exact reader has remarks on them
    assume(not parse_formulas([formula]).remarks)  # on labeled compounds, such as N15H3, too
    expected = ratios({Element(e.symbol).Z: Fraction(int(a)) for e, a in Composition(formula).items()})
    assert parse_exact(formula).counts == expected
    row, atomic_number, count, plain = parse_plain([formula, "x", formula])
    assert plain.tolist() == [True, False, True]
    for wanted in (0, 2):
        amounts: dict[int, Fraction] = {}
        for z, amount in zip(atomic_number[row == wanted].tolist(), count[row == wanted].tolist(), strict=True):
            amounts[z] = amounts.get(z, Fraction(0)) + amount
        assert ratios(amounts) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ABCFeOaNnlIVSi0123456789.()[]{} \n\t+-e·₂é%", max_size=12))
def test_the_two_readers_agree_on_any_text(text: str) -> None:
    """A batch says of a row what the exact reader says of it, whatever the text and the rows beside it."""
    parsed = parse_formulas(["NaCl", text, "KBr"])
    try:
        expected = parse_exact(text).counts
    except FormulaError as error:
        assert [bad.reason for bad in parsed.bad] == [str(error)]
        assert parsed.rows.tolist() == [0, 2]
        assert parsed.batch.formulas().tolist() == ["NaCl", "KBr"]
        return
    assert not parsed.bad
    found = zip(parsed.batch.elements[1].tolist(), parsed.batch.counts[1].tolist(), strict=True)
    assert {z: count for z, count in found if z} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C Cl O", {"C": 1, "Cl": 1, "O": 1}),  # substring counts gave C 2
        ("Ca C O O O", {"Ca": 1, "C": 1, "O": 3}),
        ("Sr Ti O O O", {"Sr": 1, "Ti": 1, "O": 3}),
        ("Co O", {"Co": 1, "O": 1}),
        ("CO", {"C": 1, "O": 1}),
        ("No Na N", {"No": 1, "Na": 1, "N": 1}),
        ("Ca3(PO4)2", {"Ca": 3, "P": 2, "O": 8}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("Fe₂O₃", {"Fe": 2, "O": 3}),
        ("Li0.5CoO2", {"Li": 1, "Co": 2, "O": 4}),
        ("La.5Sr.5MnO3", {"La": 1, "Sr": 1, "Mn": 2, "O": 6}),
        ("Fe0.333", {"Fe": 1}),
        ("Fe1e1O", {"Fe": 10, "O": 1}),
        ("D2O", {"H": 2, "O": 1}),
        ("HDO", {"H": 2, "O": 1}),
        ("Fe0O2", {"O": 1}),
        ("  NaCl\n", {"Na": 1, "Cl": 1}),
        ("Na\nCl", {"Na": 1, "Cl": 1}),  # pymatgen passes over any white space
        ("H1000000C3", {"H": 1000000, "C": 3}),
        ("Og", {"Og": 1}),
    ],
)
def test_readings(text: str, expected: dict[str, int]) -> None:
    assert parse_exact(text).counts == {ATOMIC_NUMBER[symbol]: count for symbol, count in expected.items()}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty formula"),
        ("   ", "empty formula"),
        ("Xx2O3", "no element 'Xx'"),
        ("Uue", "no element 'Uue'"),
        ("SRTIO3", "no element 'R'"),
        ("nacl", "unexpected 'n'"),
        ("2H2O", "unexpected '2'"),
        ("Fe-2O3", "negative amount"),
        ("Na+Cl", "'+' joins two substances"),
        ("SrTiO3-0.1", "'3-0.1' is no number"),
        ("(Mg,Fe)2SiO4", "elements that share a site"),
        ("Fe2O3/TiO2", "'/' joins two substances"),
        ("CeOy", "is 'y' an unknown amount?"),
        ("Fe(OH", "opening bracket without"),
        ("FeOH)2", "closing bracket without"),
        ("Fe()2", "empty brackets"),
        ("Fe0", "all amounts are zero"),
        ("Fe1e999999999O", "out of range"),
        ("Fe1e10O", "out of range"),
        ("Fe" + "9" * 40, "out of range"),
        ("Fe1 2O", "blank inside a number"),
        ("·", "no element before or after a dot"),
        ("(" * 40 + "Fe" + ")" * 40, "nested more than"),
        ("Fe" * 6000, "12000 characters"),
        ("Fé2", "unexpected"),
        ("水", "unexpected"),
        ("Fe2147483648O", "more than 2147483647 atoms"),
        ("Fe0.00000013O1000", "more than 2147483647 atoms"),
        ("<script>", "unexpected '<'"),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    with pytest.raises(FormulaError) as error:
        parse_exact(text)
    assert reason in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 120


def test_plain_reader_leaves_long_numbers_to_the_exact_one() -> None:
    *_, plain = parse_plain(["Fe999999999", "Fe9999999999", "Fe0000000001O"])
    assert plain.tolist() == [False, False, False]
    *_, plain = parse_plain(["Fe999999999O", "Fe9999999999O", "Fe0000000001O"])
    assert plain.tolist() == [True, False, False]
    with pytest.raises(FormulaError, match="zero for the letter O"):
        parse_exact("Fe0000000001O")


def test_no_rows() -> None:
    row, atomic_number, count, plain = parse_plain([])
    assert len(row) == len(atomic_number) == len(count) == len(plain) == 0
    assert plain.dtype == np.bool_


@pytest.mark.parametrize(
    "text",
    ["Fe2(SO4)3", "(NH4)2SO4", "Ca(OH)2", "Al(Fe)", "K(HF2)0Cl", "(Na)(Cl)", "Mg(OH)2(H2O)6", "((Fe)2)3", "Ca(", "Ca)",
     "Ca()", "Ca(2)", ")(", "Na)Cl(", "(Na", "Ca(OH)9999999999", "(Fe99999)99999", "Fe(CN)6)", "a(Fe)"],
)  # fmt: skip
def test_one_level_of_brackets_is_read_alike_by_both_readers(text: str) -> None:
    parsed = parse_formulas(["NaCl", text, "K(HF2)"])
    try:
        expected = parse_exact(text).counts
    except FormulaError as error:
        assert [bad.reason for bad in parsed.bad] == [str(error)]
    else:
        atoms = dict(zip(parsed.batch.elements[1].tolist(), parsed.batch.counts[1].tolist(), strict=True))
        atoms.pop(0, None)
        assert atoms == expected
    assert parsed.batch.formulas()[0] == "NaCl"
    assert parsed.batch.formulas()[-1] == "KHF2"
