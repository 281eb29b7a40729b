"""A table that is not plain CSV as a temporary one that is: UTF-8, commas, decimal points, no blank rows."""

from __future__ import annotations

import contextlib
import csv
import datetime
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from matgen.datasets.csv_file import MISSING
from matgen.datasets.formula_column import find_formula_column
from matgen.datasets.formula_guess import column_names
from matgen.datasets.number_marks import ColumnMarks, decimal_marks, number_text


class CleanCopy:
    """What a table was made into.

    Attributes:
        path: plain CSV with the table's header.
        guesses: what could have been meant otherwise.
        surplus: numbers of rows with more fields than the header that were left out, from 0, and how many they have;
            only of tables without formulas.
        rows: how many there were.
        width: columns of the header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.guesses: list[str] = []
        self.surplus: list[tuple[int, int]] = []
        self.rows = 0
        self.width = 0


@contextlib.contextmanager
def clean_copy(
    rows: Iterable[Sequence[Any]], source: Path, column: str | None, separator: str = ";", *, formulas: bool = True
) -> Iterator[CleanCopy]:
    """Make a copy that is there within the block.

    Args:
        rows: the header and the rows below it, cells as text or as a spreadsheet has them.
        source: of the rows, for messages.
        column: name of the formula column, by default recognized by its name. Its cells stay as they are.
        separator: of columns, which says whether a comma may be a decimal one.
        formulas: whether there is a formula column. In it, a row with too many fields becomes one whose formula is the
            whole line.

    Raises:
        DataError: no formula column.
    """
    with tempfile.TemporaryDirectory(prefix="matgen-") as folder:
        copy = CleanCopy(Path(folder) / "table.csv")
        iterator = iter(rows)
        given = list(next(iterator, []))
        header = column_names(given)
        copy.width = len(header)
        formula_at = header.index(find_formula_column(header, column, source)) if formulas else -1
        marks = [ColumnMarks() for _ in header]
        raw = Path(folder) / "raw.csv"
        filled = [bool(str(name).strip()) or place == formula_at for place, name in enumerate(given)]
        with raw.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            for cells in iterator:
                row = _row(cells, len(header), formula_at, separator, copy)
                if row is None:
                    continue
                for place, cell in enumerate(row):
                    if isinstance(cell, str) and cell and place != formula_at:
                        filled[place] = True
                        if (text := cell.strip()) and text not in MISSING:
                            marks[place].add(text)
                    elif not isinstance(cell, str):
                        filled[place] = True
                # What is a number in a spreadsheet is one: a mark before it keeps it from being read once more.
                writer.writerow([cell if isinstance(cell, str) else f"\0{cell!r}" for cell in row])
        decimals, copy.guesses = decimal_marks(marks, header, separator == ",")
        decimals = ["" if place == formula_at else mark for place, mark in enumerate(decimals)]
        kept = [place for place, any_cell in enumerate(filled) if any_cell]
        with (
            raw.open(encoding="utf-8", newline="") as written,
            copy.path.open("w", encoding="utf-8", newline="") as out,
        ):
            writer = csv.writer(out)
            writer.writerow([header[place] for place in kept])
            for row in csv.reader(written):
                cells = [cell[1:] if cell[:1] == "\0" else number_text(cell, decimals[i]) for i, cell in enumerate(row)]
                writer.writerow([cells[place] for place in kept])
        raw.unlink()
        yield copy


def _row(cells: Sequence[Any], width: int, formula_at: int, separator: str, copy: CleanCopy) -> list[Any] | None:
    """A row as wide as the header; None for one that is blank or left out."""
    row = [_plain(cell) for cell in cells]
    if not any(not isinstance(cell, str) or cell.strip() for cell in row):
        return None
    number, copy.rows = copy.rows, copy.rows + 1
    if any(cell != "" for cell in row[width:]):
        if formula_at < 0:
            copy.surplus.append((number, len(row)))
            return None
        line = separator.join(map(str, cells))
        return [line if place == formula_at else "" for place in range(width)]
    return (row + [""] * width)[:width]


def _plain(cell: Any) -> Any:
    """A cell as text or as a number."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, bool):
        return str(cell)
    return cell if isinstance(cell, int | float) else _date(cell)


def _date(cell: Any) -> str:
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else str(cell)
