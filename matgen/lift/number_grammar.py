"""Which characters may follow when a number is written, so that what is written is a number within a range."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from matgen.lift.number_format import NumberFormat

END = ""
"""Stands for the end of a number among the characters that may follow."""


class NumberGrammar:
    """Numbers as a column writes them, from `low` to `high`.

    A number in scientific notation is any of its form whose exponent lies between those of the range; its value is
    clamped by whoever reads it.

    Args:
        written: the column's format.
        low, high: of the numbers allowed, low below high.
    """

    def __init__(self, written: NumberFormat, low: float, high: float) -> None:
        self.written = written
        self._known: dict[str, frozenset[str]] = {}
        self.suffix = f"e{written.exponent}" if written.exponent and not written.scientific else ""
        if written.scientific:
            biggest = max(abs(low), abs(high))
            self.negative, self.top = low < 0, math.floor(math.log10(biggest)) if biggest else 0
            return
        scale = Decimal(10) ** (written.decimals - written.exponent)
        # Counted in steps of the last decimal, so that all is exact.
        self.least = int((Decimal(repr(low)) * scale).to_integral_value(ROUND_CEILING))
        self.most = int((Decimal(repr(high)) * scale).to_integral_value(ROUND_FLOOR))
        if self.least > self.most:
            self.least = self.most = round(Decimal(repr(low)) * scale)

    @property
    def longest(self) -> int:
        """Characters of a number at most."""
        decimals = self.written.decimals
        if self.written.scientific:
            return len("-1.") + decimals + len("e-99")
        digits = len(str(max(abs(self.least), abs(self.most))))
        return len("-.") + max(digits, decimals + 1) + len(self.suffix)

    def allowed(self, prefix: str) -> frozenset[str]:
        """Characters that may follow a beginning; `END` where it is a whole number already."""
        if prefix not in self._known:
            of_format = self._allowed_scientific if self.written.scientific else self._allowed_fixed
            self._known[prefix] = of_format(prefix)
        return self._known[prefix]

    def _allowed_fixed(self, prefix: str) -> frozenset[str]:
        body, sign = prefix.removeprefix("-"), -1 if prefix.startswith("-") else 1
        after_point = len(body.partition(".")[2]) if "." in body else None
        decimals = self.written.decimals
        if (after_point is not None and after_point > decimals) or "e" in body:
            return self._suffix(prefix)
        following = set()
        if not prefix and self.least < 0:
            following.add("-")
        if after_point is None:
            for digit in "0123456789":
                if (body != "0") and self._digits_fit(body + digit, sign, more=True):
                    following.add(digit)
            if body and decimals and self._digits_fit(body, sign, more=False):
                following.add(".")
            if body and not decimals and self._is_within(body, sign):
                following |= self._suffix(prefix)
        elif after_point < decimals:
            for digit in "0123456789":
                if self._fraction_fits(body + digit, sign):
                    following.add(digit)
        else:
            following |= self._suffix(prefix)
        return frozenset(following)

    def _suffix(self, prefix: str) -> frozenset[str]:
        done = prefix.partition("e")[2]
        written = f"e{done}" if "e" in prefix else ""
        return frozenset({END} if written == self.suffix else {self.suffix[len(written)]})

    def _range(self, sign: int) -> tuple[int, int]:
        """Magnitudes in steps that numbers of a sign may have."""
        low, high = (self.least, self.most) if sign > 0 else (-self.most, -self.least)
        return max(low, 0 if sign > 0 else 1), high  # there is no negative zero

    def _digits_fit(self, digits: str, sign: int, *, more: bool) -> bool:
        """Whether whole digits can go on to a number in the range, with further whole digits or without."""
        low, high = self._range(sign)
        value, longer = int(digits), 10**self.written.decimals
        while value * longer <= high:
            if (value + 1) * longer - 1 >= low:
                return True
            if not more or value == 0:
                return False
            longer *= 10
        return False

    def _fraction_fits(self, text: str, sign: int) -> bool:
        low, high = self._range(sign)
        whole, _, fraction = text.partition(".")
        left = 10 ** (self.written.decimals - len(fraction))
        value = int(whole + fraction) * left
        return value <= high and value + left - 1 >= low

    def _is_within(self, digits: str, sign: int) -> bool:
        low, high = self._range(sign)
        return low <= int(digits) <= high

    def _allowed_scientific(self, prefix: str) -> frozenset[str]:
        body, decimals = prefix.removeprefix("-"), self.written.decimals
        if not body:
            return frozenset("0123456789" + ("-" if self.negative and not prefix else ""))
        mantissa, e, exponent = body.partition("e")
        if not e:
            whole = mantissa.partition(".")
            if len(mantissa) < 2 and decimals:
                return frozenset(".")
            if len(whole[2]) < decimals:
                return frozenset("0" if mantissa[0] == "0" else "0123456789")
            return frozenset("e")
        # Exponents from that of the largest number down; nothing is below 1e-99.
        possible = [str(k) for k in range(min(self.top, 99), -100, -1)] if mantissa[0] != "0" else ["0"]
        follow = {text[len(exponent)] for text in possible if text.startswith(exponent) and len(text) > len(exponent)}
        return frozenset(follow | ({END} if exponent in possible else set()))
