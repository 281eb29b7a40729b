"""What people write in formulas besides symbols and numbers: dots, blanks, zeros for O; read, or refused.

A text that chemists read in one way only is read in that way, with a remark where it could have been meant otherwise.
A text with two readings is refused, since either one might be a silent other composition.
"""

from __future__ import annotations

import re

from matgen.composition.isotopes import without_mass_numbers
from matgen.errors import FormulaError

DOT = "·"
"""What stands between the parts of a compound, such as salt and water, once the text is `prepared`."""

TWO_COLUMNS = "two columns in one? save the table as CSV, one formula a cell"
ZERO_FOR_O = "zero for the letter O?"

_DOTS = re.compile(r"\s*[·•*‧⸱˙∙⋅・◦]\s*")
_FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8"}
_AFTER_DIGIT = re.compile(rf"[0-9₀-₉]\s*[{''.join(_FRACTIONS)}]")
_PLAIN_SIGNS = str.maketrans(
    {**dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)), **_FRACTIONS, "[": "(", "]": ")", "{": "(", "}": ")"}
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad")  # nobody sees these
)

_MULTIPLIER = r"(?:[1-9][0-9]?(?:\.[0-9]+)?|0\.[0-9]+|[1-9]/[1-9])?"
_WATER = re.compile(rf"\s*\.\s*(?P<amount>{_MULTIPLIER})\s*(?P<water>\(?(?:H2O|D2O|NH3)\)?)\s*(?=$|[{DOT}.])")
_IN_MULTIPLIER = re.compile(rf"{DOT}[0-9]*$")
_AFTER_MULTIPLIER = re.compile(rf"({DOT}[0-9./]+)\s+(?=[A-Z(])")
_POINT = re.compile(r"[0-9]*\.[0-9]")
_JOINING = re.compile(r"\s+\.\s+|\s*\.\s*(?=[A-Z(])")
_MULTIPLIED = re.compile(r"\s*\.\s*(?=[1-9][0-9]?[A-Z(])")
_MULTIPLIER_IN_FRONT = re.compile(r"[1-9][0-9]?[A-Z(]")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_SPLIT_NUMBER = re.compile(r"[\d.]\s+[\d.]")
_MISSING_DOT = re.compile(r"(.*\S)\s+([1-9][0-9]?\s*(?:H2O|NH3))", re.DOTALL)
_BEFORE_NUMBER = re.compile(r"[A-Za-z)]\s+(?:[+-]?[\d.])")
_LONE_TOKEN = re.compile(rf"[(){DOT}]*(?:[A-Z][a-z]?|\d+\.?\d*|\.\d+)?[(){DOT}]*")
_OF_ONE_ELEMENT = re.compile(r"([A-Z][a-z]?)([1-9][0-9]+)")
_PERHAPS_OXYGEN = re.compile(r"([A-Z][a-z]?)([2-9]0[2-9]|[1-9]0(?:1[0-9]|2[0-4])|\d*\.[1-9]\d?0[2-9])$")
"""The end of `K2Cr207`, `Li4Ti5012` and `LiNi0.5Mn1.504`."""
_ZERO_BEFORE_HYDROGEN = re.compile(r"(H[1-9])0(H(?![a-z])\d*)")
"""`NH40H` and `C2H50H`: no formula has 40 atoms of hydrogen and then more of it."""
_TAKES_TWO = {"H", "Li", "Na", "K", "Rb", "Cs", "Cu", "Ag", "Tl", "Cl"}
"""Elements whose oxide has two atoms to one of oxygen, so that `H20` is water and not twenty atoms."""


def prepared(text: str) -> tuple[list[str], list[str]]:
    """The parts of a compound that dots separate, without blanks and in ASCII, and remarks on how they were read.

    Raises:
        FormulaError: the text has two readings, or signs that are no part of a formula.
    """
    remarks: list[str] = []
    if "@" in text:
        raise FormulaError("'@' joins two substances (core@shell, atoms in a cage): write the formula of one")
    text = without_mass_numbers(text, remarks)
    if _AFTER_DIGIT.search(text):
        raise FormulaError("a fraction after a digit: write a decimal (1.5)")
    text = _with_dots(text.translate(_PLAIN_SIGNS).strip(), remarks)
    _check_blanks(text)
    text = "".join(text.split())
    _check_zeros(text, remarks)
    if text == "NaN":
        remarks.append("sodium nitride, or a missing value? leave the cell of a missing formula empty")
    return text.split(DOT), remarks


