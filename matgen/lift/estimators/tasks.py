"""Whether targets are labels or numbers, and numbers with units as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import DataError
from matgen.lift.cells import mostly_numbers
from matgen.lift.columns import as_numbers

TASKS = ("classification", "regression")
_FEW_NUMBERS = 10
"""Distinct whole numbers up to which a target is a class where no task is given."""


def task_of(targets: Any) -> str:
    """Whether targets are labels or numbers, where no task is given.

    Raises:
        DataError: most of them are numbers and some are not, such as `>60`.
    """
    numbers = as_numbers(targets)
    if targets.dtype == bool:
        return "classification"
    if numbers is None:
        odd = mostly_numbers(targets)
        if odd and targets.nunique() > _FEW_NUMBERS:
            raise DataError(
                f"{targets.name}: {odd[1][:30]!r} (row {odd[0] + 1} of those with a value) is not a number, most others"
                " are: correct it, or learn them as labels by --task classification"
            )
        return "classification"
    few = len(np.unique(numbers)) <= _FEW_NUMBERS and bool((numbers == np.rint(numbers)).all())
    return "classification" if few else "regression"


def numbers_of(targets: pd.Series) -> pd.Series:
    """Targets as numbers, without their unit.

    Raises:
        DataError: one is no number.
    """
    numbers = as_numbers(targets)
    if numbers is None:
        row, text = mostly_numbers(targets) or (0, str(targets.iloc[0]))
        raise DataError(f"{targets.name}: {text[:30]!r} (row {row + 1} of those with a value) is not a number")
    return pd.Series(numbers, name=targets.name)
