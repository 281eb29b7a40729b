"""Per-element arrays, indexed by atomic number (row 0 is padding and means "no element").

Values come from `elements.json`, which `data/build_elements.py` writes from SMACT and pymatgen, so that nothing here
needs either library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

N_ELEMENTS = 118
"""Number of known elements; atomic numbers run from 1 to this."""

_FILE = Path(__file__).with_name("elements.json")
_ROWS: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["elements"]

SYMBOLS: np.ndarray = np.array(["", *(row["symbol"] for row in _ROWS)], dtype=object)
"""Chemical symbols, object `(119,)`; `SYMBOLS[26] == "Fe"`, `SYMBOLS[0] == ""`."""

ATOMIC_NUMBER: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS) if z}
"""Symbol to atomic number. Deuterium and tritium are read as hydrogen, as pymatgen does."""
ATOMIC_NUMBER |= {"D": 1, "T": 1}


def _column(name: str) -> np.ndarray:
    """One column of `elements.json` as float64 `(119,)`, NaN where it has no value."""
    return np.array([np.nan, *(np.nan if row[name] is None else row[name] for row in _ROWS)], dtype=np.float64)


ELECTRONEGATIVITY: np.ndarray = _column("electronegativity")
"""Pauling electronegativity as SMACT tabulates it (CRC Handbook, 92nd ed.), float64 `(119,)`, NaN where missing."""

PYMATGEN_ELECTRONEGATIVITY: np.ndarray = _column("pymatgen_electronegativity")
"""Pymatgen's electronegativity, used only to write formulas as pymatgen does, float64 `(119,)`, NaN where missing."""

IS_METAL: np.ndarray = np.array([False, *(row["metal"] for row in _ROWS)], dtype=bool)
"""True for the elements of SMACT's list of metals, bool `(119,)`."""

IS_D_BLOCK: np.ndarray = np.array([False, *(row["d_block"] for row in _ROWS)], dtype=bool)
"""True for the elements of SMACT's list of d-block metals (scandium to zinc and below, lanthanum), bool `(119,)`."""

VALENCE_ELECTRONS: np.ndarray = _column("valence_electrons")
"""Valence electrons of an atom as SMACT counts them for metallic character, float64 `(119,)`, NaN where missing."""

ATOMIC_MASS: np.ndarray = _column("atomic_mass")
"""Standard atomic mass, g/mol, as pymatgen has it (of an isotope where there is none), float64 `(119,)`."""

PRICE: np.ndarray = _column("price")
"""Price of the pure element, US dollars a kilogram in 2013, as pymatgen's `costdb_elements.csv` has it (from Wikipedia
and Wolfram Alpha), float64 `(119,)`, NaN where missing. Prices move: good for orders of magnitude."""

CRUSTAL_ABUNDANCE: np.ndarray = _column("crustal_abundance")
"""Abundance in the Earth's crust, mg/kg, as SMACT has it (CRC Handbook, 92nd ed.), float64 `(119,)`, NaN if missing."""

HHI_PRODUCTION: np.ndarray = _column("hhi_production")
"""Herfindahl-Hirschman index of the countries that produce an element, 0 (many) to 10,000 (one), float64 `(119,)`, NaN
where missing: Gaultois et al., Chem. Mater. 25 (2013) 2911, as SMACT has it."""

HHI_RESERVE: np.ndarray = _column("hhi_reserve")
"""The same of the countries that hold the known reserves."""


def _ranks(order: np.ndarray) -> np.ndarray:
    ranks = np.zeros(N_ELEMENTS + 1, dtype=np.uint8)
    ranks[order] = np.arange(1, N_ELEMENTS + 1)
    return ranks


_Z = np.arange(1, N_ELEMENTS + 1)

ORDER_RANK: np.ndarray = _ranks(_Z[np.lexsort((_Z, ELECTRONEGATIVITY[1:]))])
"""Place of each element in matgen's order, uint8 `(119,)`, 1 to 118: ascending `ELECTRONEGATIVITY`, ties by atomic
number, missing values last. This order rules tokens and `CompositionBatch` alike."""

FORMULA_RANK: np.ndarray = _ranks(_Z[np.lexsort((SYMBOLS[1:].astype(str), PYMATGEN_ELECTRONEGATIVITY[1:]))])
"""Place of each element in a written formula, uint8 `(119,)`: ascending `PYMATGEN_ELECTRONEGATIVITY`, ties by symbol,
missing values last, as pymatgen's `reduced_formula` sorts."""
