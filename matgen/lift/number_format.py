"""How the numbers of a column are written: decimals that keep their information, common or own exponents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_ROUNDING = 0.01
"""Largest step between written numbers, in standard deviations of the column."""
_MOST_EXACT = 3
"""Decimals, beyond those that the step needs, that are kept where they make a column exact."""
_WIDE = 1e4
"""Ratio of large to small magnitudes from which a column is written in scientific notation."""


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written, and read back exactly as they were written.

    Attributes:
        decimals: digits after the point.
        exponent: power of ten taken out of every number of the column (`1.23e-9` of a column of such).
        scientific: every number has an exponent of its own; `decimals` are those of its mantissa.
    """

    decimals: int
    exponent: int = 0
    scientific: bool = False

    def text(self, value: float) -> str:
        """A finite number as text."""
        if self.scientific:
            mantissa, exponent = f"{value or 0.0:.{self.decimals}e}".split("e")  # no negative zero
            return f"{mantissa}e{int(exponent)}"
        text = f"{value if not self.exponent else value / 10.0**self.exponent:.{self.decimals}f}"
        text = text[1:] if float(text) == 0 and text.startswith("-") else text  # no negative zero
        return f"{text}e{self.exponent}" if self.exponent else text

    def rounded(self, value: float) -> float:
        """The number that the text of `value` stands for."""
        return float(self.text(value))

    @property
    def step(self) -> float:
        """Distance between neighbouring numbers (not of scientific notation)."""
        return float(f"1e{self.exponent - self.decimals}")


def number_format(numbers: np.ndarray, decimals: int | None = None, rounding: float = _ROUNDING) -> NumberFormat:
    """How to write the numbers of a column.

    Args:
        numbers: finite, float64 `(n,)`, at least one.
        decimals: given by the user; None chooses them.
        rounding: largest step, in standard deviations.
    """
    # Subnormal numbers are written as 0: they have fewer digits than a format promises, and steps below them are 0.
    numbers = np.where(np.abs(numbers) < np.finfo(np.float64).tiny, 0.0, numbers)
    magnitude = np.abs(numbers[numbers != 0])
    if not len(magnitude):
        return NumberFormat(decimals or 0)
    if len(magnitude) > 4 and magnitude.max() > _WIDE * np.quantile(magnitude, 0.05) and not _all_whole(numbers):
        return NumberFormat(2 if decimals is None else decimals, scientific=True)
    spread = float(numbers.std()) or float(magnitude.max())
    top = math.floor(math.log10(magnitude.max()))
    exponent = top if top < -3 or top > 9 else 0
    needed = max(0, math.ceil(exponent - math.log10(rounding * spread) - 1e-9))
    if decimals is not None:
        return NumberFormat(decimals, exponent)
    for exact in range(needed + _MOST_EXACT + 1):
        written = np.rint(numbers / 10.0**exponent * 10.0**exact) / 10.0**exact * 10.0**exponent
        if np.allclose(written, numbers, rtol=1e-12, atol=1e-12 * magnitude.max()):
            return NumberFormat(exact, exponent)
    return NumberFormat(needed, exponent)


def _all_whole(numbers: np.ndarray) -> bool:
    return bool((numbers == np.rint(numbers)).all() and np.abs(numbers).max() < 1e7)
