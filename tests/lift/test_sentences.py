import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import DataError, OptionError
from matgen.lift.columns import Column, describe, typed
from matgen.lift.number_format import NumberFormat
from matgen.lift.sentences import END_OF_COMPLETION, END_OF_PROMPT, Sentences, element_fractions

A = Column("a", "number", "eV", NumberFormat(2))
B = Column("b", "category", values=("x", "y"))
TEXT = Column("note", "text")
LABEL = Column("label", "category", values=("no", "yes"))


def test_the_published_sentence():
    sentences = Sentences((A, B), LABEL)
    row = {"a": 1.5, "b": "x", "label": "yes"}
    assert sentences.prompt(row) == "When we have a=1.50 eV, b=x, what should be the label?###"
    assert sentences.completion("yes") == "yes@@@"
    published = Sentences((A, B), LABEL, "x1")
    assert published.prompt(row) == "When we have x1=1.50 eV, x2=x, what should be the y value?###"


def test_shuffled_names_are_those_of_other_columns_and_stay():
    columns = tuple(Column(name, "number", format=NumberFormat(0)) for name in "abcdef")
    first, again = Sentences(columns, LABEL, "shuffled", seed=3), Sentences(columns, LABEL, "shuffled", seed=3)
    assert first.names == again.names
    assert sorted(first.names[c.name] for c in columns) == list("abcdef")
    assert first.names != Sentences(columns, LABEL).names


def test_a_template_of_ones_own():
    sentences = Sentences((A, B), LABEL, "With {b} and a gap of {a}, is it stable?")
    row = {"a": -2.0, "b": "y"}
    assert sentences.prompt(row) == "With y and a gap of -2.00 eV, is it stable?###"
    assert sentences.parse(sentences.prompt(row)) == row


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("nothing", "give named, x1, shuffled or a text"),
        ("{c}", "there is no column 'c'"),
        ("{b}{a}", "words are needed between {b} and {a}"),
        ("{a", "expected '}'"),
        ("no {{column}} at all", "it names no column"),
    ],
)
def test_templates_that_cannot_work_are_refused(template, message):
    with pytest.raises(OptionError, match=message.replace("{", r"\{").replace("}", r"\}")):
        Sentences((A, B), LABEL, template)


nasty = st.one_of(
    st.text(),
    st.text(st.characters(exclude_categories=())),
    st.sampled_from(
        ['"', '"x"', "###", "@@@", "missing", " eV", ", b=x", "###y@@@", "\n", "\\", "\\u0023", "1e-9", ""]
    ),
    st.lists(st.sampled_from(['"', "#", "@", "=", ", ", "note=", "?", "\\", "é", "𝔘", "\u2028"])).map("".join),
)
numbers = st.one_of(
    st.floats(-1e6, 1e6), st.sampled_from([1e-9, -1e-9, 0.0, -0.0, 3.14159, -1234567.891]), st.just(math.nan)
)


@settings(max_examples=400)
@given(nasty, numbers, nasty, nasty, st.sampled_from(["named", "x1", "shuffled", "{n} is{t}, {u}"]))
def test_sentences_read_back_exactly(text, number, other, answer, template):
    columns = (
        Column("n", "number", "eV/atom", NumberFormat(3, -2)),
        Column("t", "text"),
        Column("u", "text", 'un"it###'),
    )
    sentences = Sentences(columns, Column("answer", "text"), template)
    row = {"n": number, "t": text, "u": other, "answer": answer}
    written = sentences.prompt(row) + sentences.completion(answer)
    found = sentences.parse(written)
    assert (found["t"], found["u"], found["answer"]) == (text, other, answer)
    if math.isnan(number):
        assert math.isnan(found["n"])
    else:
        assert found["n"] == columns[0].format.rounded(number)
    assert sentences.parse(written.removesuffix(sentences.completion(answer))).keys() == {"n", "t", "u"}


@given(nasty)
def test_the_marks_stand_at_the_ends_only(text):
    sentences = Sentences((TEXT,), Column("answer", "text"))
    written = sentences.prompt({"note": text}) + sentences.completion(text)
    assert written.count(END_OF_PROMPT) == 1 and written.count(END_OF_COMPLETION) == 1


def test_missing_is_a_word_and_the_text_missing_is_quoted():
    sentences = Sentences((TEXT, A), LABEL)
    assert sentences.prompt({"note": None, "a": math.nan}).startswith("When we have note=missing, a=missing eV")
    assert sentences.prompt({"note": "missing", "a": 0.0}).startswith('When we have note="missing", a=0.00 eV')
    assert sentences.parse(sentences.prompt({"note": None, "a": 1.0}))["note"] is None


def test_formulas_as_text_fractions_or_both():
    column = Column("formula", "formula")
    row = {"formula": "Fe2O3"}
    assert "formula=Fe2O3," in Sentences((column,), LABEL).prompt(row)
    fractions = Sentences((column,), LABEL, formulas_as="fractions")
    assert "formula=Fe 0.4000 O 0.6000," in fractions.prompt(row)
    assert fractions.parse(fractions.prompt(row)) == {"formula": "Fe0.4000O0.6000"}
    both = Sentences((column,), LABEL, formulas_as="both")
    assert "formula=Fe2O3 (Fe 0.4000 O 0.6000)," in both.prompt(row)
    assert both.parse(both.prompt(row)) == row


@given(
    st.sampled_from(
        ["Fe2O3", "SrTiO3", "CuSO4·5H2O", "Li0.5CoO2", "Xx", "", "Fe2O3 (Fe 0.4000 O 0.6000)", "a (b)", "a ()"]
    )
)
def test_formulas_with_their_fractions_read_back(formula):
    sentences = Sentences((Column("formula", "formula"),), LABEL, formulas_as="both")
    assert sentences.parse(sentences.prompt({"formula": formula})) == {"formula": formula}


def test_fractions_agree_with_pymatgen():
    from pymatgen.core import Composition

    for formula in ("Fe2O3", "SrTiO3", "Ca(OH)2", "K2Cr2O7"):
        parts = element_fractions(formula).split()
        ours = dict(zip(parts[::2], map(float, parts[1::2]), strict=True))
        theirs = Composition(formula).fractional_composition.get_el_amt_dict()
        assert ours == pytest.approx(theirs, abs=5e-5)
    assert element_fractions("nonsense") is None


@pytest.mark.parametrize(
    ("completion", "message"),
    [
        ("maybe@@@", "none of the labels"),
        ("yes", "does not follow"),
        ("yes@@@ and more", "expected, then nothing"),
        ('"yes', "does not end"),
    ],
)
def test_completions_that_are_no_answer(completion, message):
    with pytest.raises(DataError, match=message):
        Sentences((A,), LABEL).parse_completion(completion)


@pytest.mark.parametrize("completion", ["high@@@", "nan@@@", "inf@@@", "@@@", '"3"@@'])
def test_completions_that_are_no_number(completion):
    with pytest.raises(DataError):
        Sentences((B,), A).parse_completion(completion)


def test_sentences_of_a_real_table():
    frame = pd.DataFrame({"gap (eV)": [1.1, 3.4], "phase": ["cubic", "a=b, c"], "Tc": [4.2, np.nan]})
    columns = describe(frame, units={"Tc": "K"})
    rows = typed(frame, columns)
    sentences = Sentences(tuple(columns[:2]), columns[2])
    for written, row in zip(sentences.sentences(rows), rows.to_dict("records"), strict=True):
        assert sentences.parse(written) == pytest.approx(row, nan_ok=True)
    with pytest.raises(DataError, match="character 1 of the sentence"):
        sentences.parse("something else")
