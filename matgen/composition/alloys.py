"""Alloys in weight per cent (`Ti-6Al-4V`) as atomic fractions and formulas."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from matgen.composition.elements import ATOMIC_MASS, ATOMIC_NUMBER
from matgen.errors import FormulaError

_FORM = "write the base metal and the others in weight per cent, such as Ti-6Al-4V"
_LEADING = re.compile(r"(\d+(?:\.\d+)?)?([A-Z][a-z]?)")
_ADDED = re.compile(r"-(\d+(?:\.\d+)?)([A-Z][a-z]?)")
_UNIT = re.compile(r"\(?\s*(?:in\s+)?(?:wt|weight|mass)\.?\s*(?:%|per ?cent)\s*\)?|%", re.IGNORECASE)
_PARTS = 10_000
"""Parts that a formula divides the atoms into: hundredths of an atomic per cent."""


@dataclass(frozen=True)
class Alloy:
    """An alloy.

    Attributes:
        text: as it was written.
        weight_percent: symbol to weight per cent; they are 100 in all.
        atomic_fractions: symbol to atomic fraction; they are 1 in all.
        formula: with the atoms of 10,000, such as `Ti8620Al1019V361`, which is read without rounding.
    """

    text: str
    weight_percent: dict[str, float]
    atomic_fractions: dict[str, float]
    formula: str

    def __str__(self) -> str:
        shares = " ".join(f"{symbol} {100 * share:.2f}" for symbol, share in self.atomic_fractions.items())
        return f"{self.text}: {shares} atomic per cent; formula {self.formula}"


def from_weight_percent(alloy: str | Mapping[str, float]) -> Alloy:
    """Convert an alloy from weight per cent: an element's atomic fraction is its share of sum(w_i / M_i).

    Args:
        alloy: such as `Ti-6Al-4V`, where the first element makes up for what is missing from 100, or has a number too
            (`63Sn-37Pb`); or symbols and weight per cent, which must be 100 in all.

    Returns:
        The alloy; `CompositionBatch.from_formulas` reads its `formula`. Atomic masses are those of `ATOMIC_MASS`.

    Raises:
        FormulaError: no such alloy, an unknown element or one named twice, or shares that are not 100 in all.
    """
    if isinstance(alloy, str):
        text, weights = alloy, _weights_of(alloy)
    else:
        try:
            weights = {str(symbol): Fraction(str(float(weight))) for symbol, weight in alloy.items()}
        except ValueError:
            raise FormulaError(f"{str(alloy)[:40]}: weight per cent must be numbers") from None
        text = "-".join(f"{float(weight):g}{symbol}" for symbol, weight in weights.items())
    for symbol, weight in weights.items():
        if symbol not in ATOMIC_NUMBER:
            raise FormulaError(f"{text[:40]!r}: no element {symbol[:12]!r}")
        if weight <= 0:
            raise FormulaError(f"{text[:40]!r}: {float(weight):g} weight per cent of {symbol}")
    total = sum(weights.values(), Fraction(0))
    if abs(total - 100) > Fraction(1, 2):
        raise FormulaError(f"{text[:40]!r}: {float(total):g} weight per cent in all, not 100")
    moles = {symbol: float(weight) / ATOMIC_MASS[ATOMIC_NUMBER[symbol]] for symbol, weight in weights.items()}
    fractions = {symbol: float(amount / sum(moles.values())) for symbol, amount in moles.items()}
    parts = {symbol: round(_PARTS * share) for symbol, share in fractions.items()}
    if not all(parts.values()):
        least = min(fractions, key=lambda symbol: fractions[symbol])
        raise FormulaError(f"{text[:40]!r}: less than {1 / _PARTS:g} of the atoms are {least}: leave it out")
    formula = "".join(f"{symbol}{count}" for symbol, count in parts.items())
    return Alloy(text, {symbol: float(weight * 100 / total) for symbol, weight in weights.items()}, fractions, formula)


def _weights_of(text: str) -> dict[str, Fraction]:
    bare = re.sub(r"\s+", "", _UNIT.sub("", text)).replace("–", "-").replace("−", "-")
    first = _LEADING.match(bare)
    if first is None:
        raise FormulaError(f"cannot read the alloy {text[:40]!r}: {_FORM}")
    weights: dict[str, Fraction] = {}
    position = first.end()
    while position < len(bare):
        match = _ADDED.match(bare, position)
        if match is None:
            raise FormulaError(f"cannot read the alloy {text[:40]!r} from {bare[position:][:12]!r} on: {_FORM}")
        if match[2] in weights or match[2] == first[2]:
            raise FormulaError(f"{text[:40]!r}: {match[2]} is named twice")
        weights[match[2]] = Fraction(match[1])
        position = match.end()
    base = Fraction(first[1]) if first[1] else 100 - sum(weights.values(), Fraction(0))
    if base <= 0:
        raise FormulaError(f"{text[:40]!r}: the others are {float(100 - base):g} weight per cent, nothing is left")
    return {first[2]: base, **weights}
