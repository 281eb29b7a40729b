"""Which column of a table holds the formulas."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matgen.errors import DataError

FORMULA_COLUMNS = (
    "formula",
    "reduced_formula",
    "formula_reduced",
    "pretty_formula",
    "formula_pretty",
    "composition",
    "chemical_formula",
    "full_formula",
    "unit_cell_formula",
    "chemical_formula_reduced",
    "chemical_formula_sum",
    "sumformula",
    "sum_formula",
    "structuredformula",
    "structured_formula",
    "compound",
)
"""Names under which a formula column is recognized, whatever their case, in order of preference."""


def has_formula_column(names: Iterable[Any], column: str | None) -> bool:
    """Whether one of some names is that of a formula column: the named one, or one of `FORMULA_COLUMNS`."""
    wanted = FORMULA_COLUMNS if column is None else (folded_name(column),)
    return any(folded_name(str(name)) in wanted for name in names)


_REMEDY = "name it by --column or --reference-column (column= in Python)"


def find_formula_column(columns: Iterable[Any], column: str | None, where: Path | str, *, remedy: str = _REMEDY) -> str:
    """The formula column among those of a table: the named one, or one of `FORMULA_COLUMNS`.

    Args:
        columns: names of all columns.
        column: the named one, in any case.
        where: what to call the table in a message.
        remedy: what to tell where no column is recognized.

    Raises:
        DataError: there is none; the table's columns are listed.
    """
    names = [str(name) for name in columns]
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    by_folded_name = {folded_name(name): name for name in reversed(names)}
    if column is not None:
        match = column if column in names else by_folded_name.get(folded_name(column))
        if match is None:
            raise DataError(f"{where} has no column {column!r}; its columns: {shown}")
        return match
    for known in FORMULA_COLUMNS:
        if known in by_folded_name:
            return by_folded_name[known]
    raise DataError(f"{where} has no formula column (its columns: {shown}): {remedy}")


def folded_name(name: str) -> str:
    """A column's name as it is compared with others: in lower case, without blanks."""
    return name.strip().casefold().replace(" ", "_")
