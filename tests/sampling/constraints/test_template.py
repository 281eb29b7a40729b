from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import reduce
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS, ORDER_RANK, SYMBOLS
from matgen.errors import FormulaError, MatgenError, OptionError
from matgen.sampling.constraints.template import (
    Template,
    completions,
    mask,
    masked_elements,
    read_template,
    with_insertion,
    without_each,
)
from matgen.sampling.tinkering.dilution import diluted, read_share

EVERY = np.arange(N_ELEMENTS + 1) > 0
POOL = ["Li", "Fe", "O", "H", "Pb", "W", "N"]


def numbers(symbols: str) -> tuple[int, ...]:
    return tuple(ATOMIC_NUMBER[symbol] for symbol in symbols.split())


def allowing(symbols: str) -> np.ndarray:
    return np.isin(np.arange(N_ELEMENTS + 1), numbers(symbols))


def in_order(pairs: dict[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(pairs.items(), key=lambda pair: ORDER_RANK[pair[0]]))


templates = st.builds(
    Template,
    st.dictionaries(st.integers(1, N_ELEMENTS), st.integers(1, 999_999), max_size=4).map(in_order),
    st.lists(st.integers(1, 999_999), min_size=1, max_size=4).map(tuple),
)


@given(templates)
def test_what_is_written_is_read_back(template: Template) -> None:
    assert read_template(str(template)) == template


def test_ways_of_writing() -> None:
    for text in ("_ Ti O O O", "_ Ti O3", "Ti O3 _", "_TiO3", " Ti _ O2 O1 ", "O3,Ti,_"):
        template = read_template(text)
        assert template == Template(((22, 1), (8, 3)), (1,)), text
        assert str(template) == "_ Ti O3"
        assert template.n_atoms == 5
    assert read_template("_3 _2 _ _3 Al2 O12").blanks == (3, 2, 1, 3)
    assert read_template("_") == Template((), (1,))


@given(st.text(alphabet="_SrTiOx03 (),.?\n-é²", max_size=12) | st.text(max_size=12))
def test_garbage_is_refused_in_one_line(text: str) -> None:
    try:
        template = read_template(text)
    except MatgenError as error:
        assert "\n" not in str(error)
    else:
        assert read_template(str(template)) == template


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ti O3", "has no blank"),
        ("", "has no blank"),
        ("_0 Ti O3", "a blank with 0 atoms"),
        ("_ Ti0 O3", "Ti with 0 atoms"),
        ("_ Xx O3", "no element 'Xx'"),
        ("_ (PO4)2", r"cannot be read at '\(PO4\)2'"),
        ("_ O9999999", "cannot be read at 'O9999999'"),
        ("_ ti", "cannot be read at 'ti'"),
        ("_ O" * 100 + "!", r"^template '(_ O)+\.\.\.' cannot be read at '!'"),
    ],
)
def test_unreadable_templates(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        read_template(text)


def test_templates_without_blanks_or_atoms() -> None:
    with pytest.raises(FormulaError, match="without atoms"):
        Template((), (0,))
    with pytest.raises(FormulaError, match="no blank"):
        Template(((8, 1),), ())


def by_hand(template: Template, symbols: list[str]) -> dict[str, set[tuple[str, ...]]]:
    """Formula to the fillings that give it, by trying all."""
    filled: dict[str, set[tuple[str, ...]]] = {}
    fixed = {str(SYMBOLS[z]): atoms for z, atoms in template.fixed}
    for fills in product(symbols, repeat=len(template.blanks)):
        if template.distinct and (len(set(fills)) < len(fills) or set(fills) & set(fixed)):
            continue
        atoms: Counter[str] = Counter(fixed)
        for symbol, count in zip(fills, template.blanks, strict=True):
            atoms[symbol] += count
        if reduce(math.gcd, atoms.values()) == 1:
            formula = CompositionBatch.from_formulas(["".join(f"{s}{c}" for s, c in atoms.items())]).formulas()[0]
            filled.setdefault(str(formula), set()).add(fills)
    return filled


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from([ATOMIC_NUMBER[s] for s in POOL]), st.integers(1, 4), max_size=3).map(in_order),
    st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.sets(st.sampled_from(POOL), min_size=1, max_size=5),
)
def test_completions_are_those_found_by_trying_all(fixed, blanks, distinct, symbols) -> None:
    template = Template(fixed, blanks, distinct)
    expected = by_hand(template, sorted(symbols))
    if not expected:
        with pytest.raises(OptionError, match="too few elements|multiple of a smaller formula"):
            completions(template, allowing(" ".join(symbols)))
        return
    filled = completions(template, allowing(" ".join(symbols)))
    formulas = filled.batch.formulas().tolist()
    assert len(formulas) == len(set(formulas))
    assert set(formulas) == set(expected)
    for formula, fills in zip(formulas, filled.fills, strict=True):
        assert tuple(SYMBOLS[fills]) in expected[formula]
        for atoms in set(blanks):
            alike = ORDER_RANK[fills[np.array(blanks) == atoms]].astype(int)
            assert (np.diff(alike) >= 0).all()


