"""Charges behind formulas, `SO4^2-` and `NH4+`: taken off, kept beside the composition and said."""

from __future__ import annotations

import re

from matgen.errors import FormulaError

_MARKED_CHARGE = re.compile(
    r"""(?: \s*\^\s*\(?\s*(?P<n>\d{0,2})\s*(?P<sign>\+{1,4}|-{1,4})\)?  # SO4^2-
    | \s*\((?P<n2>\d{0,2})\s*(?P<sign2>\+{1,4}|-{1,4})\)  # SO4(2-)
    | \s+(?P<n3>[1-8])(?P<sign3>[+-])  # SO4 2-, but `GaN -` and `GaN -2` are two columns
    | (?<!\s)\^?\(?(?P<sign4>[+-])(?P<n4>[1-8])\)?  # Ca+2
    )\s*""",
    re.VERBOSE,
)
_CHARGE = re.compile(r"(?<![\d\s+-])(?P<digits>\d{0,3})(?P<sign>\+{1,4}|-{1,4})\s*\Z")

_SYMBOL = re.compile(r"[A-Z][a-z]?")


def without_charge(text: str, taken: list[str], remarks: list[str]) -> str:
    """The ion's composition; `SO4^2-` and `SO42-` are SO4, `NH4+` is NH4.

    Args:
        text: a formula, perhaps with a charge behind it.
        taken: filled with the charge, as `2-`.
        remarks: filled with what is to be said of it.

    Raises:
        FormulaError: the last digits may be a count or a charge (`VO2+`).
    """
    text = text.rstrip()
    if not text or text[-1] not in "+-)12345678":
        return text
    for match in _MARKED_CHARGE.finditer(text):
        if match.end() == len(text) and match.start() > 0 and text[match.start() - 1] not in "+-^":
            number = next((match[name] for name in ("n", "n2", "n3", "n4") if match[name]), "")
            sign = next(match[name] for name in ("sign", "sign2", "sign3", "sign4") if match[name])
            return _ion(text[: match.start()], number, sign, taken, remarks)
    last = _CHARGE.search(text)
    if last is None or not last.start():
        return text
    count, number = _count_and_charge(text[: last.start()], last["digits"], last["sign"])
    return _ion(text[: last.start()] + count, number, last["sign"], taken, remarks)


def _ion(text: str, number: str, sign: str, taken: list[str], remarks: list[str]) -> str:
    charge = f"{number or (len(sign) if len(sign) > 1 else '')}{sign[0]}"
    taken.append(charge)
    remarks.append(f"charge {charge} left out, read as {text.strip()}")
    return text


def _count_and_charge(before: str, digits: str, sign: str) -> tuple[str, str]:
    """How digits right before a sign are shared by the last count and the charge.

    Raises:
        FormulaError: either may be meant (`VO2+`, `C10H14+`).
    """
    elements = _SYMBOL.findall(before)
    whole_bracket = before.startswith("[") and before.endswith("]") and before.count("[") == 1
    if not digits or len(set(elements)) < 2 or whole_bracket:
        return "", digits
    if len(sign) > 1 or before.endswith("."):
        return digits, ""
    readings = (digits, ""), (digits[:-1], digits[-1])
    if len(digits) == 1:
        # VO^2+ and VO2^+ both exist, and so do AlOH^2+ and Al(OH)2^+.
        oxo = len(elements) == 2 and before.endswith("O")
        if sign == "-" or not (oxo or before.endswith("(OH)")):
            return readings[0]
    # 42 atoms of O are unlikely, 14 of H are not.
    elif digits[-1] in "1234" and (
        (len(digits) == 2 and digits[0] != "1" and (elements[-1] not in "CH" or before.endswith(")")))
        or (len(digits) == 3 and digits[-1] != "1")
    ):
        return readings[1]
    written = " or ".join(f"{before[-20:]}{count}^{number}{sign}" for count, number in readings)
    raise FormulaError(f"count or charge? write {written}")
