"""The condition grammar."""

from __future__ import annotations

import ast
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.datasets.where import Condition, Joined, parse_where, where_mask
from matgen.errors import MatgenError, MatgenWarning, OptionError

FRAME = pd.DataFrame(
    {
        "formula": ["A", "B", "C", "D"],
        "band_gap_mp": [0.0, 1.98, 3.0, np.nan],
        "x": [1, 2, 3, 4],
        "ok": [True, False, True, True],
        "source": ["exp", "calc", None, "Exp and more"],
        "Formation energy (eV)": [-1.0, -2.0, -3.0, -4.0],
        "flag": ["True", "false", None, "TRUE"],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("x > 2", [2, 3]),
        ("x>=2", [1, 2, 3]),
        ("x<2", [0]),
        ("x <= -1e0", []),
        ("x == 3", [2]),
        ("x = 3.0", [2]),
        ("x != 3", [0, 1, 3]),
        ("band_gap > 1.98", [2]),
        ("band_gap_mp != 0", [1, 2]),
        ("ok == 1 AND x > .5 and band_gap<5", [0, 2]),
        ("ok == true", [0, 2, 3]),
        ("ok != True", [1]),
        ("flag == true", [0, 3]),
        ("flag == false", [1]),
        ('source == "exp"', [0]),
        ("source == 'Exp and more'", [3]),
        ("source = exp", [0]),
        ('source != "exp"', [1, 3]),  # a missing value fails
        ("X > 3", [3]),
        ("SOURCE == calc", [1]),
        ("Band_Gap > 1.98", [2]),
        ("x < 2 or x > 3", [0, 3]),
        ("x < 2 || x > 3", [0, 3]),
        ("x > 1 & x < 4", [1, 2]),
        ("x == 1 or x == 2 and ok == true", [0]),  # `and` binds closer
        ("(x == 1 or x == 2) and ok == false", [1]),
        ("((x == 1))", [0]),
        ('x > 1 and (source == "calc" or (flag == true and x > 3))', [1, 3]),
        ("Formation energy (eV) < -3", [3]),
        ("(formation energy (ev) < -3 or x = 1)", [0, 3]),
        ("`Formation energy (eV)` < -3", [3]),
    ],
)
def test_rows(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(where_mask(FRAME, text, {"band_gap": "band_gap_mp"})).tolist() == rows


@pytest.mark.parametrize(
    "text",
    ["", "x", "x >", "x > two", "x > 1 and", "or x > 1", "1 < x < 3", "__import__('os')", "x > 1; y", "not x > 1",
     "x > 1 x < 3", "(x > 1", "x > 1)", "x == None", "x == nan", "x > 'a'", "ok > true", "x in (1, 2)",
     "@pd.eval('1') > 0", "x.map(print) > 0 > 1", "x == `y`"],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="cannot read the condition") as error:
        parse_where(text)
    assert "\n" not in str(error.value)


def test_nested_too_deeply() -> None:
    with pytest.raises(OptionError, match="nested more than"):
        parse_where("(" * 1000 + "x > 1" + ")" * 1000)


def test_columns_that_cannot_be_compared() -> None:
    with pytest.raises(OptionError, match="no column 'gap' to compare; numeric columns: band_gap_mp, x, ok"):
        where_mask(FRAME, "gap > 1")
    with pytest.raises(OptionError, match="no column 'gap' to compare.*of text: formula, source"):
        where_mask(FRAME, "gap == wide")
    with pytest.raises(OptionError, match="'formula' holds text"):
        where_mask(FRAME, "formula == 1")
    with pytest.raises(OptionError, match="'ok' holds true and false: compare it with true or false, not 'maybe'"):
        where_mask(FRAME, "ok == maybe")
    with pytest.raises(OptionError, match="'x' holds numbers: compare it with a number, not 'a'"):
        where_mask(FRAME, "x == 'a'")
    with pytest.raises(OptionError, match="'GAP' may be gap or Gap"):
        where_mask(pd.DataFrame({"gap": [1.0], "Gap": [2.0]}), "GAP > 1")


def test_what_is_read() -> None:
    conditions = parse_where("a > 1 and (b = 2 or C == 'x y') and (d != true)")
    assert conditions == [
        Condition("a", ">", 1.0),
        Joined("or", (Condition("b", "=", 2.0), Condition("C", "==", "x y"))),
        Condition("d", "!=", True),
    ]
    assert [str(one) for one in conditions] == ["a > 1", 'b = 2 or C == "x y"', "d != true"]
    assert conditions[1].columns == ("b", "C")


NAMES = st.sampled_from(["a", "b", "c"])
COMPARISON = st.tuples(NAMES, st.sampled_from(["<", ">", "==", "!=", "<=", ">="]), st.integers(-2, 2)).map(
    lambda parts: f"{parts[0]} {parts[1]} {parts[2]}"
)
EXPRESSION = st.recursive(
    COMPARISON,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join), inner.map(lambda one: f"({one})")
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(EXPRESSION, st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=4))
def test_the_same_rows_as_python(text: str, rows: list[tuple[int, int, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    ast.parse(text, mode="eval")
    expected = [bool(eval(text, {}, dict(zip("abc", row, strict=True)))) for row in rows]
    assert where_mask(frame, text).tolist() == expected
    again = " and ".join(f"({one})" for one in parse_where(text))
    assert where_mask(frame, again).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abx()<>=!'\"`&|. 1oradnt@\n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        where_mask(FRAME, text)
    except MatgenError as error:
        assert re.search("condition|column", str(error))


def test_numbers_are_rounded_as_the_column_is() -> None:
    frame = pd.DataFrame({"gap": np.array([1.98, 1.99], dtype=np.float32)})
    assert where_mask(frame, "gap > 1.98").tolist() == [False, True]
    assert where_mask(frame, "gap == 1.98").tolist() == [True, False]


def test_a_name_of_several_columns_is_the_lowest_value_of_a_row() -> None:
    frame = pd.DataFrame({"a": [0.1, np.nan, 0.3, np.nan], "b": np.array([0.2, 0.0, np.nan, np.nan], dtype=np.float32)})
    aliases = {"distance": ("a", "b")}
    assert where_mask(frame, "distance <= 0.1", aliases).tolist() == [True, True, False, False]
    assert where_mask(frame, "distance > 0.1", aliases).tolist() == [False, False, True, False]
    assert where_mask(frame, "DISTANCE > 0.1", aliases).tolist() == [False, False, True, False]


def test_texts_of_another_case_are_told() -> None:
    frame = pd.DataFrame({"state": ["Solid", "solid", "gas", None]})
    with pytest.warns(MatgenWarning, match="1 cell of state differs from 'solid' by case alone, such as 'Solid'"):
        assert where_mask(frame, "state = solid").tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "cells", [[True, False, True, True], ["Yes", "no", None, "yes"], ["True", "FALSE", None, "true"]]
)
def test_yes_and_no_are_true_and_false(cells: list) -> None:
    frame = pd.DataFrame({"stable": cells})
    for text, wanted in (("== yes", True), ("== true", True), ("!= no", True), ("= No", False), ("== 'false'", False)):
        kept = where_mask(frame, f"stable {text}").tolist()
        assert kept == [cell is not None and (str(cell).lower() in ("yes", "true")) == wanted for cell in cells]
