"""Reading formula text: a vectorised reader for plain formulas and an exact recursive one for everything else.

Plain means letters, digits and brackets one level deep (`Fe2(SO4)3`). Nested or other brackets, hydrate dots, decimals,
exponents, blanks and sub- or superscript digits go to the exact reader, one row at a time; amounts there are rational
numbers, never floats.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np

from matgen.composition.elements import ATOMIC_NUMBER
from matgen.errors import FormulaError

MAX_COUNT = 2**31 - 1
"""Largest number of atoms of one element in a reduced formula (counts are int32)."""

_MAX_PLAIN_DIGITS = 9
_MAX_TEXT = 10_000
_MAX_DEPTH = 32
_MAX_NUMBER_LENGTH = 32
_MAX_EXPONENT = 9

_OTHER, _UPPER, _LOWER, _DIGIT, _NEWLINE, _OPEN, _CLOSE = range(7)
_BYTE_CLASS = np.zeros(256, dtype=np.uint8)
_BYTE_CLASS[ord("A") : ord("Z") + 1] = _UPPER
_BYTE_CLASS[ord("a") : ord("z") + 1] = _LOWER
_BYTE_CLASS[ord("0") : ord("9") + 1] = _DIGIT
_BYTE_CLASS[ord("\n")] = _NEWLINE
_BYTE_CLASS[ord("(")] = _OPEN
_BYTE_CLASS[ord(")")] = _CLOSE

SYMBOL_TABLE = np.zeros(26 * 27, dtype=np.uint8)
"""Capital and lower-case letter, or none, to atomic number, 27 a capital, the first of them for "no second letter"."""
for _symbol, _z in ATOMIC_NUMBER.items():
    _second = ord(_symbol[1]) - ord("a") + 1 if len(_symbol) == 2 else 0
    SYMBOL_TABLE[(ord(_symbol[0]) - ord("A")) * 27 + _second] = _z


def parse_plain(rows: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read all plain formulas of a list at once.

    Args:
        rows: formulas, one a row, ASCII and without line breaks.

    Returns:
        `(row, atomic_number, count, plain)`: three arrays `(tokens,)` int64, one entry an element symbol met, in the
        order of the text, for plain rows only; and bool `(len(rows),)`, False where a row needs `parse_exact`.
    """
    n = len(rows)
    if not n:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing, np.empty(0, dtype=bool)
    text = np.frombuffer(("\n".join(rows) + "\n").encode("ascii"), dtype=np.uint8)
    kind = _BYTE_CLASS[text]
    ends = np.flatnonzero(kind == _NEWLINE)
    previous = np.concatenate(([np.uint8(_NEWLINE)], kind[:-1]))
    nothing_before = (previous == _NEWLINE) | (previous == _OPEN)
    odd = (
        (kind == _OTHER)
        | ((kind == _LOWER) & (previous != _UPPER))
        | (((kind == _DIGIT) | (kind == _CLOSE)) & nothing_before)
    )
    plain = np.ones(n, dtype=bool)
    plain[np.searchsorted(ends, np.flatnonzero(odd))] = False
    plain[previous[ends] == _NEWLINE] = False  # an empty row

    start = np.flatnonzero(kind == _UPPER)
    row = np.searchsorted(ends, start)
    two_letters = kind[start + 1] == _LOWER
    second = np.where(two_letters, text[start + 1].astype(np.int64) - ord("a") + 1, 0)
    atomic_number = SYMBOL_TABLE[(text[start].astype(np.int64) - ord("A")) * 27 + second]
    count, too_long = _read_counts(text, kind, start + 1 + two_letters)
    plain[row[too_long | (atomic_number == 0)]] = False
    count = count * _bracket_factors(text, kind, ends, start, row, plain)

    keep = plain[row]
    return row[keep], atomic_number[keep].astype(np.int64), count[keep], plain


