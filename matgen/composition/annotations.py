"""What people write beside a composition: phases, states, labels, dopants, charges; taken off, kept and said.

A sign is taken off only where what is left has one reading. What changes the composition by an unknown amount (`3-δ`,
`1-x`) is refused, and so is what may be weight per cent (`Ti-6Al-4V`).
"""

from __future__ import annotations

import re
from fractions import Fraction

from matgen.composition.charges import without_charge
from matgen.composition.elements import ATOMIC_NUMBER
from matgen.composition.markup import GREEK
from matgen.errors import FormulaError

WEIGHT_PER_CENT = "weight per cent? convert it: matgen check --weight-percent"

_PHASES = (
    "cubic", "tetragonal", "orthorhombic", "hexagonal", "trigonal", "rhombohedral", "monoclinic", "triclinic", "fcc",
    "bcc", "hcp", "dhcp", "bct", "ccp", "rutile", "anatase", "brookite", "quartz", "cristobalite", "tridymite",
    "coesite", "stishovite", "corundum", "hematite", "maghemite", "magnetite", "goethite", "wurtzite", "zincblende",
    "sphalerite", "rocksalt", "halite", "periclase", "brucite", "gibbsite", "boehmite", "perovskite", "spinel",
    "fluorite", "garnet", "diamond", "graphite", "graphene", "lonsdaleite", "calcite", "aragonite", "vaterite",
    "olivine", "layered", "pyrochlore", "ilmenite", "delafossite", "bixbyite", "marcasite", "pyrite", "baddeleyite",
    "zircon", "galena", "cinnabar", "bulk", "amorphous", "crystalline", "polycrystalline", "glass", "glassy",
    "vitreous", "ceramic", "powder", "film", "monolayer", "bilayer", "nanoparticle", "nanoparticles", "nanowire",
    "nanowires", "nanotube", "nanotubes", "nanosheet", "nanosheets", "nanocrystals", "solid", "liquid", "gas",
    "gaseous", "molten", "metastable",
)  # fmt: skip
_TWO_WORDS = [r"zinc[- ]blende", r"rock[- ]salt", r"thin[- ]film", r"single[- ]crystal", r"inverse[- ]spinel"]
_MOST_TAKEN = 6
_WORD = "(?i:" + "|".join(sorted([*_PHASES, *_TWO_WORDS], key=len, reverse=True)) + ")"
_GREEK_NAMES = "|".join([*GREEK, *map(str.capitalize, GREEK)])
_STATES = {"s", "l", "g", "c", "aq", "cr", "am", "sol", "ads"}
_CONDITIONS = {"HT", "LT", "RT", "HP", "LP"}
"""High, low and room temperature, high and low pressure; tritium is not written so."""
_LETTER = "[αβγδεζηθικλμνξοπρστυφχψωϵϑϕµ]"
_POLYTYPE = r"[1-9][0-9]?(?:[HRTCM]|Td)['′]*"
_PREFIX = re.compile(
    rf"\s*((?:{_LETTER}['′″*]*[0-9₀-₉]?\s*-?\s*|(?:{_GREEK_NAMES})['′]*[-\s_]+|[a-w]-|(?:wz|zb|rs|ht|lt|hp|am|nc)-"
    rf"|{_POLYTYPE}-|{_WORD}[-\s_]+))(?=[A-Z(\[])"
)
_LABEL = re.compile(r"\s*_+\s*([^\s_][^_]*(?:_.*)?)", re.DOTALL)
_IN_BRACKETS = re.compile(r"(\s*)[(\[]\s*([^()\[\]]*?)\s*[)\]]\s*")
_LAST_WORD = re.compile(rf"(?<![-\s,])[-\s,]+({_WORD})\s*\Z")
_LAST_POLYTYPE = re.compile(r"-([1-9][0-9]?[HRT]['′]*|I{2,3}|IV|VI{1,3}|IX)\s*\Z")
_FACET = re.compile(r"-?\d(?:\s*-?\d){2,3}")
_SPACE_GROUP = re.compile(r"[PIFCARH](?=.*[a-emn/-])[-_/ 1-6a-emn]+")
_PERHAPS_SPACE_GROUP = re.compile(r"[PIFCARB]-?[1-6][0-9]*|Pm|Cm|Pa-?3")
_IDENTIFIER = re.compile(r"(?:ICSD|COD|JCPDS|PDF|OQMD|AFLOW|MP)\b[-\s#:.\d]*")
_DIFFERS = re.compile(r"doped|hydrat|solvat|intercalat|substitut|deficien|rich|poor|excess|vacan|%", re.IGNORECASE)
_SYMBOLS = re.compile(r"(?:[A-Z][a-z]?[0-9.]*)+")
_SYMBOL = re.compile(r"[A-Z][a-z]?")

_PER_CENT = re.compile(r"\(?\s*\d+(?:\.\d+)?\s*(?:(?:at|mol|wt)\.?\s*)?%\s*\)?")
_ION = re.compile(r"(?<=[a-zA-Z])(?:\^?\(?\d?\+\d?\)?|\((?:I{1,3}|IV|VI{0,2}|V)\))")

