"""Formulas in HTML, LaTeX, mhchem or the quotation marks of CIF, as plain text; nothing of the composition is lost."""

from __future__ import annotations

import html
import re

from matgen.composition.isotopes import SUPERSCRIPTS
from matgen.composition.roman_numerals import raised_numeral
from matgen.errors import FormulaError

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η",
    "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ",
    "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
"""Name of each Greek letter to the letter."""

_RAISED = str.maketrans("0123456789", SUPERSCRIPTS)
_LOWERED = str.maketrans(SUPERSCRIPTS, "0123456789")
_SIGNS = str.maketrans({**dict.fromkeys("−–—‐‑﹣－₋", "-"), **dict.fromkeys("＋₊", "+")})
_RAISED_MASS = re.compile(r"\^(\d{1,3})(?=[A-Z])")
_RAISED_CHARGE = re.compile(rf"([{SUPERSCRIPTS}]*)([⁺⁻]+)")

_QUOTED = re.compile(r"""\s*(['"])\s*([^'"]*\S)\s*\1\s*""")
_DASHES = re.compile(r"\s*-\s+(\S.*?)\s+-\s*", re.DOTALL)

_RAISED_TAG = re.compile(r"<sup\b[^<>]*>(.*?)</sup\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?(?:sub|inf|i|b|em|strong|span|font|p|td|nobr)\b[^<>]*>", re.IGNORECASE)
_MARKDOWN = re.compile(r"~(\d[\d.]*)~")

_IN_LATEX = re.compile(r"[$\\]|[_^]\{")
_COMMAND = re.compile(r"\\+([A-Za-z]+)\s*")
_SPACING = re.compile(r"\\+[,;:! ]")
_GROUPING = {"mathrm", "mathit", "mathbf", "mathsf", "mathregular", "text", "textrm", "textit", "textbf", "rm", "ce",
             "ch", "mbox", "ensuremath", "left", "right"}  # fmt: skip
_WRITTEN = {"cdot": "·", "bullet": "·", "centerdot": "·", "ast": "*", "textsubscript": "_", "textsuperscript": "^",
            **GREEK}  # fmt: skip
_FRACTION = re.compile(r"\\+(?:[dt]?frac|nicefrac|sfrac)\s*\{(\d+)\}\s*\{(\d+)\}")
_UPPER_GROUP = re.compile(r"\^\{([^{}]*)\}|\^(\d*[+-]+|\d+)")
_SUBSCRIPT = re.compile(r"_(?=\d)")


def without_markup(text: str) -> str:
    """The text without tags, LaTeX commands, quotation marks and COD's dashes, with `^2-` for raised charges.

    Raises:
        FormulaError: an unknown LaTeX command, or an underscore that may begin a subscript or a label.
    """
    if quoted := _QUOTED.fullmatch(text):
        text = quoted[2]
    if dashes := _DASHES.fullmatch(text):  # the Crystallography Open Database writes `- Al2 O3 -`
        text = dashes[1]
    if "<" in text:
        text = _TAG.sub("", _RAISED_TAG.sub(lambda found: _raised(_TAG.sub("", found[1])), text))
    if "&" in text:
        text = html.unescape(text)
    if "~" in text:
        text = _MARKDOWN.sub(r"\1", text)
    text = text.translate(_SIGNS)
    if _IN_LATEX.search(text):
        text = _without_latex(text)
    elif "_" in text:
        text = _without_subscripts(text)
    text = _RAISED_MASS.sub(lambda found: found[1].translate(_RAISED), text)
    return _RAISED_CHARGE.sub(
        lambda found: f"^{found[1].translate(_LOWERED)}{found[2].replace('⁺', '+').replace('⁻', '-')}", text
    )


def _raised(text: str) -> str:
    """A superscript: digits alone as mass numbers are written, all else behind a `^`, numerals in brackets."""
    text = text.strip().translate(_SIGNS)
    if raised_numeral(text):
        return f"^({text})"
    return text.translate(_RAISED) if text.isdigit() else f"^{text}"


def _without_latex(text: str) -> str:
    text = _FRACTION.sub(r"\1/\2", text.replace("$", ""))
    text = _SPACING.sub("", text.replace("\\%", "%").replace("~", ""))
    text = _COMMAND.sub(_written, text)
    text = _UPPER_GROUP.sub(lambda found: _raised(found[1] or found[2] or ""), text)
    return re.sub(r"[_{}]", "", text)


def _written(command: re.Match[str]) -> str:
    name = command[1]
    if name in _GROUPING:
        return ""
    if name not in _WRITTEN:
        raise FormulaError(f"LaTeX command {name[:20]!r} is not read: write the formula in plain text")
    return _WRITTEN[name]


def _without_subscripts(text: str) -> str:
    """`Fe_2O_3` without the underscores; one behind a digit (`Fe2O3_1`) is left, since it begins a label."""
    places = [match.start() for match in _SUBSCRIPT.finditer(text)]
    numbers = [place for place in places if place and (text[place - 1].isalpha() or text[place - 1] in ")]")]
    lone = re.fullmatch(r"([^_]*)_(\d+(?:\.\d+)?)\s*", text)
    if lone and numbers and lone[2] != "1":
        raise FormulaError(f"a subscript or a label? write {lone[1]}{lone[2]} or {lone[1]}")
    for place in reversed(numbers):
        text = text[:place] + text[place + 1 :]
    return text
