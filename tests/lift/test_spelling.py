import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matgen.lift.spelling import spell, unspell


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(["text", "formula"]))
def test_texts_are_spelled_and_unspelled(text, column_type):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert unspell(np.array(spell(text, column_type)), column_type) == text


def test_elements_are_one_token_and_deuterium_stays_itself():
    assert len(spell("NaCl", "formula")) == 2
    assert unspell(np.array(spell("D2O", "formula")), "formula") == "D2O"
    assert len(spell("CoO", "formula")) == 2 and len(spell("COO", "formula")) == 3
