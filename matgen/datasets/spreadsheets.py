"""Spreadsheets: the sheet that has a formula column, as rows below its header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.datasets.dialects import header_below_titles
from matgen.datasets.formula_column import has_formula_column
from matgen.datasets.formula_guess import column_names, guessed_column, is_read_as_formulas
from matgen.datasets.text_files import head_of
from matgen.errors import DataError, first_line

SUFFIXES = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")

_MOST_TITLES = 50
"""Rows among which the header is looked for."""


@dataclass(frozen=True)
class Sheet:
    """The sheet that is read.

    Attributes:
        rows: the header and the rows below it, whose cells are texts, numbers, dates, and empty texts.
        told: what to tell of the choice.
        column: the formula column that was asked for or guessed by its cells; None where its name says it.
    """

    rows: Iterator[list[Any]]
    told: list[str]
    column: str | None = None


def sheet_of(path: Path, column: str | None, *, formulas: bool = True) -> Sheet:
    """The first sheet that has a formula column.

    Args:
        path: Excel or OpenDocument file.
        column: name of the formula column, by default recognized by its name.
        formulas: whether there is a formula column; otherwise it is the first sheet that is not empty, and its header
            is below titles.

    Raises:
        DataError: damaged, or without a row.
    """
    sheets = _sheets(path)
    found = {name: header for name, rows in sheets.items() if (header := _header(rows, column, formulas)) is not None}
    guess = None
    if not found:
        name, header, guess = _guessed(sheets) if column is None else ("", 0, None)
        if guess is None:  # the error will show what the first one's columns are
            return Sheet(iter(next(iter(sheets.values()), [])), [], column)
        found = {name: header}
    name, header = next(iter(found.items()))
    told = [is_read_as_formulas(guess)] if guess is not None else []
    if len(found) > 1:
        others = ", ".join(repr(one) for one in list(found)[1:4])
        told.append(f"sheet {name!r} is read, and not {others}")
    if header:
        left_out = "the row above it" if header == 1 else f"the {header} rows above it"
        told.append(f"header in row {header + 1}, {left_out} left out")
    return Sheet(islice(sheets[name], header, None), told, guess or column)


def _guessed(sheets: dict[str, list[list[Any]]]) -> tuple[str, int, str | None]:
    """The first sheet with a column that holds formulas by its cells, where its header is, and the column."""
    for name, rows in sheets.items():
        header = _header(rows, None, False) or 0
        if guess := guessed_column(column_names(rows[header]), rows[header + 1 :]):
            return name, header, guess
    return "", 0, None


def _sheets(path: Path) -> dict[str, list[list[Any]]]:
    """All rows of all sheets."""
    from python_calamine import CalamineError

    try:
        frames = pd.read_excel(
            path, sheet_name=None, header=None, dtype=object, engine="calamine", na_filter=False, keep_default_na=False
        )
    except CalamineError as error:
        head = head_of(path)[:512]
        if head.isascii() and not head.startswith(b"PK"):
            told = "rename it to .csv, or save it as CSV where it is HTML"
            raise DataError(f"{path} is no spreadsheet but text: {told}") from error
        raise DataError(f"cannot read {path} as a spreadsheet: {first_line(error)}") from error
    return {str(name): frame.to_numpy(dtype=object).tolist() for name, frame in frames.items() if not frame.empty}


def _header(rows: list[list[Any]], column: str | None, formulas: bool) -> int | None:
    """The place of the header: the first row with a formula column and more cells than each row above."""
    filled = [place for place, row in enumerate(rows[:_MOST_TITLES]) if any(str(cell).strip() for cell in row)]
    if not formulas:
        return filled[header_below_titles([rows[place] for place in filled])] if filled else None
    widths = [sum(1 for cell in row if str(cell).strip()) for row in rows[:_MOST_TITLES]]
    most = 0
    for place, (row, width) in enumerate(zip(rows, widths, strict=False)):
        if has_formula_column(row, column) and width > most:
            return place
        most = max(most, width)
    return None
