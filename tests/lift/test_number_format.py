import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matgen.lift.number_format import NumberFormat, number_format

finite = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e12, max_value=1e12)


@pytest.mark.parametrize(
    ("numbers", "written"),
    [
        ([1e-9, 2.5e-9, -3e-9], NumberFormat(1, -9)),
        ([0.1, 0.2, 0.3], NumberFormat(1)),
        ([1, 2, 3], NumberFormat(0)),
        ([1e-8, 1e-4, 1.0, 3e3, 5e4], NumberFormat(2, scientific=True)),
        ([0, 0], NumberFormat(0)),
        ([3e12, 1e12, 2e12], NumberFormat(0, 12)),
    ],
)
def test_precision_keeps_information(numbers, written):
    assert number_format(np.array(numbers, float)) == written


@given(st.lists(finite, min_size=2, max_size=30))
@example([0.0, 5e-324])
@example([0.0, 3e-308])
def test_rounding_is_small_beside_the_spread(numbers):
    values = np.array(numbers)
    written = number_format(values)
    if written.scientific or values.std() == 0:
        return
    error = max(abs(written.rounded(value) - value) for value in numbers)
    assert error <= 0.0051 * values.std() + 1e-9 * np.abs(values).max() + np.finfo(float).tiny


@given(st.floats(-1e6, 1e6), st.integers(0, 6), st.integers(-9, 9), st.booleans())
@example(-0.0, 0, 0, True)
def test_what_is_written_reads_back_as_written(mantissa, decimals, exponent, scientific):
    value = mantissa * 10.0**exponent
    written = NumberFormat(decimals, 0 if scientific else exponent, scientific)
    text = written.text(value)
    assert written.text(float(text)) == text
    assert float(text) == written.rounded(value)
    assert not text.startswith("-0") or float(text) != 0