_UNIT = r"(?:(?:wt|mass|at|mol)\.?\s*%|%)"
_ALLOY = re.compile(
    rf"(?:[1-9]\d*(?:\.\d+)?)?[A-Z][a-z]?(?:\s*-\s*\d+(?:\.\d+)?\s*{_UNIT}?\s*[A-Z][a-z]?)+(?:\s*\(?\s*{_UNIT}\s*\)?)?"
)
_NOT_ALLOYED = {"O", "F", "Cl", "Br", "I", "He", "Ne", "Ar", "Kr", "Xe", "Rn"}
_SYSTEM = re.compile(r"[A-Z][a-z]?(?:\s*-\s*[A-Z][a-z]?)+")
_VARIABLE = re.compile(
    r"(?:(?<=[\d+\-()/.\s·•*∙⋅])|(?<=[A-Z])|(?<=[A-Z][a-z])|^)(?:[xyz]|(?<=[)\d·•*∙⋅.])n)(?![a-z])|[α-ω]"
)
_UNKNOWN_IN_LETTERS = re.compile(r"(?<=[\d₀-₉)])(\s*[-+±]\s*)(?:delta|d)$")
"""What stands for δ where there are no Greek letters: `SrTiO3-d`."""
_TIMES_WATER = re.compile(r"(?<=[a-z\d₀-₉)\]])\s*[x×]\s*(?=[1-9][0-9]?\s*(?:H[2₂]O|NH[3₃])\s*$)")
"""Chemists of some countries write a hydrate so: `CuSO4 x 5 H2O`."""
_TERM = r"\d*\.?\d*\s*[xyznα-ω]?"
_EXPRESSION = re.compile(rf"{_TERM}(?:\s*[+-]\s*{_TERM})*")
_SHARE = re.compile(r"0?\.\d+\s*(?=[A-Z(\[])")
_BETWEEN_SHARES = re.compile(r"\s*[-+]\s*(?=0?\.\d+\s*[A-Z(\[])")

_ORDINARY = re.compile(r"(?:[A-Z](?:[a-w]|y)?|[\d.)\]}₀-₉]|·(?!n)|[(\[{](?=[A-Z(\[{])|\s+(?=[A-Z\d·.]|$))*")


def is_ordinary(text: str) -> bool:
    """Whether there is nothing but symbols, numbers, brackets and dots, so that nothing can be taken off."""
    return _ORDINARY.fullmatch(text) is not None


def without_annotations(text: str, notes: list[str], remarks: list[str]) -> str:
    """The formula in a text that holds more than one; what is taken off goes into `notes`, and why into `remarks`.

    Args:
        text: as `markup.without_markup` leaves it.
        notes: filled with what was taken off, such as `quartz`.
        remarks: filled with what is to be said of it.

    Raises:
        FormulaError: what stands there changes the composition, or has two readings.
    """
    text = " ".join(text.split())
    text = _UNKNOWN_IN_LETTERS.sub(r"\1δ", _TIMES_WATER.sub("·", text))
    _check_alloy(text)
    text = _host(text, notes, remarks)
    taken: list[str] = []
    text = _without_phase(text, taken)
    if taken:
        remarks.append(f"{', '.join(taken)} left out")
    notes += taken
    text = without_charge(text, notes, remarks)
    text = _mixture(text, remarks)
    _check_variables(text)
    return text


def _check_alloy(text: str) -> None:
    if re.search("doped|-rich|-poor|-deficient", text):
        raise FormulaError("doped, rich or poor in what amount? write the amounts, or the host alone (ZnO:Li)")
    symbols = _SYMBOL.findall(text)
    if any(symbol not in ATOMIC_NUMBER for symbol in symbols):
        return
    if _ALLOY.fullmatch(text) and not _NOT_ALLOYED & set(symbols):
        if re.search(r"(?:at|mol)\.?\s*%", text):
            raise FormulaError("atomic per cent: write the amount of each element, such as Cu90Zn10")
        raise FormulaError(f"{WEIGHT_PER_CENT} {text.partition('(')[0].strip()[:30]}")
    if _SYSTEM.fullmatch(text):
        raise FormulaError("a chemical system without amounts: write a formula, such as " + "".join(symbols)[:20])


def _host(text: str, taken: list[str], remarks: list[str]) -> str:
    """The host of `Y3Al5O12:Ce` or `Ce:Y3Al5O12`."""
    if ":" not in text:
        return text
    sides = [side.strip() for side in text.split(":")]
    lists = [_are_dopants(side) for side in sides]
    if len(sides) != 2 or not any(lists):
        raise FormulaError("':' joins two substances: write the formula of one")
    host, dopants = sides if lists[1] else sides[::-1]
    if all(lists) or len(set(_SYMBOL.findall(host))) < 2:
        raise FormulaError(f"a host and a dopant, or a ratio? write {sides[0][:12]} alone, or an amount for each")
    taken.append(f":{dopants}")
    remarks.append(f"read as the host, dopant {dopants} left out")
    return host


