"""Charge neutrality and electronegativity balance of compositions: verdicts, and the reasons for them."""

from matgen.validity.explaining import Explanation, Ions, explain
from matgen.validity.judging import Validity, check
from matgen.validity.rules import TABLES, StateTable, ValidityRules, state_table

__all__ = [
    "TABLES",
    "Explanation",
    "Ions",
    "StateTable",
    "Validity",
    "ValidityRules",
    "check",
    "explain",
    "state_table",
]
