"""Answers are read strictly, and prompts are counted about right."""

import pandas as pd
import pytest

from matgen.lift.columns import Column, describe
from matgen.lift.sentences import Sentences
from matgen.lift.served.prompts import Prompts, balanced_rows, estimated_tokens

(NUMBER,) = describe(pd.DataFrame({"y": [1.5, 2.5, 3.0]}))
LABEL = Column("y", "category", values=("a b", "missing", "x\ny"))
FEATURE = Column("f", "category", values=("u",))


def prompts(target, endpoint="completions"):
    return Prompts(Sentences((FEATURE,), target), endpoint, 500)


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), (" 2 ", 2.0), ("-1e2", -100.0), ("3.0@@@ more", 3.0), ("2\n3", 2.0)]
)
def test_numbers_alone_are_read(text, value):
    assert prompts(NUMBER).read(text, ended=True) == value


@pytest.mark.parametrize(
    "text",
    ["", "nan", "inf", "1_000", "1,5", "1.5 cm", "about 2", "1.5.", "missing", '"1.5"', "\u0661", "1e999", "@@@"],
)
def test_anything_else_is_no_number(text):
    assert prompts(NUMBER).read(text, ended=True) is None


def test_what_was_cut_off_is_not_read():
    assert prompts(NUMBER).read("12", ended=False) is None
    assert prompts(NUMBER).read("12@@@", ended=False) == 12.0


def test_labels_are_read_as_they_are_written():
    made = prompts(LABEL)
    assert [made.read(text, ended=True) for text in made.labels] == list(LABEL.values)
    assert [made.read(text, ended=True) for text in ("A b", "a", "a b.", "the a b", "missing", "")] == [None] * 6


def test_messages_of_a_chat_have_no_marks():
    made = prompts(LABEL, "chat")
    text = str(made.written(made.questions(pd.DataFrame({"f": ["u"]}))[0], [("q", "a b")]))
    assert "###" not in text and "@@@" not in text and made.size([{"role": "user", "content": "abc 12"}]) == 8


def test_tokens_are_counted_about_right():
    assert estimated_tokens("petal width=0.2 cm") == 2 + 2 + 1 + 3 + 1
    assert estimated_tokens("") == 0


def test_balanced_rows_have_as_many_of_each_label_as_there_are():
    store = pd.DataFrame({"f": ["u"] * 9, "y": ["a b"] * 7 + ["missing"] * 2})
    rows = balanced_rows(store, Sentences((FEATURE,), LABEL), 4, seed=0)
    assert sorted(store["y"][rows]) == ["a b"] * 2 + ["missing"] * 2
    assert len(balanced_rows(store, Sentences((FEATURE,), LABEL), 99, seed=0)) == 9
