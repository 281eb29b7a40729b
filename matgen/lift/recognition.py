"""What the cells of a column are recognized as: numbers with their unit, or formulas; guesses are said."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from matgen.errors import MatgenWarning
from matgen.lift import cells as cell_numbers
from matgen.lift.cells import BARE, DATES, Numbers


def recognized_numbers(name: str, cells: pd.Series, source_type: str, *, given: bool) -> Numbers | None:
    """A column's cells as numbers, where that loses nothing or the user says (`given`) that they are; else None."""
    if source_type in DATES:
        found = cell_numbers.days(cells, source_type)
        return None if found is None else Numbers(found)
    numbers = cell_numbers.plain_numbers(cells)
    if numbers is None:
        numbers = cell_numbers.marked_numbers(cells)
        if numbers is not None:
            first = int(np.flatnonzero(np.isfinite(numbers.values))[0])
            text = str(cells.iloc[first]).strip()
            _tell(f"column {name!r}: {text!r} is read as the number {numbers.values[first]:g}")
    elif not given and cell_numbers.has_codes(cells):
        return None
    elif not given and not numbers.exact:
        _tell(f"column {name!r}: integers beyond 2^53 are kept as text, since a number would change them")
        return None
    return numbers


def unit_of(numbers: Numbers, source_type: str) -> str:
    """The unit of a column's numbers, as its cells are written; empty where there is none."""
    if source_type in DATES:
        return "days" if source_type == "duration" else "days since 1970"
    return numbers.pattern.replace(BARE, "").strip()


def _tell(message: str) -> None:
    warnings.warn(message, MatgenWarning, stacklevel=4)


def are_formulas(name: str, texts: list[str]) -> bool:
    """Whether a column is named as formulas are, or holds five or more of several elements; nearly all are readable."""
    from matgen.composition.batch import parse_formulas
    from matgen.datasets.formula_column import has_formula_column

    called = has_formula_column([name], None)
    if not texts or (not called and len(texts) < 5):
        return False
    parsed = parse_formulas(texts)
    if called and 0 < len(parsed.bad) <= 0.5 * len(texts):
        said = f"{len(parsed.bad):,} of {len(texts):,} formulas cannot be read, such as {parsed.bad[0].formula!r}"
        as_text = "" if len(parsed.bad) <= 0.05 * len(texts) else ": the column is read as text"
        warnings.warn(f"column {name!r}: {said} ({parsed.bad[0].reason}){as_text}", MatgenWarning, stacklevel=5)
    several = np.mean(parsed.batch.n_elements > 1) if len(parsed.batch) else 0.0
    return len(parsed.bad) <= 0.05 * len(texts) and bool(called or several > 0.5)
