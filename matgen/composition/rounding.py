"""Decimals that are rounded fractions: `0.6667` in `Fe0.6667O` is two thirds."""

from __future__ import annotations

from fractions import Fraction

_MOST = {2: 3, 3: 9}
"""Decimal places to the largest denominator that they are taken for; by two places only thirds can be told."""
_MOST_BEYOND = 24
"""The same for more places."""
_FLOAT_PLACES = 12
"""Places from which a decimal is a float's text, whose last digits are noise."""


def as_fraction(text: str) -> Fraction | None:
    """The fraction that a decimal is a rounding of, cut off or rounded in its last place; None where it is exact.

    Fractions that a decimal can write (halves, fifths, eighths ...) are not looked for, except in the noise of floats:
    `0.12` stays 0.12.

    Args:
        text: digits with a decimal point, such as `0.667`.
    """
    whole, point, places = text.partition(".")
    if not point or len(places) < 2 or not places.isdigit():
        return None
    value = Fraction(f"{whole or 0}.{places}")
    unit = Fraction(1, 10 ** min(len(places), _FLOAT_PLACES))
    for denominator in range(1, _MOST.get(len(places), _MOST_BEYOND) + 1):
        fraction = Fraction(round(value * denominator), denominator)
        error = fraction - value
        if fraction > 0 and -unit / 2 <= error < unit:
            # The simplest fraction within the digits; where it has an end of its own it would have been written so.
            written = _terminates(fraction.denominator) and len(places) < _FLOAT_PLACES
            return None if fraction == value or written else fraction
    return None


def _terminates(denominator: int) -> bool:
    """Whether a fraction of this denominator has finitely many decimals."""
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1
