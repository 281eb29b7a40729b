"""Compositions that are no text: dicts, and objects of pymatgen and ASE, known by what they offer, not by import."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS
from matgen.errors import FormulaError

_MOST_SHOWN = 40


def is_one_composition(formulas: Any) -> bool:
    """Whether an argument is one composition, though it may be iterated over: a text, a dict, a structure, `Atoms`."""
    return isinstance(formulas, str | bytes | Mapping) or amounts_of(formulas) is not None


def several(formulas: Any) -> Any:
    """An argument as something to iterate over: one composition in a list, all else as it is.

    Raises:
        FormulaError: it is neither.
    """
    if is_one_composition(formulas):  # not its letters, elements or atoms
        return [formulas]
    if not hasattr(formulas, "__iter__"):
        raise FormulaError(f"{shown(formulas)} is no formula: give a text such as 'Fe2O3', or a list of formulas")
    return formulas


def amounts_of(entry: Any) -> dict[str, Any] | None:
    """Symbol to amount of what is not text, None of what has no composition.

    Read are mappings from symbols or atomic numbers to amounts (dicts, pymatgen's `Composition`), what has such a
    mapping as its `composition` (`Structure`, `Molecule`, `ComputedEntry`), and what has `get_chemical_symbols` (ASE's
    `Atoms`). An element (pymatgen's `Element` and `Species`, ASE's `Atom`) is one atom of it.

    Raises:
        FormulaError: the mapping's keys are no elements, or ASE's atoms have partial occupancies.
    """
    if isinstance(entry, str | bytes):
        return None
    if not isinstance(entry, Mapping):
        composition = getattr(entry, "composition", None)
        if isinstance(composition, Mapping):
            entry = composition
        elif hasattr(entry, "get_chemical_symbols"):
            return _of_atoms(entry)
        else:
            symbol = getattr(entry, "symbol", None)
            return {symbol: 1} if isinstance(symbol, str) and symbol in ATOMIC_NUMBER else None
    amounts: dict[str, Any] = {}
    for key, amount in entry.items():
        symbol = _symbol(key)
        # Species of one element, such as Fe2+ and Fe3+, are one.
        amounts[symbol] = amounts[symbol] + amount if symbol in amounts else amount
    return amounts


def _symbol(key: Any) -> str:
    symbol = getattr(key, "symbol", key)
    if isinstance(symbol, str):
        if symbol not in ATOMIC_NUMBER:
            raise FormulaError(f"no element {symbol[:12]!r}: write a dict as {{'Fe': 2, 'O': 3}}")
        return symbol
    if isinstance(symbol, bool) or not hasattr(symbol, "__index__") or not 0 < int(symbol) < len(SYMBOLS):
        raise FormulaError(f"no element {str(symbol)[:12]!r}: write a dict as {{'Fe': 2, 'O': 3}}")
    return str(SYMBOLS[int(symbol)])


def _of_atoms(atoms: Any) -> dict[str, Any]:
    occupancies = getattr(atoms, "info", {}).get("occupancy")
    if isinstance(occupancies, Mapping) and any(
        sum(kinds.values()) != 1 or len(kinds) > 1 for kinds in occupancies.values() if isinstance(kinds, Mapping)
    ):
        raise FormulaError("atoms with partial occupancies: give the formula as text")
    symbols = [str(symbol) for symbol in atoms.get_chemical_symbols()]
    if "X" in symbols:
        raise FormulaError("'X' is no element: take ghost atoms and placeholders out")
    return {symbol: symbols.count(symbol) for symbol in dict.fromkeys(symbols)}


def written_mapping(text: str) -> dict[str, Any] | None:
    """Symbol to amount of a dict in text, as tables keep them (`{'Fe': 2.0, 'O': 3.0}`); None of other text."""
    if not (text.lstrip().startswith("{") and ":" in text):
        return None
    try:
        mapping = ast.literal_eval(text.strip())  # literals only: nothing is run
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return amounts_of(mapping) if isinstance(mapping, dict) else None


def shown(entry: Any) -> str:
    """An entry in one line, for messages."""
    if isinstance(entry, str):
        return entry
    for name in ("formula", "composition"):
        value = getattr(entry, name, None)
        if isinstance(value, str):
            return value
    if hasattr(entry, "get_chemical_formula"):
        return str(entry.get_chemical_formula())
    text = " ".join(str(entry).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
