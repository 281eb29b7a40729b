"""Charge neutrality and electronegativity balance of compositions: verdicts, and the reasons for them."""

from matgen.validity.commonness import RARE, Commonness, state_shares
from matgen.validity.explaining import Explanation, Ions, explain
from matgen.validity.judging import Validity, check
from matgen.validity.metallicity import INTERMETALLIC, metallicity_score
from matgen.validity.rules import COMMON, TABLES, StateTable, ValidityRules, state_table

__all__ = [
    "COMMON",
    "INTERMETALLIC",
    "RARE",
    "TABLES",
    "Commonness",
    "Explanation",
    "Ions",
    "StateTable",
    "Validity",
    "ValidityRules",
    "check",
    "explain",
    "metallicity_score",
    "state_shares",
    "state_table",
]
