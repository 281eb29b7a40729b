from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.errors import OptionError
from matgen.reinforcement.expression import elements_of, parse_reward

NAMES = ("cost", "band_gap", "novel", "probability_hull_0.05")
NUMBERS = st.floats(-8, 8, allow_nan=False).map(lambda x: round(x, 3))
Pairs = st.SearchStrategy[tuple[str, str]]
"""An expression as it is written for a reward, and as Python reads it."""


def form(text: str, inner: Pairs, parts: int, theirs: str | None = None) -> Pairs:
    """Expressions of a form such as `({} + {})`, made of smaller ones."""
    return st.tuples(*[inner] * parts).map(
        lambda found: (text.format(*(one[0] for one in found)), (theirs or text).format(*(one[1] for one in found)))
    )


def joined(inner: Pairs) -> Pairs:
    """Expressions made of smaller ones. Of `and` and `or` Python gives one of the sides, a reward 1 or 0."""
    signs = ("+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=")
    plain = ("(not {})", "-{}", "exp({})", "abs({}) ** 0.5", "sqrt(abs({}))")
    return st.one_of(
        *(form("({} " + sign + " {})", inner, 2) for sign in signs),
        form("({} = {})", inner, 2, "({} == {})"),
        form("({} and {})", inner, 2, "(bool({}) and bool({}))"),
        form("({} | {})", inner, 2, "(bool({}) or bool({}))"),
        form("({} < {} <= {})", inner, 3),
        form("{} + {} * -{} - {} / 3", inner, 4),
        form("min({}, {})", inner, 2),
        form("max({}, {}, {})", inner, 3),
        *(form(one, inner, 1) for one in plain),
    )


LEAVES = st.one_of(
    st.sampled_from(NAMES).map(lambda name: (name, name.replace(".", "_"))), NUMBERS.map(lambda x: (str(x), str(x)))
)


@settings(max_examples=300, deadline=None)
@given(st.recursive(LEAVES, joined, max_leaves=8), st.tuples(*[NUMBERS] * len(NAMES)))
def test_arithmetic_is_pythons(pair: tuple[str, str], numbers: tuple[float, ...]) -> None:
    ours, theirs = pair
    values = dict(zip(NAMES, numbers, strict=True))
    known = {"min": min, "max": max, "exp": math.exp, "abs": abs, "sqrt": math.sqrt, "__builtins__": {"bool": bool}}
    try:
        expected = float(eval(theirs, known, {name.replace(".", "_"): value for name, value in values.items()}))
    except (ZeroDivisionError, OverflowError):
        return
    if math.isfinite(expected):
        got = parse_reward(ours)({name: np.array([value]) for name, value in values.items()})
        np.testing.assert_allclose(np.ravel(got), [expected], rtol=1e-9, atol=1e-9)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("abcx_019.5 +-*/()<>=!,&|`'\"[]{}:@\n\\eE#;"), max_size=30))
def test_whatever_is_written_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        read = parse_reward(text)
    except OptionError as error:
        assert "\n" not in " ".join(str(error).split()) and str(error)
    else:
        assert read({name: np.ones(2) for name in read.columns}).shape == ((2,) if read.columns else ())


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "cost.__class__()", "(lambda: 1)()", "[1][0]", "cost if 1 else 2",
        "eval(cost)", "min(cost)", "exp(1, 2)", "log(x, base=2)", "cost cost", "", "cost +", "'text'", "1e999 * cost",
        "cost // 2", "cost := 3", "contains(Xx)", "cost @ 2", "min(*cost)", "f(cost)", "1j * cost",
        "(" * 500 + "cost" + ")" * 500, "cost" + " + cost" * 400,
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_reward(text)


def test_columns_are_named_once_and_as_written() -> None:
    read = parse_reward("Probability_Hull_0.05*cost + cost*1e-2 + `a (b)` + contains( Li )*fraction(halogens)")
    assert read.columns == ("Probability_Hull_0.05", "cost", "a (b)", "contains(Li)", "fraction(halogens)")
    assert elements_of("contains(Li)") == ("contains", (3,))
    assert elements_of("cost") is None
    assert parse_reward("max * cost.__class__").columns == (
        "max",
        "cost.__class__",
    )  # names like others: nothing is run


def test_missing_values_fail_comparisons_and_spoil_arithmetic() -> None:
    columns = {"band_gap": np.array([np.nan, 3.0]), "toxic": np.array([False, True])}
    assert parse_reward("band_gap > 2")(columns).tolist() == [0, 1]
    assert parse_reward("band_gap != 2 and true")(columns).tolist() == [0, 1]
    assert parse_reward("not band_gap")(columns).tolist() == [1, 0]
    assert np.isnan(parse_reward("band_gap * 2")(columns)).tolist() == [True, False]
    assert parse_reward("1 - toxic = 0 OR band_gap<2")(columns).tolist() == [0, 1]
    assert parse_reward("2 ** 3 * toxic")(columns).tolist() == [0, 8]
