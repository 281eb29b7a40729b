import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.lift.number_format import NumberFormat
from matgen.lift.number_grammar import END, NumberGrammar


def everything(grammar, prefix=""):
    for character in sorted(grammar.allowed(prefix)):
        if character == END:
            yield prefix
        else:
            yield from everything(grammar, prefix + character)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2),
    st.sampled_from([0, 0, -9, 4]),
    st.integers(-300, 300),
    st.integers(0, 250),
    st.floats(0.01, 0.99),
)
def test_exactly_the_numbers_of_a_range_can_be_written(decimals, exponent, first, more, beyond):
    """Against a plain list of all of them; the bounds lie between two numbers."""
    written = NumberFormat(decimals, exponent)
    step = 10.0 ** (exponent - decimals)
    grammar = NumberGrammar(written, (first - beyond) * step, (first + more + beyond) * step)
    expected = {written.text(k * step) for k in range(first, first + more + 1)}
    found = list(everything(grammar))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert max(map(len, found)) <= grammar.longest <= max(map(len, found)) + 2  # a sign or point that none has


def test_scientific_numbers_can_be_read_and_end():
    grammar = NumberGrammar(NumberFormat(1, scientific=True), -5e3, 2e3)
    for start in ("", "-", "1.", "-9.9e", "0"):
        text = start
        for _ in range(12):
            follow = grammar.allowed(text)
            assert follow
            if END in follow:
                break
            text += min(follow)
        assert abs(float(text)) < 1e4 and len(text) <= grammar.longest
    assert len("-9.9e-99") == grammar.longest
    assert "-" not in NumberGrammar(NumberFormat(1, scientific=True), 0.0, 2e3).allowed("")


@pytest.mark.parametrize("text", ["0.00", "3.14", "-2.50"])
def test_a_range_of_one_number(text):
    grammar = NumberGrammar(NumberFormat(2), float(text), float(text))
    assert list(everything(grammar)) == [text]
