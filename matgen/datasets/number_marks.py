"""Decimal commas and thousands separators in the columns of a table, and cells among numbers that are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def _number(decimal: str, thousands: str) -> re.Pattern[str]:
    grouped = rf"[1-9]\d{{0,2}}(?P<mark>[{thousands}'’ \u00a0\u202f])\d{{3}}(?:(?P=mark)\d{{3}})*"
    return re.compile(rf"[-+]?(?:(?:{grouped}|\d+)(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][-+]?\d+)?")


_POINT, _COMMA = _number(r"\.", ","), _number(",", r"\.")
_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_FLAGS = {"true", "false"}
_GROUPS = re.compile(r"['’ \u00a0\u202f]")


class ColumnMarks:
    """What the cells of one column look like.

    Attributes:
        example: the first cell that is a number by either reading, and not the same one, such as `1,234`.
        with_comma: whether one of these holds a comma.
        grouped: whether a cell holds separators of thousands, by the decimal mark that it is read with.
    """

    def __init__(self) -> None:
        self.example = ""
        self.with_comma = False
        self.grouped = {".": False, ",": False}
        self._point = self._comma = True  # all cells are numbers by this reading
        self._only_point = self._only_comma = False  # some cell is one by this reading alone

    def add(self, cell: str) -> None:
        """Take in a cell that is text and not empty."""
        if not (self._point or self._comma):
            return
        point, comma = _POINT.fullmatch(cell), _COMMA.fullmatch(cell)
        self._point, self._comma = self._point and bool(point), self._comma and bool(comma)
        self._only_point |= bool(point and not comma)
        self._only_comma |= bool(comma and not point)
        for mark, matched in ((".", point), (",", comma)):
            self.grouped[mark] |= bool(matched and matched["mark"])
        if point and comma and ("," in cell or "." in cell):
            self.example = self.example or cell
            self.with_comma |= "," in cell

    @property
    def decimal(self) -> str:
        """`.` or `,` where all cells are numbers with this decimal mark, and some with no other; otherwise empty."""
        if self._comma and self._only_comma:
            return ","
        return "." if self._point and self._only_point else ""

    @property
    def unclear(self) -> bool:
        """Whether all cells are numbers by either reading, and some are another number by each."""
        return self._point and self._comma and bool(self.example)

    @property
    def numbers(self) -> bool:
        """Whether all cells are numbers by some reading."""
        return self._point or self._comma


def decimal_marks(columns: Sequence[ColumnMarks], names: Sequence[str], by_commas: bool) -> tuple[list[str], list[str]]:
    """The decimal mark of each column, empty where its cells stay as they are, and what to tell of them.

    A column whose cells show no more than `1,234` or `1.234` is read as the other columns are. Where these do not
    agree or there is none, a point is a decimal point, and a comma one between thousands only in a table whose columns
    are separated by commas: otherwise such a column stays text.

    Args:
        columns: as they were seen.
        names: of the columns.
        by_commas: whether commas separate the columns.
    """
    shown = {one.decimal for one in columns} - {""}
    marks: list[str] = []
    commas, groups, guesses = [], [], []
    for one, name in zip(columns, names, strict=True):
        mark = one.decimal or ("." if one.numbers else "")
        if one.unclear:
            mark = next(iter(shown)) if len(shown) == 1 else "." if by_commas or not one.with_comma else ""
            if not mark:
                guesses.append(f"{one.example!r} in {name} left as text: decimal comma, or thousands?")
            elif mark == "," or one.with_comma:
                guesses.append(f"{one.example!r} in {name} as {number_text(one.example, mark)}")
        elif mark and one.grouped[mark]:
            groups.append(name)
        if mark == "," and not one.unclear:
            commas.append(name)
        marks.append(mark)
    for what, which in (("thousands separators", groups), ("decimal commas", commas)):
        if which:
            guesses.insert(0, f"{what} in {_listed(which)}")
    return marks, guesses


def is_number(cell: str, mark: str) -> bool:
    """Whether a text is a number with such a decimal mark, with separators of thousands or without."""
    return bool((_COMMA if mark == "," else _POINT).fullmatch(cell))


def number_text(cell: Any, mark: str) -> Any:
    """A number with a decimal point and without separators of thousands; what is plain already stays as it is.

    Args:
        cell: text, or a number of a spreadsheet.
        mark: the decimal mark, empty to leave the cell.
    """
    if not isinstance(cell, str) or not mark or (mark == "." and _PLAIN.fullmatch(cell)):
        return cell
    bare = _GROUPS.sub("", cell.strip())
    return bare.replace(".", "").replace(",", ".") if mark == "," else bare.replace(",", "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} other columns" if len(names) > 5 else "")


class OddCells:
    """Cells such as `>60`, `45%` and `5.2 eV` in columns most of whose cells are numbers, chunk by chunk."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._odd: dict[str, tuple[int, int, str]] = {}  # how many, the row of the first, and its text

    def add(self, frame: pd.DataFrame, start: int = 0, skip: str | None = None) -> None:
        """Take in a chunk.

        Args:
            frame: its rows.
            start: the number of the first row in the table.
            skip: a column not to look at, such as that of formulas.
        """
        for place, name in enumerate(map(str, frame.columns)):
            cells = frame.iloc[:, place]
            if name == skip or pd.api.types.is_bool_dtype(cells.dtype):
                continue
            if pd.api.types.is_numeric_dtype(cells.dtype):
                self._numbers[name] = self._numbers.get(name, 0) + int(cells.notna().sum())
                continue
            if not (pd.api.types.is_object_dtype(cells.dtype) or pd.api.types.is_string_dtype(cells.dtype)):
                continue
            there = cells.notna().to_numpy()
            texts = cells.astype(str).str.strip()
            there &= (texts != "").to_numpy()
            number = pd.to_numeric(texts.where(there), errors="coerce").notna().to_numpy()
            odd = np.flatnonzero(there & ~number & ~texts.str.lower().isin(_FLAGS).to_numpy())
            self._numbers[name] = self._numbers.get(name, 0) + int(number.sum())
            if len(odd):
                n, row, text = self._odd.get(name, (0, start + int(odd[0]), str(texts.iloc[odd[0]])))
                self._odd[name] = n + len(odd), row, text

    def remarks(self) -> list[str]:
        """What to tell, a line a column: which cell is no number, and how many more are not."""
        told = []
        for name, (n, row, text) in self._odd.items():
            if n <= self._numbers.get(name, 0):
                more = f", nor are {n - 1:,} more cells" if n > 2 else ", nor is 1 more cell" if n == 2 else ""
                told.append(
                    f"{text[:30]!r} in {name}, row {row + 1}, is not a number{more}: the column is read as text"
                )
        return told
