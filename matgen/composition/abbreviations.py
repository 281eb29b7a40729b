"""Short names of materials that read as formulas: `YBCO` is no compound of one atom each of Y, B, C and O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

_COMPOUNDS = {
    "BBO": "BaB2O4", "BFO": "BiFeO3", "BKBO": "Ba0.6K0.4BiO3", "BNT": "Bi0.5Na0.5TiO3", "BSCCO": "Bi2Sr2CaCu2O8",
    "BSCF": "Ba0.5Sr0.5Co0.8Fe0.2O3", "BST": "Ba0.5Sr0.5TiO3", "BTO": "BaTiO3", "CBN": "BN", "CIS": "CuInSe2",
    "HBN": "BN", "ITO": "In2O3:Sn", "IWO": "In2O3:W", "KBBF": "KBe2BO3F2", "KNN": "K0.5Na0.5NbO3",
    "KTO": "KTaO3", "KTP": "KTiOPO4", "NBT": "Na0.5Bi0.5TiO3", "PBCO": "PrBa2Cu3O7", "PTO": "PbTiO3",
    "SBN": "Sr0.6Ba0.4Nb2O6", "SBT": "SrBi2Ta2O9", "STO": "SrTiO3", "YBCO": "YBa2Cu3O7", "YCOB": "YCa4O(BO3)3",
}  # fmt: skip
"""Name to what it usually stands for."""

_CUPRATE = re.compile(r"(La|Nd|Sm|Eu|Gd|Dy|Ho|Er|Tm|Yb)BCO")
"""`GdBCO` and its kin, relatives of YBCO."""

ENDING = 3
"""Capital letters in which all of them end."""

ENDINGS = np.zeros(26**ENDING, dtype=np.uint8)
"""1 at the numbers that `ending_code` makes of the last letters of short names, so that others are read fast."""


def ending_code(letters: Sequence[Any]) -> Any:
    """The number that letters, or arrays of them, as ASCII codes make to the base of 26, A being 0."""
    code = 0
    for letter in letters:
        code = code * 26 + letter - ord("A")
    return code


for _name in (*_COMPOUNDS, "BCO"):
    ENDINGS[ending_code([ord(letter) for letter in _name[-ENDING:]])] = 1

LONGEST = 5
"""Letters of the longest one."""


def abbreviation_remark(text: str) -> str:
    """What to say of a formula that is the short name of a material, "" as a rule."""
    compound = _COMPOUNDS.get(text, "")
    if cuprate := _CUPRATE.fullmatch(text):
        compound = f"{cuprate[1]}Ba2Cu3O7"
    return f"short for {compound}? read as atoms of its letters: write the formula in full" if compound else ""
