"""Reading formula text: a vectorised reader for plain formulas and an exact recursive one for everything else.

Plain means letters, digits and brackets one level deep (`Fe2(SO4)3`). Nested or other brackets, hydrate dots, decimals,
exponents, blanks and sub- or superscript digits go to the exact reader, one row at a time; amounts there are rational
numbers, never floats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from matgen.composition.abbreviations import ENDING, ENDINGS, LONGEST, abbreviation_remark, ending_code
from matgen.composition.annotations import is_ordinary, without_annotations
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.composition.isotopes import MASS_NUMBERS, check_flat_mass_numbers
from matgen.composition.markup import without_markup
from matgen.composition.objects import written_mapping
from matgen.composition.roman_numerals import without_states
from matgen.composition.rounding import as_fraction, as_fractions, as_shares
from matgen.composition.spelling import DOT, TWO_COLUMNS, ZERO_FOR_O, prepared
from matgen.errors import FormulaError

MAX_COUNT = 2**31 - 1
"""Largest number of atoms of one element in a reduced formula (counts are int32)."""

_MAX_PLAIN_DIGITS = 9
_MAX_TEXT = 10_000
_MAX_DEPTH = 32
_MAX_NUMBER_LENGTH = 32
_MAX_EXPONENT = 9
_FLOAT_DIGITS = 14
"""Digits of a number, point included, from which on it is taken for a float's text."""

_OTHER, _UPPER, _LOWER, _DIGIT, _NEWLINE, _OPEN, _CLOSE = range(7)
_BYTE_CLASS = np.zeros(256, dtype=np.uint8)
_BYTE_CLASS[ord("A") : ord("Z") + 1] = _UPPER
_BYTE_CLASS[ord("a") : ord("z") + 1] = _LOWER
_BYTE_CLASS[ord("0") : ord("9") + 1] = _DIGIT
_BYTE_CLASS[ord("\n")] = _NEWLINE
_BYTE_CLASS[ord("(")] = _OPEN
_BYTE_CLASS[ord(")")] = _CLOSE
_ANIONS = np.frombuffer(b"OFC", dtype=np.uint8)

SYMBOL_TABLE = np.zeros(26 * 27, dtype=np.uint8)
"""Capital and lower-case letter, or none, to atomic number, 27 a capital, the first of them for "no second letter".

Without D and T, of which the exact reader remarks that they are read as hydrogen."""
for _symbol, _z in ATOMIC_NUMBER.items():
    if _symbol in ("D", "T"):
        continue
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
    plain[_doubtful(text, kind, start, ends)] = False
    row = np.searchsorted(ends, start)
    two_letters = kind[start + 1] == _LOWER
    second = np.where(two_letters, text[start + 1].astype(np.int64) - ord("a") + 1, 0)
    atomic_number = SYMBOL_TABLE[(text[start].astype(np.int64) - ord("A")) * 27 + second]
    count, too_long = _read_counts(text, kind, start + 1 + two_letters)
    plain[row[too_long | (atomic_number == 0) | (count == 0)]] = False
    bracketed = np.zeros(n, dtype=bool)
    bracketed[np.searchsorted(ends, np.flatnonzero(kind == _OPEN))] = True
    plain[row[_perhaps_mass_numbers(row, atomic_number, count, bracketed)]] = False
    plain[row[_zeros_before_hydrogen(row, atomic_number, count)]] = False
    plain[_leads_with_zero(text, kind, ends)] = False
    count = count * _bracket_factors(text, kind, ends, start, row, plain)

    keep = plain[row]
    return row[keep], atomic_number[keep].astype(np.int64), count[keep], plain


