"""How constraints are written: element lists, ranges, counts, anonymous formulas and stoichiometries.

Every function raises an `OptionError` of one line that names the option, what was written, and what it should be.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence

from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS
from matgen.composition.groups import ELEMENT_GROUPS, group_named
from matgen.errors import MatgenWarning, OptionError

Range = tuple[int, int | None]
"""A least number and a largest one, None where there is no largest."""

Slot = tuple[int, int]
"""An atomic number, 0 where the element is open, and its atoms."""

OPEN_LETTERS = frozenset("AEGJLMQRTXZ")
"""Capital letters that are no element's symbol and so name an open element (T of transition metals, not tritium)."""

_TAKEN_FOR_OPEN = {"Y": "XZ", "C": "A"}
"""Elements whose letter is a site in formulas like X2YZ or ABC3, and open letters beside which it likely is one."""

_SYMBOLS = frozenset(SYMBOLS[1:].tolist())
_SLOT = re.compile(r"(\?|[A-Z](?:'+|[a-z]?))([0-9]{0,6})\s*")
_LETTER = re.compile(r"([A-Z])([0-9]{0,6})")


def read_elements(option: str, value: str | Iterable[str], *, groups: bool = False) -> tuple[int, ...]:
    """Atomic numbers, ascending, of elements (and named groups) parted by hyphens, commas or blanks."""
    texts = [value] if isinstance(value, str) else list(value)
    words = [word for text in texts for word in re.split(r"[\s,-]+", str(text)) if word]
    if not words:
        raise OptionError(f"{option} names no element (it is written like {option} Li-Fe-O)")
    elements: set[int] = set()
    for word in words:
        group = group_named(word)
        if word in _SYMBOLS:
            elements.add(ATOMIC_NUMBER[word])
        elif group is not None and groups:
            elements.update(group)
        elif group is not None:
            raise OptionError(f"{option} takes elements alone, and {word!r} is a group of elements")
        elif groups:
            raise OptionError(f"unknown element or group {word!r} in {option}; groups: {', '.join(ELEMENT_GROUPS)}")
        else:
            raise OptionError(f"unknown element {word!r} in {option}")
    return tuple(sorted(elements))


def read_range(option: str, value: str | int) -> Range:
    """A range: `3`, `3..5`, `3..` or `..5`."""
    text = str(value).strip()
    match = re.fullmatch(r"([0-9]{0,6})(\.\.)?([0-9]{0,6})", text)
    if not match or not (match[1] or match[3]):
        raise OptionError(f"{option} {text!r} is not a range (write a number, 3..5, 3.. or ..5)")
    low = int(match[1] or 0)
    high = low if not match[2] else int(match[3]) if match[3] else None
    if high is not None and high < low:
        raise OptionError(f"{option} {text!r}: {low} is more than {high}")
    return low, high


def read_counts(value: str | Sequence[str]) -> tuple[tuple[int, int, int | None], ...]:
    """Atomic number and range of counts of each of `O:2..6,Fe:1`, ascending."""
    texts = [value] if isinstance(value, str) else list(value)
    words = [word for text in texts for word in re.split(r"[\s,]+", text) if word]
    if not words:
        raise OptionError("count names no element (it is written like count O:2..6)")
    ranges: dict[int, Range] = {}
    for word in words:
        symbol, colon, numbers = word.partition(":")
        if not colon:
            raise OptionError(f"count {word!r} is not an element and a range (write it like O:2..6)")
        if symbol not in _SYMBOLS:
            raise OptionError(f"unknown element {symbol!r} in count {word!r}")
        z = ATOMIC_NUMBER[symbol]
        if z in ranges:
            raise OptionError(f"count names {symbol} twice")
        ranges[z] = read_range(f"count {symbol}:", numbers)
    return tuple((z, *ranges[z]) for z in sorted(ranges))


def read_anonymous(text: str) -> tuple[int, ...]:
    """The counts, ascending, of an anonymous formula: letters A, B, C ... in turn, each with its atoms (`ABC3`)."""
    text = text.strip()
    pairs = _LETTER.findall(text)
    letters = "".join(letter for letter, _ in pairs)
    if not pairs or "".join(letter + number for letter, number in pairs) != text:
        raise OptionError(f"anonymous-formula {text!r} is not capital letters and numbers (write it like ABC3)")
    if letters != "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(letters)]:
        raise OptionError(
            f"anonymous-formula {text!r} must use the letters A, B, C ... in turn (like ABC3); elements go into a "
            "stoichiometry"
        )
    counts = tuple(sorted(int(number or 1) for _, number in pairs))
    if counts[0] < 1:
        raise OptionError(f"anonymous-formula {text!r} has a letter without atoms")
    return counts


def read_stoichiometry(text: str) -> tuple[Slot, ...]:
    """The slots of a stoichiometry, in the order they are written.

    Each slot is an element or an open place, with its atoms; blanks between slots are optional: `Sr ? O3`,
    `A2 B O4`, `LaMO3`. Open are `?`, the letters that are no element's symbol (A E G J L M Q R T X Z), and letters with
    primes (`B'`). `B` is boron unless `A` is there too: then the two are the sites of ABO3 and open (`?2 B O4` is an
    open element with boron). Other letters of sites are elements (`Y` of `X2 Y Z`), and a `MatgenWarning` says so.
    Slots hold different elements: an open one never takes an element that another slot has.
    """
    text = text.strip()
    pairs = _SLOT.findall(text)
    if not pairs or any(_SLOT.split(text)[::3]):
        raise OptionError(f"stoichiometry {text!r} cannot be read (write it like 'Sr ? O3' or 'A2 B O4')")
    names = [name for name, _ in pairs]
    slots: list[Slot] = []
    if re.search(r"R\s?E(?![a-z'])", text):
        warnings.warn(
            f"stoichiometry {text!r}: R and E are two open places; write R for one rare earth",
            MatgenWarning,
            stacklevel=2,
        )
    for name, number in pairs:
        atoms = int(number or 1)
        if atoms < 1:
            raise OptionError(f"stoichiometry {text!r}: {name} has no atoms")
        if name != "?" and names.count(name) > 1:
            raise OptionError(f"stoichiometry {text!r} names {name} twice: slots hold different elements")
        if name == "?" or name in OPEN_LETTERS or name.endswith("'") or (name == "B" and "A" in names):
            slots.append((0, atoms))
        elif name in _SYMBOLS:
            if any(letter in names for letter in _TAKEN_FOR_OPEN.get(name, "")):
                element = "yttrium" if name == "Y" else "carbon"
                warnings.warn(
                    f"stoichiometry {text!r}: {name} is {element}; write ? for an open place",
                    MatgenWarning,
                    stacklevel=2,
                )
            slots.append((ATOMIC_NUMBER[name], atoms))
        else:
            raise OptionError(f"stoichiometry {text!r}: unknown element {name!r} (write ? for an open one)")
    return tuple(slots)


def write_range(low: int, high: int | None) -> str:
    """A range as `read_range` reads it."""
    return str(low) if low == high else f"{low}..{'' if high is None else high}"


def write_anonymous(counts: Sequence[int]) -> str:
    """An anonymous formula as `read_anonymous` reads it."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(letter + (str(c) if c > 1 else "") for letter, c in zip(letters, counts, strict=False))


def write_stoichiometry(slots: Sequence[Slot]) -> str:
    """A stoichiometry as `read_stoichiometry` reads it, every open slot as `?`."""
    return " ".join((str(SYMBOLS[z]) if z else "?") + (str(c) if c > 1 else "") for z, c in slots)
