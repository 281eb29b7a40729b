"""Decimals that are rounded fractions: `0.6667` in `Fe0.6667O` is two thirds."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def as_fractions(decimals: Sequence[str]) -> dict[str, Fraction]:
    """The decimals of one formula that are rounded fractions, to these.

    One that was rounded up so that all are whole together is taken for the fraction of the others: `0.34` beside `0.33`
    twice.

    Args:
        decimals: all of the formula, each as often as it is written.
    """
    found = {text: fraction for text in dict.fromkeys(decimals) if (fraction := as_fraction(text)) is not None}
    for denominator in dict.fromkeys(fraction.denominator for fraction in found.values()):
        for text in [one for one in dict.fromkeys(decimals) if one not in found]:
            value = Fraction(text)
            share = Fraction(round(value * denominator), denominator)
            places = len(text.partition(".")[2])
            close = 1 < places < _FLOAT_PLACES and share > 0 and abs(share - value) < Fraction(1, 10**places)
            if not close or _terminates(share.denominator):
                continue
            group = [one for one in decimals if one in found and found[one].denominator == share.denominator]
            n = decimals.count(text)
            if n * share + sum((found[one] for one in group), Fraction(0)) == n * value + sum(map(Fraction, group)):
                found[text] = share
    return found


_SHARE = re.compile(r"[A-Z][a-z]?(\d{1,2}(?:\.\d)?)")
_MOST_ATOMS = 9


def as_shares(text: str) -> dict[str, Fraction]:
    """Atomic per cent with one decimal place that are those of a small formula, to the exact ones: `Fe33.3O66.7`.

    Args:
        text: a formula; what is not one number behind each of several symbols, 100 in all, has none.
    """
    shares = _SHARE.findall(text)
    if len(shares) < 2 or _SHARE.sub("", text) or not any("." in share for share in shares):
        return {}
    values = [Fraction(share) for share in shares]
    total = sum(values, Fraction(0))
    if abs(total - 100) > Fraction(len(values), 20):
        return {}
    # One may have been rounded up so that they are 100 together: `Fe33.3Co33.3Ni33.4`.
    most_off = Fraction(1, 10) if total == 100 else Fraction(1, 20)
    for atoms in range(2, _MOST_ATOMS + 1):
        exact = [Fraction(100 * round(value * atoms / 100), atoms) for value in values]
        close = all(
            one == value or (one > 0 and abs(one - value) <= most_off and not _terminates(one.denominator))
            for one, value in zip(exact, values, strict=True)
        )
        if close and sum(exact) == 100:
            return {
                share: one for share, one in zip(shares, exact, strict=True) if "." in share and one != Fraction(share)
            }
    return {}


def _terminates(denominator: int) -> bool:
    """Whether a fraction of this denominator has finitely many decimals."""
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1