def _read_counts(text: np.ndarray, kind: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers that begin at the given bytes, 1 where there is none, int64; and True where one is too long."""
    reading = kind[position] == _DIGIT
    count = np.where(reading, 0, 1).astype(np.int64)
    for _ in range(_MAX_PLAIN_DIGITS):
        if not reading.any():
            break
        count = np.where(reading, count * 10 + text[position] - ord("0"), count)
        position = position + reading
        reading = reading & (kind[position] == _DIGIT)
    return count, reading


def _bracket_factors(
    text: np.ndarray, kind: np.ndarray, ends: np.ndarray, start: np.ndarray, row: np.ndarray, plain: np.ndarray
) -> np.ndarray | int:
    """What the symbols that begin at `start` are multiplied by; rows with nested or loose brackets leave `plain`."""
    bracket = np.flatnonzero((kind == _OPEN) | (kind == _CLOSE))
    if not len(bracket):
        return 1
    bracket_row = np.searchsorted(ends, bracket)
    closes = kind[bracket] == _CLOSE
    first = np.concatenate(([True], bracket_row[1:] != bracket_row[:-1]))
    last = np.concatenate((first[1:], [True]))
    # One level deep: within a row opening and closing brackets take turns, opening first and closing last.
    loose = (first & closes) | (last & ~closes) | (~first & (closes == np.roll(closes, 1)))
    factor, too_long = _read_counts(text, kind, bracket + 1)
    plain[bracket_row[loose | (closes & too_long)]] = False
    following = np.searchsorted(bracket, start)
    known = following < len(bracket)
    following[~known] = 0
    inside = known & closes[following] & (bracket_row[following] == row)
    return np.where(inside, factor[following], 1)


_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹[]{}", "01234567890123456789()()", "@\u200b\ufeff")
_HYDRATE_DOTS = re.compile("[·•∙⋅・*]")
_SPLIT_NUMBER = re.compile(r"[\d.]\s+[\d.]")
_TOKEN = re.compile(r"(?P<symbol>[A-Z][a-z]*)|(?P<open>\()|(?P<close>\))|(?P<number>\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)")


def parse_exact(text: str) -> dict[int, int]:
    """Read one formula of any form that pymatgen reads, and hydrate dots (`CuSO4·5H2O`) and subscripts besides.

    Amounts are exact rational numbers: `Li0.5CoO2` is LiCo2O4, `Fe0.333` is Fe. An ASCII dot is a decimal point, as in
    pymatgen.

    Args:
        text: the formula.

    Returns:
        Atomic number to count, in smallest whole numbers, without zeros.

    Raises:
        FormulaError: the text is not a formula; the message says why, without repeating the whole text.
    """
    if len(text) > _MAX_TEXT:
        raise FormulaError(f"formula of {len(text)} characters, at most {_MAX_TEXT} are read")
    if _SPLIT_NUMBER.search(text):
        raise FormulaError("blank inside a number")
    parts = _HYDRATE_DOTS.split("".join(text.translate(_SUBSCRIPTS).split()))
    if parts == [""]:
        raise FormulaError("empty formula")
    amounts: dict[int, Fraction] = {}
    for part in parts:
        for z, amount in _parse_part(part, multiplier_allowed=len(parts) > 1).items():
            amounts[z] = amounts.get(z, Fraction(0)) + amount
    return _whole_numbers({z: amount for z, amount in amounts.items() if amount})


def _parse_part(part: str, *, multiplier_allowed: bool) -> dict[int, Fraction]:
    """One side of a hydrate dot: an optional multiplier, then symbols and brackets with their numbers."""
    stack: list[dict[int, Fraction]] = [{}]
    position, factor = 0, Fraction(1)
    if multiplier_allowed and (match := _TOKEN.match(part)) and match["number"]:
        factor, position = _number(match["number"]), match.end()
    while position < len(part):
        match = _TOKEN.match(part, position)
        if match is None or match["number"]:
            raise FormulaError(_unreadable(part, position))
        position = match.end()
        if match["open"]:
            if len(stack) > _MAX_DEPTH:
                raise FormulaError(f"brackets nested more than {_MAX_DEPTH} deep")
            stack.append({})
            continue
        if match["close"]:
            if len(stack) == 1:
                raise FormulaError("closing bracket without an opening one")
            group = stack.pop()
            if not group:
                raise FormulaError("empty brackets")
        else:
            group = {_atomic_number(match["symbol"]): Fraction(1)}
        amount = Fraction(1)
        following = _TOKEN.match(part, position)
        if following and following["number"]:
            amount, position = _number(following["number"]), following.end()
        for z, inner in group.items():
            stack[-1][z] = stack[-1].get(z, Fraction(0)) + inner * amount
    if len(stack) > 1:
        raise FormulaError("opening bracket without a closing one")
    if not stack[0]:
        raise FormulaError("no element before or after a dot")
    return {z: amount * factor for z, amount in stack[0].items()}


def _unreadable(part: str, position: int) -> str:
    character = part[position]
    if character == "-" and part[position + 1 : position + 2].isdigit():
        return "negative amount"
    if character in "+-":
        return f"{character!r}: charges and ranges are not part of a composition"
    return f"unexpected {character!r}"


def _atomic_number(symbol: str) -> int:
    if symbol not in ATOMIC_NUMBER:
        raise FormulaError(f"no element {symbol[:12]!r}")
    return ATOMIC_NUMBER[symbol]


def _number(text: str) -> Fraction:
    _, _, exponent = text.partition("e")
    # Checked before the number is made: 1e999999999 as an exact fraction would fill the memory.
    if len(text) > _MAX_NUMBER_LENGTH or (exponent and abs(int(exponent)) > _MAX_EXPONENT):
        raise FormulaError(f"number out of range: {text[:12]}...")
    return Fraction(text)


def _whole_numbers(amounts: dict[int, Fraction]) -> dict[int, int]:
    if not amounts:
        raise FormulaError("all amounts are zero")
    denominator = math.lcm(*(amount.denominator for amount in amounts.values()))
    counts = {z: int(amount * denominator) for z, amount in amounts.items()}
    divisor = math.gcd(*counts.values())
    counts = {z: count // divisor for z, count in counts.items()}
    if max(counts.values()) > MAX_COUNT:
        raise FormulaError(f"more than {MAX_COUNT} atoms of one element in the reduced formula")
    return counts