def _with_dots(text: str, remarks: list[str]) -> str:
    """The text with one sign for all dots between parts; a point stays where it is a decimal one."""
    text = _AFTER_MULTIPLIER.sub(r"\1", _DOTS.sub(DOT, text))
    if "." not in text:
        return text
    waters = [match for match in _WATER.finditer(text) if not _IN_MULTIPLIER.search(text, 0, match.start())]
    joined = text
    for match in reversed(waters):
        joined = joined[: match.start()] + DOT + match["amount"] + match["water"] + joined[match.end() :]
    if joined == text:
        _check_point(text)
    else:
        amounts = [match["amount"] for match in waters]
        rest = _POINT.findall(joined.translate(str.maketrans("", "", " ")))
        fractional = sum("." in amount for amount in amounts)
        # `CaSO4.0.5H2O` cannot be a decimal; `La0.5CoO3.5H2O` can.
        if len(rest) > fractional and any(amounts):
            raise _two_readings(text, joined)
        if any(amounts):
            remarks.append(f"the point is read as the dot of a hydrate or ammine ({joined})")
        text = joined
    if _MULTIPLIER_IN_FRONT.match(text):  # 3CaO.2SiO2: a multiplier in front belongs to parts
        text = _MULTIPLIED.sub(DOT, text)
    return _JOINING.sub(DOT, text)


def _check_point(text: str) -> None:
    """Raise where the only point may be one between the parts of a compound (`Al2O3.2SiO2`)."""
    match = _MULTIPLIED.search(text)
    if match is None or len(_POINT.findall(text)) != 1 or _MULTIPLIER_IN_FRONT.match(text):
        return
    left, right = text[: match.start()], text[match.end() :]
    if _IN_MULTIPLIER.search(left):  # CuSO4·0.5H2O
        return
    elements = set(_SYMBOL.findall(right))
    # Decimals rarely come before an element that was there already; parts of a compound often share oxygen. Molecules
    # of carbon and hydrogen are solvents (`CaCl2.2CH3OH`).
    if len(elements) > 1 and (elements & set(_SYMBOL.findall(left)) or {"C", "H"} <= elements):
        raise _two_readings(text, f"{left}{DOT}{right}")


def _two_readings(text: str, with_dot: str) -> FormulaError:
    return FormulaError(f"decimal point or dot? write {with_dot}, or whole numbers where {text!r} has a decimal")


def _check_blanks(text: str) -> None:
    """Raise where blanks part more than symbols: two columns, two formulas, a number in two."""
    pieces = text.split()
    if len(pieces) < 2:
        return
    if match := _MISSING_DOT.fullmatch(text):
        raise FormulaError(f"a hydrate or two columns? write {match[1]}{DOT}{''.join(match[2].split())}")
    if _SPLIT_NUMBER.search(text):
        raise FormulaError(f"blank inside a number: {TWO_COLUMNS}")
    if re.fullmatch(r"[+-]?[\d.]+", pieces[0]):
        raise FormulaError(f"begins with a number and a blank: {TWO_COLUMNS}")
    if _BEFORE_NUMBER.search(text) and not _written_apart(pieces):
        raise FormulaError(f"blank before a number: {TWO_COLUMNS}")
    compounds = [piece for piece in pieces if len(set(_SYMBOL.findall(piece))) > 1]
    if len(compounds) > 1:
        raise FormulaError(
            f"two formulas in one? {compounds[0][:20]} and {compounds[1][:20]}: write one a row, or {DOT} between parts"
        )


def _written_apart(pieces: list[str]) -> bool:
    """Whether a whole formula is written with blanks (`Fe 2 O 3`), so that its last number is part of it."""
    if not all(_LONE_TOKEN.fullmatch(piece) for piece in pieces):
        return False
    numbers = [place for place, piece in enumerate(pieces) if piece.strip(f"(){DOT}")[:1] in tuple("0123456789.")]
    # `Ga N 3.4` may be a formula and a number beside it; `Fe 2 O 3`, `H 2 O` and `Si 8` are not.
    return numbers[0] < len(pieces) - 1 or sum(bool(_SYMBOL.search(piece)) for piece in pieces) == 1


def _check_zeros(text: str, remarks: list[str]) -> None:
    """Raise or remark where a zero is likely the letter O; leading zeros are refused where numbers are read."""
    if match := _OF_ONE_ELEMENT.fullmatch(text):
        symbol, number = match.groups()
        if re.fullmatch("[2-9]0[2-9]", number) or (number == "20" and symbol in _TAKES_TWO):
            raise FormulaError(f"{number} atoms of {symbol} alone: {ZERO_FOR_O}")
        if "0" in number and symbol != "C":  # C60
            remarks.append(f"{number} atoms of {symbol} alone: {ZERO_FOR_O}")
    elif (match := _PERHAPS_OXYGEN.search(text)) and "O" not in _SYMBOL.findall(text):
        remarks.append(f"{match[2]} atoms of {match[1]}: {ZERO_FOR_O}")
    if match := _ZERO_BEFORE_HYDROGEN.search(text):
        remarks.append(f"{match[0]}: {ZERO_FOR_O} write {match[1]}O{match[2]}")