def _perhaps_mass_numbers(
    row: np.ndarray, atomic_number: np.ndarray, count: np.ndarray, bracketed: np.ndarray
) -> np.ndarray:
    """Symbols whose counts may be mass numbers or end in that of the next symbol (`H2O18`, `H218O`), int64.

    Args:
        row: int64 `(tokens,)`.
        atomic_number: likewise.
        count: likewise, as written.
        bracketed: bool `(rows,)`; in rows with brackets all large counts are doubtful, no small ones.
    """
    many = np.flatnonzero(count > 12)
    number = count[many]
    most_beside = MASS_NUMBERS[atomic_number[many], np.where(number < MASS_NUMBERS.shape[1], number, 0)]
    known = (most_beside > 0) & ~bracketed[row[many]]
    labeled, most_beside = many[known], most_beside[known]
    begin, end = np.searchsorted(row, row[labeled]), np.searchsorted(row, row[labeled], "right")
    total = np.concatenate(([0], np.cumsum(count)))
    alone = total[end] - total[begin] - count[labeled] <= most_beside
    # Of light elements only beside one other, as `check_flat_mass_numbers` says.
    alone &= (end - begin == 2) | (count[labeled] >= 100)

    large = many[(number >= 100) & (number < 10_000)]
    following = np.minimum(large + 1, len(row) - 1)
    next_number, number = atomic_number[following], count[large]
    # The last two digits or, of four, the last three.
    ends_in_mass = MASS_NUMBERS[next_number, number % 100] > 0
    ends_in_mass |= (number >= 1000) & (MASS_NUMBERS[next_number, number % 1000] > 0)
    ends_in_mass &= (following > large) & (row[following] == row[large])
    return np.concatenate([labeled[alone], large[ends_in_mass | bracketed[row[large]]]])


