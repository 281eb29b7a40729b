"""Oxidation states in formulas as chemists write them, `Fe(III)2O3`: read as the element, and kept beside it.

`I` and `V` are also iodine and vanadium. Brackets around two or more numeral letters, and raised numerals, are states.
`(I)` and `(V)` are states of elements that have them where an anion follows (`Cu(I)2O`), the element itself where only
a count follows (`Pb(I)2`), and refused elsewhere, since either may be meant.
"""

from __future__ import annotations

import re

from matgen.composition.elements import ATOMIC_NUMBER
from matgen.errors import FormulaError

_NUMERAL = r"(?:I{1,3}|IV|VI{0,3})"
_LIST = rf"{_NUMERAL}(?:\s*[,/]\s*{_NUMERAL})*"
_OPEN, _CLOSE = r"[(\[{]", r"[)\]}]"
_SIGNED = r"[1-8]\+|\+[1-8]"
_STATE = re.compile(
    rf"(?P<symbol>[A-Z][a-z]?)(?P<count>[\d.₀-₉]*)\s*(?:(?P<raised>\^?)\s*{_OPEN}\s*(?P<state>{_LIST})\s*{_CLOSE}"
    rf"|\^(?P<bare>{_NUMERAL})(?![a-zIV])|{_OPEN}(?P<signed>{_SIGNED}){_CLOSE}(?=.*[A-Z]))"
)
_LOOSE = re.compile(rf"{_OPEN}\s*(I{{2,3}}|IV|VI{{1,3}})\s*{_CLOSE}")
_PHASE = re.compile(r"\s+\(\s*(I{2,3}|IV|VI{1,3})\s*\)\s*\Z")
_SYMBOL = re.compile(r"[A-Z][a-z]?")
_FLAT = re.compile(r"([A-Z][a-z]?)(I{2,3}|VI{2,3}|IV)(?![a-zIV])")
_FLAT_SIX = re.compile(r"(Cr|Mn|Mo|W|U|S|Se|Te|Re|Os|Tc|Np|Pu)(VI)(?=O|F|Cl)")
_ALONE = {"I": ("Cu", "Ag", "Au", "Hg", "Tl", "In", "Ga"),
          "V": ("P", "As", "Sb", "V", "Nb", "Ta", "Mo", "W", "Re", "Pa", "U", "Np")}  # fmt: skip
"""Elements for which a one-letter numeral before an anion is a state: their compounds in it are common."""
_ELEMENT = {"I": "iodine", "V": "vanadium"}
_ANION = re.compile(r"(?:O|F|Cl|Br|I|S|Se|Te|N|P|C)(?![a-z])")
_CHARACTERS = {
    **dict(zip("ⅠⅡⅢⅣⅤⅥⅦⅧ", ("I", "II", "III", "IV", "V", "VI", "VII", "VIII"), strict=True)),
    "ᴵ": "I",
    "ⱽ": "V",
}
_AS_LETTERS = str.maketrans(_CHARACTERS)
_CHARACTER = re.compile(f"[{''.join(_CHARACTERS)}]+")


def raised_numeral(text: str) -> bool:
    """Whether a superscript is an oxidation state, such as `III`."""
    return re.fullmatch(_LIST, text) is not None


def without_states(text: str, notes: list[str], remarks: list[str]) -> str:
    """The formula without its oxidation states.

    Args:
        text: as `markup.without_markup` leaves it; raised states stand behind a `^`.
        notes: filled with the states, such as `Fe(III)`.
        remarks: filled with what is to be said of them.

    Raises:
        FormulaError: a numeral may be an element too, or belongs to no element.
    """
    text = _CHARACTER.sub(_as_letters, text)
    if (phase := _PHASE.search(text)) and len(set(_SYMBOL.findall(text[: phase.start()]))) > 1:  # TiO2 (II)
        text = text[: phase.start()]
        notes.append(phase[1])
        remarks.append(f"{phase[1]} left out")
    taken: list[str] = []
    bare = _STATE.sub(lambda match: _without_state(match, taken, remarks), text)
    if match := _LOOSE.search(bare):
        if not bare[: match.start()].strip():
            raise FormulaError(f"({match[1]}): an oxidation state, of which element? write Fe({match[1]})")
        taken.append(f"({match[1]})")
        bare = bare[: match.start()] + bare[match.end() :]
    if taken:
        states = ", ".join(dict.fromkeys(taken))
        notes.append(states)
        remarks.append(f"oxidation state {states} left out, read as {bare.strip()}")
    if match := _FLAT.search(bare):
        if match[1] in ATOMIC_NUMBER and match[2] != "IV":
            state = f"{match[1]}({match[2]})"
            raise FormulaError(f"{match[2]}: an oxidation state, or iodine? write {state}, or the number of I atoms")
        remarks.append(f"{match[2]} is read as elements: write {match[1]}({match[2]}) for an oxidation state")
    elif match := _FLAT_SIX.search(bare):
        remarks.append(f"{match[2]} is read as elements: write {match[1]}({match[2]}) for an oxidation state")
    return bare


def _as_letters(match: re.Match[str]) -> str:
    numeral = match[0].translate(_AS_LETTERS)
    before = match.string[: match.start()].rstrip()
    return numeral if before.endswith(("(", "[", "{", "^", ",", "/")) else f"^({numeral})"


def _without_state(match: re.Match[str], taken: list[str], remarks: list[str]) -> str:
    symbol, state = match["symbol"], match["state"] or match["bare"] or match["signed"]
    if symbol not in ATOMIC_NUMBER:
        return match[0]
    if state in _ELEMENT and not match["raised"] and not match["bare"] and not _is_state(match, symbol, state):
        remarks.append(f"({state}) is read as {_ELEMENT[state]}")
        return match[0]
    taken.append(f"{symbol}({''.join(state.split())})")
    return f"{symbol}{match['count']}"


def _is_state(match: re.Match[str], symbol: str, state: str) -> bool:
    """Whether a one-letter numeral is a state and not iodine or vanadium."""
    rest = match.string[match.end() :]
    following = rest.strip().lstrip("0123456789.₀₁₂₃₄₅₆₇₈₉")
    if symbol in _ALONE[state] and _ANION.search(following):
        return True
    if following != rest.strip() and not following:
        return False
    before, count = match.string[: match.start()], symbol + match["count"]
    raise FormulaError(
        f"({state}): an oxidation state, or {_ELEMENT[state]}? write "
        f"{(before + count + rest).strip()[:30]} or {(before + count + state + rest).strip()[:30]}"
    )