def test_number_of_completions() -> None:
    assert len(completions(read_template("_ Ti O3"), EVERY)) == 118
    assert len(completions(mask("SrTiO3", "Sr"), EVERY)) == 116
    assert len(completions(mask("SrTiO3", ["Sr", "Ti"]), EVERY)) == 117 * 116 // 2
    assert len(completions(read_template("_ _ _"), EVERY)) == 280_840 - 118  # A3 is A
    with pytest.raises(OptionError, match=r"1,643,032 ways, at most 300,000"):
        completions(read_template("_ _2 _3"), EVERY)
    with pytest.raises(OptionError, match="ways, at most"):
        completions(read_template("_" * 500), EVERY)
    many = mask("".join(f"{symbol}{i}" for i, symbol in enumerate(SYMBOLS[1:31], 1)), list(range(1, 31)))
    with pytest.raises(OptionError, match="too few elements"):
        completions(many, EVERY & (np.arange(N_ELEMENTS + 1) < 30))
    assert len(completions(read_template("_" * 60 + "O7"), allowing("N"))) == 1
    part = completions(mask("NaCl", "Na"), EVERY)[:3]
    assert len(part) == len(part.batch) == 3


def test_masks() -> None:
    for sites in ("Sr", "1", ["Sr"], [1], 1, ("Sr", "1")):
        template = mask("SrTiO3", sites)
        assert template == Template(((22, 1), (8, 3)), (1,), distinct=True)
        assert masked_elements("SrTiO3", template) == numbers("Sr")
    assert mask("Sr2Ti2O6", "O,Sr") == mask("SrTiO3", "Sr O") == Template(((22, 1),), (1, 3), distinct=True)
    assert masked_elements("SrTiO3", mask("SrTiO3", "O Sr")) == numbers("Sr O")
    # Places are in the order of the tokens: W is less electronegative than Pb in SMACT's table.
    assert mask("PbWO4", 1) == mask("PbWO4", "W")
    assert mask("Fe", "Fe") == Template((), (1,), distinct=True)
    for sites, message in {
        "Ca": "SrTiO3 has no Ca, only Sr, Ti, O",
        "4": "SrTiO3 has the places 1 Sr, 2 Ti, 3 O",
        "0": "has the places",
        "-1": "'-1' is no element and no place",
        "²": "is no element and no place",
        "9" * 5000: "is no element and no place",
        "sr": "is no element and no place",
        " , ": "names no site",
    }.items():
        with pytest.raises(OptionError, match=message):
            mask("SrTiO3", sites)
    with pytest.raises(FormulaError, match="formula 'SrXx': no element 'Xx'"):
        mask("SrXx", "Sr")


def test_insertion_and_deletion() -> None:
    template = with_insertion("Sr2Ti2O6", 2)
    assert template == Template(((38, 1), (22, 1), (8, 3)), (2,))
    assert "SrTiO5" in completions(template, EVERY).batch.formulas()
    with pytest.raises(OptionError, match="insert is 0"):
        with_insertion("NaCl", 0)
    left = without_each("K2Cr2O7")
    assert SYMBOLS[left.fills[:, 0]].tolist() == ["K", "Cr", "O"]
    assert left.batch.formulas().tolist() == ["Cr2O7", "K2O7", "KCr"]
    with pytest.raises(OptionError, match="O2 has one element only"):
        without_each("O3")


@pytest.mark.parametrize(
    ("written", "share"),
    [("0.125", Fraction(1, 8)), ("1/8", Fraction(1, 8)), (0.1, Fraction(1, 10)), ("0.3333", Fraction(1, 3)), (1, 1)],
)
def test_shares(written, share) -> None:
    assert read_share(written) == share


@pytest.mark.parametrize("bad", ["0", "-0.5", "1.5", "1.0001", "nan", "inf", "1e400", "x", "", "1/0", "0.0001", "9/8"])
def test_shares_out_of_range(bad: str) -> None:
    with pytest.raises(OptionError, match="above 0 and at most 1"):
        read_share(bad)


def test_dilution_by_name() -> None:
    fills = np.array(numbers("La Sr"), dtype=np.uint8)
    assert diluted("SrTiO3", 38, fills, Fraction(1, 8)).formulas().tolist() == ["Sr7LaTi8O24", "SrTiO3"]
    assert diluted("SrTiO3", 38, fills, Fraction(1)).formulas().tolist() == ["LaTiO3", "SrTiO3"]
    assert diluted("Y3Al5O12", 39, fills[:1], Fraction(1, 3)).formulas().tolist() == ["LaY2Al5O12"]


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=3), st.integers(1, 12), st.data())
def test_dilution_takes_the_smallest_cell(counts, denominator, data) -> None:
    symbols = ["Li", "Fe", "O"][: len(counts)]
    formula = "".join(f"{symbol}{count}" for symbol, count in zip(symbols, counts, strict=True))
    share = Fraction(data.draw(st.integers(1, denominator)), denominator)
    host = [count // math.gcd(*counts) for count in counts]
    cells = next(m for m in range(1, 1000) if (m * host[0] * share).denominator == 1)
    expected = {"Mg": int(cells * host[0] * share), "Li": int(cells * host[0] * (1 - share))}
    expected |= {symbol: cells * count for symbol, count in zip(symbols[1:], host[1:], strict=True)}
    (row,) = diluted(formula, 3, np.array([12], dtype=np.uint8), share)
    batch = CompositionBatch.from_formulas([row])
    pairs = zip(SYMBOLS[batch.elements[0]], batch.counts[0].tolist(), strict=True)
    assert {symbol: count for symbol, count in pairs if count} == {s: c for s, c in expected.items() if c}