def _leads_with_zero(text: np.ndarray, kind: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Rows with a number that begins with a zero, int64."""
    zero = np.flatnonzero(text == ord("0"))
    zero = zero[zero > 0]
    return np.searchsorted(ends, zero[kind[zero - 1] != _DIGIT])


def _doubtful(text: np.ndarray, kind: np.ndarray, start: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Plain rows of which the exact reader may have something to say, int64: `NaN`, `H20`, `Fe203`, `YBCO`, `FeIIO`."""
    begins = np.concatenate(([0], ends[:-1] + 1))
    # Few rows end in two digits, and few have three letters.
    long = np.flatnonzero(ends - begins > 2)
    many = long[(kind[ends[long] - 1] == _DIGIT) & (kind[ends[long] - 2] == _DIGIT)]
    end, begin = ends[many], begins[many]
    one_element = np.searchsorted(start, end) - np.searchsorted(start, begin) == 1
    zero_inside = (end - begin > 3) & (text[end - 2] == ord("0")) & (kind[end - 3] == _DIGIT)
    zero_inside |= (end - begin > 4) & (text[end - 3] == ord("0")) & (kind[end - 4] == _DIGIT)
    short = np.flatnonzero(ends - begins == 3)
    letter = [text[begins[short] + place] for place in range(3)]
    missing = (letter[0] == ord("N")) & (letter[1] == ord("a")) & (letter[2] == ord("N"))
    letters = np.flatnonzero((ends - begins >= ENDING) & (ends - begins <= LONGEST))
    for place in range(1, ENDING + 1):
        letters = letters[kind[ends[letters] - place] == _UPPER]
    codes = ending_code([text[ends[letters] - place].astype(np.int64) for place in range(ENDING, 0, -1)])
    letters = letters[ENDINGS[codes] > 0]  # `YBCO`
    numeral = _begin_numerals(text)
    return np.concatenate([many[one_element | zero_inside], short[missing], letters, np.searchsorted(ends, numeral)])


def _zeros_before_hydrogen(row: np.ndarray, atomic_number: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Symbols of hydrogen with tens of atoms before more of it (`NH40H`), int64; arrays as `_perhaps_mass_numbers`'."""
    hydrogen = np.flatnonzero(atomic_number[:-1] == 1)
    found = hydrogen[(atomic_number[hydrogen + 1] == 1) & (count[hydrogen] > 9) & (count[hydrogen] % 10 == 0)]
    return found[row[found] == row[found + 1]]


def _begin_numerals(text: np.ndarray) -> np.ndarray:
    """Places of what may be oxidation states, int64: `II`, `IV`, `VI` before O, F or C, `(I)`, `(V)`; and `CI`."""
    # A line break ends the text, so that there is a sign behind each letter; what is before the first is that break.
    iodine, vanadium = np.flatnonzero(text == ord("I")), np.flatnonzero(text == ord("V"))
    before, behind = text[iodine - 1], text[iodine + 1]
    pair = (behind == ord("I")) | (behind == ord("V"))
    six = (before == ord("V")) & (text[iodine - 2] != ord("\n")) & np.isin(behind, _ANIONS)
    alone = (before == ord("(")) & (behind == ord(")"))
    alone |= before == ord("C")  # `CaCI2`
    found = vanadium[(text[vanadium - 1] == ord("(")) & (text[vanadium + 1] == ord(")"))]
    return np.concatenate([iodine[pair | six | alone], found])


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
    plain[bracket_row[loose | (closes & (too_long | (factor == 0)))]] = False
    following = np.searchsorted(bracket, start)
    known = following < len(bracket)
    following[~known] = 0
    inside = known & closes[following] & (bracket_row[following] == row)
    return np.where(inside, factor[following], 1)


_TOKEN = re.compile(
    r"(?P<symbol>[A-Z][a-z]*)|(?P<open>\()|(?P<close>\))|(?P<number>\d{1,2}/\d{1,2}|\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)"
)
_PLACEHOLDERS = ("A", "E", "G", "J", "L", "M", "Q", "R", "X", "Z", "Ln", "RE", "Me", "An")
"""Letters that stand for any element of a kind, none of which is a symbol."""


class Reading(NamedTuple):
    """One formula: what was read, and what is to be said of it.

    Attributes:
        counts: atomic number to count in smallest whole numbers.
        remark: how it was read, "" as a rule.
        note: what stands beside the composition, such as `quartz` or `2-`, "" as a rule.
    """

    counts: dict[int, int]
    remark: str
    note: str = ""


def parse_exact(text: str) -> Reading:
    """Read one formula of any form that pymatgen reads, and dots (`CuSO4·5H2O`), subscripts and fractions besides.

    HTML, LaTeX and dicts in text are read as what they stand for; phases, labels, dopants, charges and oxidation states
    are taken off with a remark (see `annotations` and `roman_numerals`). Amounts are exact rational numbers:
    `Li0.5CoO2` is LiCo2O4, `Fe0.333` is Fe; decimals that are rounded fractions are taken for these (`Fe0.6667O` is
    Fe2O3). A point before water or ammonia is a dot, any other point before a digit a decimal one, as in pymatgen.

    Args:
        text: the formula.

    Returns:
        The counts, without zeros, and what is to be said of the reading.

    Raises:
        FormulaError: the text is not a formula, or has two readings; the message says why, without repeating the whole
            text.
    """
    if len(text) > _MAX_TEXT:
        raise FormulaError(f"formula of {len(text)} characters, at most {_MAX_TEXT} are read")
    notes: list[str] = []
    annotated: list[str] = []
    if not is_ordinary(text):
        if (mapping := written_mapping(text)) is not None:
            return read_amounts(mapping)
        text = without_states(without_markup(_as_utf8(text)), notes, annotated)
        text = without_annotations(text, notes, annotated)
    else:
        text = without_states(text, notes, annotated)
    parts, remarks = prepared(text)
    check_flat_mass_numbers(DOT.join(parts), remarks)
    remarks = annotated + remarks
    if parts == [""]:
        raise FormulaError("empty formula")
    if any(re.search(r"CI\d*$", part) and "H" not in part for part in parts):
        remarks.append("CI is read as carbon and iodine: chlorine (Cl)?")
    counts, rounded = _counts_of(parts)
    if rounded:
        remarks.append("rounded fractions: " + ", ".join(f"{text[:12]} as {value}" for text, value in rounded.items()))
    if zero := re.search(r"([A-Z][a-z]?|\))0(?![0-9.e])", DOT.join(parts)):
        remarks.append(f"no atom of {zero[1]}: {ZERO_FOR_O}" if zero[1] != ")" else f"brackets times 0: {ZERO_FOR_O}")
    if abbreviation := abbreviation_remark(parts[0]) if len(parts) == 1 else "":
        remarks.append(abbreviation)
    for symbol in ("D", "T"):
        if any(re.search(f"{symbol}(?![a-z])", part) for part in parts):
            remarks.append(f"{symbol} is read as hydrogen")
    return Reading(counts, "; ".join(remarks), "; ".join(notes))


def _as_utf8(text: str) -> str:
    """A text whose bytes Python could not decode in the terminal's encoding, such as an argument under `LC_ALL=C`."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return text


def read_amounts(amounts: Mapping[str, Any]) -> Reading:
    """Read a composition that is given as symbols and amounts, such as `{"Fe": 2, "O": 3}`.

    Floats that are rounded fractions are taken for these, as in `parse_exact`.

    Raises:
        FormulaError: an amount is no number, negative or out of range, or all of them are zero.
    """
    if not amounts:
        raise FormulaError("empty composition")
    exact: dict[int, Fraction] = {}
    rounded = []
    for symbol, amount in amounts.items():
        if isinstance(amount, Fraction):
            number = amount
        else:
            digits = _digits(symbol, amount)
            fraction = as_fraction(digits)
            number = _number(digits) if fraction is None else fraction
            # The noise of a float is nothing to speak of.
            if fraction is not None and len(digits) < _FLOAT_DIGITS:
                rounded.append(f"{digits[:12]} as {fraction}")
        if number < 0:
            raise FormulaError(f"negative amount of {symbol}")
        z = _atomic_number(symbol)
        exact[z] = exact.get(z, Fraction(0)) + number
    remarks = [f"rounded fractions: {', '.join(rounded)}"] if rounded else []
    remarks += [f"{symbol} is read as hydrogen" for symbol in ("D", "T") if symbol in amounts]
    return Reading(_whole_numbers({z: amount for z, amount in exact.items() if amount}), "; ".join(remarks))


def _digits(symbol: str, amount: Any) -> str:
    """An amount as text that `_number` reads."""
    try:
        value = float(amount)
    except (TypeError, ValueError):
        raise FormulaError(f"the amount of {symbol}, {str(amount)[:12]!r}, is no number") from None
    if not math.isfinite(value):
        raise FormulaError(f"the amount of {symbol} is {value}")
    if value < 0:
        raise FormulaError(f"negative amount of {symbol}")
    return str(int(value)) if value.is_integer() else repr(value)


def _counts_of(parts: list[str]) -> tuple[dict[int, int], dict[str, Fraction]]:
    """The counts, and the decimals that were taken for fractions where that makes a difference."""
    decimals = [digits for part in parts for digits in _DECIMAL.findall(part)]
    rounded = as_fractions(decimals) or as_shares("".join(parts))
    simple = _counts(parts, lambda digits: rounded[digits] if digits in rounded else _number(digits)) if rounded else {}
    try:
        counts = _counts(parts, _number)
    except FormulaError:
        if not rounded:  # the digits as written may need more atoms than can be counted
            raise
        return simple, rounded
    return (simple, rounded) if rounded and simple != counts else (counts, {})


_DECIMAL = re.compile(r"\d*\.\d+(?!\d*e)")


def _counts(parts: list[str], number: Callable[[str], Fraction]) -> dict[int, int]:
    """The smallest whole numbers of the sum of all parts; `number` reads an amount."""
    amounts: dict[int, Fraction] = {}
    for part in parts:
        for z, amount in _parse_part(part, number, multiplier_allowed=len(parts) > 1).items():
            amounts[z] = amounts.get(z, Fraction(0)) + amount
    return _whole_numbers({z: amount for z, amount in amounts.items() if amount})


def _parse_part(part: str, number: Callable[[str], Fraction], *, multiplier_allowed: bool) -> dict[int, Fraction]:
    """One side of a dot: an optional multiplier, then symbols and brackets with their numbers."""
    stack: list[dict[int, Fraction]] = [{}]
    position, factor = 0, Fraction(1)
    if multiplier_allowed and (match := _TOKEN.match(part)) and match["number"]:
        factor, position = number(match["number"]), match.end()
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
            amount, position = number(following["number"]), following.end()
        for z, inner in group.items():
            stack[-1][z] = stack[-1].get(z, Fraction(0)) + inner * amount
    if len(stack) > 1:
        raise FormulaError("opening bracket without a closing one")
    if not stack[0]:
        raise FormulaError("no element before or after a dot")
    return {z: amount * factor for z, amount in stack[0].items()}


def _unreadable(part: str, position: int) -> str:
    character = part[position]
    if character in "+-" and (difference := re.match(r"[\d.]+[+-][\d.]+", part[_digits_begin(part, position) :])):
        return f"{difference[0]!r} is no number: write its value"
    if character == "-" and part[position + 1 : position + 2].isdigit():
        return "negative amount"
    if character in "+-":
        return f"{character!r} joins two substances, or is part of a charge or range: write one formula a row"
    if character == "," and part.count("(", 0, position) > part.count(")", 0, position):
        return "elements that share a site: write the amount of each, as (Mg0.9Fe0.1)2SiO4"
    if character == "/":
        return "'/' joins two substances: write the formula of one"
    if character == "," and re.match(r"\d,\d", part[max(0, position - 1) :]):
        return f"a decimal comma? write a point, or {TWO_COLUMNS}"
    if character in ",;|":
        return f"unexpected {character!r}: {TWO_COLUMNS}"
    if character == "0":
        return f"unexpected '0': {ZERO_FOR_O}"
    if not position and character.isdigit():
        return f"unexpected {character!r} in front: a multiple or a mass number is no part of a composition"
    if not position and character.islower():
        return f"unexpected {character!r}: symbols of elements begin with a capital letter"
    return f"unexpected {character!r}"


def _digits_begin(part: str, position: int) -> int:
    """Where the number that ends at a position begins."""
    while position and part[position - 1] in "0123456789.":
        position -= 1
    return position


def _atomic_number(symbol: str) -> int:
    if symbol not in ATOMIC_NUMBER:
        hint = ", a placeholder? write an element" if symbol in _PLACEHOLDERS else ""
        if symbol[:-1] in ATOMIC_NUMBER and symbol[-1] in "xyzn":
            hint = f": is {symbol[-1]!r} an unknown amount? write a number"
        raise FormulaError(f"no element {symbol[:12]!r}{hint}")
    return ATOMIC_NUMBER[symbol]


def _number(text: str) -> Fraction:
    _, _, exponent = text.partition("e")
    # Checked before the number is made: 1e999999999 as an exact fraction would fill the memory.
    if len(text) > _MAX_NUMBER_LENGTH or (exponent and abs(int(exponent)) > _MAX_EXPONENT):
        raise FormulaError(f"number out of range: {text[:12]}...")
    if text[:1] == "0" and text[1:2].isdigit():
        raise FormulaError(f"leading zero in {text[:12]!r}: {ZERO_FOR_O}")
    numerator, slash, denominator = text.partition("/")
    # `Fe2O3/2TiO2` is a mixture: only parts of an atom are fractions.
    if slash and not 0 < int(numerator) < int(denominator):
        raise FormulaError(f"{text}: a fraction of an atom is below 1, and mixtures are written one substance a row")
    return Fraction(text)


def _whole_numbers(amounts: dict[int, Fraction]) -> dict[int, int]:
    if not amounts:
        raise FormulaError(f"all amounts are zero: {ZERO_FOR_O}")
    denominator = math.lcm(*(amount.denominator for amount in amounts.values()))
    counts = {z: int(amount * denominator) for z, amount in amounts.items()}
    divisor = math.gcd(*counts.values())
    counts = {z: count // divisor for z, count in counts.items()}
    if max(counts.values()) > MAX_COUNT:
        raise FormulaError(f"more than {MAX_COUNT} atoms of one element in the reduced formula")
    return counts