def _are_dopants(side: str) -> bool:
    """Whether a text lists elements (`Yb, 2% Er3+`), each possibly with a share or a charge."""
    bare = _ION.sub("", _PER_CENT.sub("", side))
    return all(symbol.strip() in ATOMIC_NUMBER for symbol in re.split("[,/+&]", bare))


def _without_phase(text: str, taken: list[str]) -> str:
    """The text without names of phases, states, facets and labels before and behind the formula."""
    while len(taken) < _MOST_TAKEN and (match := _PREFIX.match(text)) is not None:
        if _reads_as_formula(match[1].strip(" -_")):  # `GaS` is no gas
            break
        taken.append(match[1].strip(" -_\t"))
        text = text[match.end() :]
    label = text.find("_")
    if label > 0 and (match := _LABEL.fullmatch(text, label)) is not None:
        if not _is_label(match[1].strip()):
            raise FormulaError(f"a label, or part of the formula? {match[1][:20]!r} after the underscore: leave it out")
        taken.append(match[1].strip())
        text = text[:label]
    while len(taken) < _MOST_TAKEN and (end := _last_annotation(text, taken)) is not None:
        text = text[:end]
    return text


def _is_label(text: str) -> bool:
    """Whether what follows an underscore is no part of the formula, as `xCoO2` and `Cl` may be."""
    if re.match(r"[a-zα-ω]?(?:[^a-zα-ω]|$)", text) is None:
        return True
    known = (_SPACE_GROUP, _IDENTIFIER, re.compile(_POLYTYPE), re.compile(r"\d+\s*(?:K|nm|GPa)?"))
    return text in _CONDITIONS or (any(one.fullmatch(text) for one in known) and not _reads_as_formula(text))


def _last_annotation(text: str, taken: list[str]) -> int | None:
    """Where the last annotation begins, None where there is none."""
    for match in _IN_BRACKETS.finditer(text):
        if match.end() == len(text) and match.start() > 0 and _is_annotation(match[2], apart=bool(match[1])):
            taken.append(match[2])
            return match.start()
    word = _LAST_WORD.search(text)
    if word is not None and word.start() > 0 and not _reads_as_formula(word[1]):
        taken.append(word[1])
        return word.start()
    polytype = _LAST_POLYTYPE.search(text)
    if polytype is None:
        return None
    before = set(_SYMBOL.findall(text[: polytype.start()]))
    if len(before) < 2 or "H" in before:  # `NH4-2H` may have lost hydrogen
        return None
    taken.append(polytype[1])
    return polytype.start()


def _is_annotation(content: str, *, apart: bool) -> bool:
    """Whether what stands in the last brackets is no part of the formula; `apart` if a blank is before them."""
    if _FACET.fullmatch(content) or content in _STATES:
        return True
    if re.fullmatch(f"{_WORD}|{_LETTER}", content) and not _reads_as_formula(content):  # `GaS` is no gas
        return True
    if "=" in content or not re.search("[A-Za-zα-ω]", content):
        return False
    if _DIFFERS.search(content):
        raise FormulaError(f"({content[:30]}): does the composition differ? write it out, or put this in a column")
    if not apart:  # `Cu(acac)` has a ligand
        return False
    if re.match("[a-zα-ω]", content):
        return len(content) > 2
    if _PERHAPS_SPACE_GROUP.fullmatch(content):
        raise FormulaError(f"({content}): a space group or part of the formula? put a space group in a column")
    known = _SPACE_GROUP.fullmatch(content) or _IDENTIFIER.fullmatch(content) or re.fullmatch(_POLYTYPE, content)
    return content in _CONDITIONS or (bool(known) and not _reads_as_formula(content))


def _reads_as_formula(text: str) -> bool:
    text = text.replace(" ", "")
    return bool(_SYMBOLS.fullmatch(text)) and all(one in ATOMIC_NUMBER for one in _SYMBOL.findall(text))


def _mixture(text: str, remarks: list[str]) -> str:
    """`0.9PbTiO3-0.1BaTiO3` with dots between the parts."""
    if not _SHARE.match(text.strip()) or not _BETWEEN_SHARES.search(text):
        return text
    parts = _BETWEEN_SHARES.split(text.strip())
    shares = [match[0].strip() if (match := _SHARE.match(part)) else "0" for part in parts]
    if sum(map(Fraction, shares)) != 1:
        raise FormulaError(f"shares {' + '.join(shares[:5])[:40]} are not 1 in all: write the mixture as one formula")
    remarks.append("read as a mixture in molar shares")
    return "·".join(re.sub(r"^([\d.]+)\s+", r"\1", part) for part in parts)


def _check_variables(text: str) -> None:
    match = _VARIABLE.search(text)
    if match is None:
        return
    before = re.search(r"[A-Z][a-z]?\Z", text[: match.start()])
    if before and before[0] not in ATOMIC_NUMBER:  # `Xx2`
        return
    if before and before[0] + match[0] in ATOMIC_NUMBER:  # `Dy`
        return
    found = (one[0].strip() for one in _EXPRESSION.finditer(text) if one.start() <= match.start() < one.end())
    expression = next(found, match[0])
    raise FormulaError(
        f"{expression[:20]!r} is an unknown amount: write a number there (O2.9 for O3-δ), one row a value"
    )
