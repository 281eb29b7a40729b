"""Mass numbers in formulas: raised or in brackets they are left out with a remark, flat ones are refused or said."""

from __future__ import annotations

import math
import re

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER, N_ELEMENTS
from matgen.errors import FormulaError

SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_DIGITS = str.maketrans(SUPERSCRIPTS, "0123456789")
_RAISED = str.maketrans("0123456789", SUPERSCRIPTS)
_MASS_NUMBER = re.compile(rf"([{SUPERSCRIPTS}]+)([A-Z][a-z]?)")
_IN_BRACKETS = re.compile(r"[(\[{]\s*([1-9]\d{0,2})(?!H[)\]}\s])([A-Z][a-z]?)\s*[)\]}]")
"""Without hydrogen: `MoS2(2H)` names a polytype."""
_FLAT = re.compile(r"([A-Z][a-z]?)([1-9]\d{2,3})(?=([A-Z][a-z]?))")
_TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)")
_LABELS = {"B": (10, 11), "C": (13, 14), "N": (15,), "O": (16, 17, 18), "Si": (29,), "Fe": (57,), "Sn": (119,)}
"""Isotopes that light or measured elements are labeled with; of heavy elements, any known one."""
_HEAVY = 80
_MOST_BESIDE = 20
"""No compound has a hundred atoms of one element to at most so many of every other."""
_FEW, _FEW_HEAVY = 3, 8

MASS_NUMBERS = np.zeros((N_ELEMENTS + 1, 1000), dtype=np.uint8)
"""Atomic number and mass number of what elements are labeled with to how many other atoms of a formula, at most, make
a count of that size doubtful, uint8 `(119, 1000)`; 0 where no element is labeled so."""
for _symbol, _masses in _LABELS.items():
    MASS_NUMBERS[ATOMIC_NUMBER[_symbol], list(_masses)] = _FEW
for _z in range(_HEAVY, N_ELEMENTS + 1):
    MASS_NUMBERS[_z, math.ceil(2.4 * _z) : math.floor(2.65 * _z) + 1] = _FEW_HEAVY


def without_mass_numbers(text: str, remarks: list[str]) -> str:
    """The text without mass numbers (`¹⁸O`, `[18O]`); superscripts that are none are refused."""
    text = _IN_BRACKETS.sub(_raised, text)
    for digits, symbol in _MASS_NUMBER.findall(text):
        if _is_nuclide(symbol, int(digits.translate(_DIGITS))):
            text = text.replace(digits + symbol, symbol)
            remarks.append(f"{digits}{symbol} is read as {symbol}, whatever the isotope")
    if any(sign in text for sign in SUPERSCRIPTS):
        raise FormulaError("superscript digits are charges or mass numbers, not amounts: write amounts as plain digits")
    return text


def check_flat_mass_numbers(text: str, remarks: list[str]) -> None:
    """Raise or remark where a count is likely a mass number (`H218O`, `U235O2`).

    Args:
        text: a formula without blanks.
        remarks: filled with what is to be said.

    Raises:
        FormulaError: the mass number of one element has run into the count of the one before.
    """
    counts = [(symbol, int(count or 1)) for symbol, count in _TOKEN.findall(text) if len(count) < 10]
    for match in _FLAT.finditer(text):
        symbol, digits, labeled = match.groups()
        others = sorted(count for _, count in counts)[:-1]
        for width in (2, 3):
            count, mass = digits[:-width], digits[-width:]
            if count and mass[0] != "0" and _atoms_beside(labeled, int(mass)) and others and others[-1] <= _MOST_BESIDE:
                raise FormulaError(
                    f"{digits} atoms of {symbol}, or {symbol}{'' if count == '1' else count} and the isotope "
                    f"{mass}{labeled}? write {labeled} alone, or [{mass}{labeled}]"
                )
    for symbol, count in counts:
        others_total = sum(other for _, other in counts) - count
        doubtful = 0 < others_total <= _atoms_beside(symbol, count) and symbol != "B"
        # O16 beside two other elements is common in oxides.
        if doubtful and (count >= 100 or len(counts) == 2):
            remarks.append(f"{count} atoms of {symbol}, or the isotope {count}{symbol}?")


def _raised(match: re.Match[str]) -> str:
    return match[1].translate(_RAISED) + match[2] if _is_nuclide(match[2], int(match[1])) else match[0]


def _is_nuclide(symbol: str, mass: int) -> bool:
    """Whether a mass number is possible: known nuclides have up to two neutrons a proton, hydrogen up to two."""
    z = ATOMIC_NUMBER.get(symbol, 0)
    return bool(z) and z <= mass <= 3 * z


def _atoms_beside(symbol: str, mass: int) -> int:
    return int(MASS_NUMBERS[ATOMIC_NUMBER.get(symbol, 0), mass]) if mass < MASS_NUMBERS.shape[1] else 0
