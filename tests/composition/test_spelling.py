"""Formulas as people write them: the reading that chemists would give, a remark, or a refusal; never another number."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition

from matgen.composition import kernels
from matgen.composition.batch import BadFormula, CompositionBatch, Remark, parse_formulas
from matgen.composition.elements import SYMBOLS
from matgen.composition.rounding import as_fraction
from matgen.composition.spelling import DOT

READ = [  # text, the same in another form, part of the remark
    ("Fe 2 O 3", "Fe2O3", ""),
    ("Al2 O3", "Al2O3", ""),
    ("Na2 CO3", "Na2CO3", ""),
    ("H 2 O", "H2O", ""),
    ("La 0.5 Sr 0.5 Mn 1 O 3", "LaSrMn2O6", ""),
    ("CuSO4.5H2O", "CuSO9H10", "the point is read as the dot"),
    ("MgCl2.6H2O", "MgCl2O6H12", "the point is read as the dot"),
    ("Na2CO3.10H2O", "Na2CO13H20", "CO3·10H2O"),
    ("Zn(NO3)2.6H2O", "ZnN2O12H12", "the point is read as the dot"),
    ("CaSO4.0.5H2O", "Ca2S2O9H2", "the point is read as the dot"),
    ("CuCl2.2NH3", "CuCl2N2H6", "the point is read as the dot"),
    ("KAl(SO4)2.12D2O", "KAlS2O20H24", "D is read as hydrogen"),
    ("NaCl.H2O", "NaClH2O", ""),
    ("3CaO.2SiO2", "Ca3Si2O7", ""),
    ("CaO.SiO2", "CaSiO3", ""),
    ("CaSO4·½H2O", "Ca2S2O9H2", ""),
    ("LiNi1/3Mn1/3Co1/3O2", "Li3NiMnCoO6", ""),
    ("C60", "C", ""),
    ("Mn20", "Mn", "20 atoms of Mn alone: zero for the letter O?"),
    ("K2Cr207", "K2Cr207", "207 atoms of Cr: zero for the letter O?"),
    ("FeO0", "Fe", "no atom of O"),
    ("NH40H", "NH41", "H40H: zero for the letter O? write H4OH"),
    ("C2H50H", "C2H51", "H50H: zero for the letter O? write H5OH"),
    ("(NH4)20H2", "N20H82", ""),
    ("C20H42", "C10H21", ""),
    ("HfH20", "HfH20", ""),
    ("YBCO", "YBCO", "short for YBa2Cu3O7?"),
    ("YbBCO", "YbBCO", "short for YbBa2Cu3O7?"),
    ("KNN", "KN2", "short for K0.5Na0.5NbO3?"),
    ("STO", "SHO", "short for SrTiO3?"),
    ("LiBCO", "LiBCO", ""),
    ("KCN", "KCN", ""),
    ("(H)0.02(H0.33)0.01", "H", ""),
    ("Fe0.6667O1", "Fe2O3", "0.6667 as 2/3"),
    ("Fe0.6666666666666666O", "Fe2O3", "as 2/3"),
    ("Li0.30000000000000004CoO2", "Li3Co10O20", "as 3/10"),
    ("La0.67Sr0.33MnO3", "La2SrMn3O9", "0.67 as 2/3, 0.33 as 1/3"),
    ("La0.7Sr0.3MnO3", "La7Sr3Mn10O30", ""),
    ("La1.88Sr0.12CuO4", "La47Sr3Cu25O100", ""),
    ("H₂¹⁸O", "H2O", "¹⁸O is read as O"),
    ("⁷LiCoO₂", "LiCoO2", "⁷Li is read as Li"),
    ("D2O", "H2O", "D is read as hydrogen"),
    ("NaN", "NaN", "sodium nitride, or a missing value?"),
    ("La0.5Sr0.5MnO3", "LaSrMn2O6", ""),
    ("Fe\u200b2O3", "Fe2O3", ""),
    ("H2[18O]", "H2O", "¹⁸O is read as O, whatever the isotope"),
    ("(13C)O2", "CO2", "¹³C is read as C"),
    ("(235U)O2", "UO2", "²³⁵U is read as U"),
    ("H2O18", "H2O18", "18 atoms of O, or the isotope 18O?"),
    ("N15H3", "N15H3", "15 atoms of N, or the isotope 15N?"),
    ("U235O2", "U235O2", "235 atoms of U, or the isotope 235U?"),
    ("Si29O2", "Si29O2", "or the isotope 29Si?"),
    ("Al26", "Al", ""),
    ("U235", "U", ""),
    ("Be3Al2Si6O18", "Be3Al2Si6O18", ""),
    ("C13H10", "C13H10", ""),
    ("C60H118O2", "C60H118O2", ""),
    ("AcMg149", "AcMg149", ""),
    ("Fe744Cr186Ni70", "Fe744Cr186Ni70", ""),
    ("Pb(I)2", "PbI2", "(I) is read as iodine"),
    ("CsPb(I)3", "CsPbI3", "(I) is read as iodine"),
    ("(I)2", "I2", ""),
    ("VI3", "VI3", ""),
    ("Hg2I2", "HgI", ""),
    ("MnIVO2", "MnIVO2", "IV is read as elements: write Mn(IV)"),
    ("CrVIO3", "CrVIO3", "VI is read as elements: write Cr(VI)"),
]
REFUSED = [
    ("GaN 3.4", "two columns"),
    ("MgO 225", "two columns"),
    ("GaN\t3.4", "two columns"),
    ("GaN -3.4", "two columns"),
    ("Ga N 3.4", "two columns"),
    ("GaN,3.4", "two columns"),
    ("1 GaN", "two columns"),
    ("Ca(NO3)2 4H2O", "write Ca(NO3)2·4H2O"),
    ("Fe2O3 Fe3O4", "two formulas in one? Fe2O3 and Fe3O4"),
    ("Fe@C", "'@' joins two substances"),
    ("La0.5Sr0.5CoO3.5H2O", "write La0.5Sr0.5CoO3·5H2O"),
    ("Al2O3.2SiO2", "write Al2O3·2SiO2"),
    ("Al2O3.2SiO2.2H2O", "decimal point or dot?"),
    ("Fe203", "zero for the letter O?"),
    ("H20", "zero for the letter O?"),
    ("Si02", "zero for the letter O?"),
    ("C02", "zero for the letter O?"),
    ("LiFeP04", "zero for the letter O?"),
    ("Ca(0H)2", "zero for the letter O?"),
    ("(OH)02", "zero for the letter O?"),
    ("Fe2O3/2TiO2", "a fraction of an atom is below 1"),
    ("Fe²O³", "superscript digits"),
    ("O1½", "a fraction after a digit"),
    ("M2O3", "a placeholder?"),
    ("H218O", "218 atoms of H, or H2 and the isotope 18O?"),
    ("D217O", "or D2 and the isotope 17O?"),
    ("H214CO3", "or H2 and the isotope 14C?"),
    ("Na2235UO4", "or Na2 and the isotope 235U?"),
    ("13CO2", "a mass number is no part"),
    ("UO2-235", "is no number"),
    ("MoS2(2H)", "unexpected '2'"),
    ("FeIIO", "II: an oxidation state, or iodine? write Fe(II)"),
    ("FeIII2O3", "III: an oxidation state, or iodine? write Fe(III)"),
    ("Cu(I)", "(I): an oxidation state, or iodine? write Cu or CuI"),
    ("CsPb(I)Br2", "write CsPbBr2 or CsPbIBr2"),
    ("Fe2(V)Al", "(V): an oxidation state, or vanadium? write Fe2Al or Fe2VAl"),
    ("Bi(V)O4", "write BiO4 or BiVO4"),
    ("(II)O", "(II): an oxidation state, of which element?"),
]


@pytest.mark.parametrize(("text", "same", "remark"), READ)
def test_read(text: str, same: str, remark: str) -> None:
    parsed = parse_formulas([text])
    assert not parsed.bad
    assert parsed.batch.formulas().tolist() == CompositionBatch.from_arrays(*_arrays(same)).formulas().tolist()
    said = [one.remark for one in parsed.remarks]
    assert (remark in said[0]) if remark else not said


def _arrays(formula: str) -> tuple:
    import numpy as np

    amounts = Composition(formula).get_el_amt_dict()
    return np.array([[Composition(symbol).elements[0].Z for symbol in amounts]]), np.array(
        [[round(amount) for amount in amounts.values()]]
    )


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused(text: str, reason: str) -> None:
    (bad,) = parse_formulas([text]).bad
    assert reason in bad.reason and "\n" not in bad.reason


def test_the_compiled_reader_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for text, *_ in READ] + [text for text, _ in REFUSED]
    few = parse_formulas(texts)
    monkeypatch.setattr(kernels, "_WORTH_LOADING", 1)
    monkeypatch.setattr(kernels, "_WORTH_USING", 1)
    many = parse_formulas(texts * 2)
    assert many.batch[: len(few.batch)].formulas().tolist() == few.batch.formulas().tolist()
    assert many.bad[: len(few.bad)] == few.bad and len(many.bad) == 2 * len(few.bad)
    assert many.remarks[: len(few.remarks)] == few.remarks and len(many.remarks) == 2 * len(few.remarks)


@pytest.mark.parametrize("dot", [*"·•*‧⸱˙∙⋅・.", " · ", " . ", ". ", " .", "* "])
@pytest.mark.parametrize("part", ["5H2O", "H2O", "6NH3", "0.5H2O"])
def test_all_dots_are_alike(dot: str, part: str) -> None:
    apart = part if part == "H2O" or "N" in part else part.replace("H", " H")
    parsed = parse_formulas([f"CuSO4{dot}{part}", f"CuSO4{dot}{apart}", f"CuSO4{DOT}{part}"])
    assert not parsed.bad
    assert len(set(parsed.batch.formulas())) == 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SYMBOLS[1:].tolist()), st.integers(1, 9), st.sampled_from(SYMBOLS[1:].tolist()),
       st.integers(1, 9), st.decimals(0, 300, places=1))  # fmt: skip
def test_a_number_beside_a_formula_is_never_part_of_it(one: str, n: int, other: str, m: int, number: object) -> None:
    assert parse_formulas([f"{one}{n}{other}{m} {number}"]).bad


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9), st.sampled_from([3, 6, 7, 9]), st.integers(3, 17), st.booleans())
def test_a_rounded_fraction_is_the_fraction(numerator: int, denominator: int, places: int, cut: bool) -> None:
    from fractions import Fraction
    from math import floor

    value = Fraction(numerator, denominator)
    scaled = value * 10**places
    digits = floor(scaled) if cut else round(scaled)
    text = f"{digits // 10**places}.{digits % 10**places:0{places}d}"
    found = as_fraction(text)
    assert (Fraction(text) if found is None else found) == value


def test_a_text_is_one_formula() -> None:
    assert CompositionBatch.from_formulas("CO").formulas().tolist() == ["CO"]
    assert parse_formulas("Fe2O3").batch.formulas().tolist() == ["Fe2O3"]


def test_remarks_name_their_row() -> None:
    parsed = parse_formulas(["MgO", "Xx", "CuSO4.5H2O"])
    assert isinstance(parsed.bad[0], BadFormula) and isinstance(parsed.remarks[0], Remark)
    assert str(parsed.remarks[0]).startswith("row 3: 'CuSO4.5H2O': the point")
