"""How a text file holds a table: its encoding, what separates its columns, and which row is the header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matgen.datasets.formula_column import has_formula_column
from matgen.datasets.text_files import HEAD, UTF8, encoding_of, head_of, older_encoding, older_guess, open_text

NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
"""What separates columns, in the order in which it is looked for."""

_MOST_TITLES = 50
"""Rows among which the header is looked for."""

_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The line by which Excel is told the separator."""

_GROUP = r"['’ \u00a0\u202f]"
_MARKED = {
    ",": re.compile(
        rf'(?:^|,)\s*(?:"\s*[-+]?\d[\d.]*(?:,|{_GROUP})\d[^"]*"|[-+]?\d{{1,3}}(?:{_GROUP}\d{{3}})+(?![^.,]))'
    ),
    "\t": re.compile(rf"\d(?:,|{_GROUP})\d"),
}
"""What may be a number with a decimal comma or separators of thousands, by the separator of columns."""

_NUMBER = re.compile(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?")

_MAY_BE_MARKED = re.compile(rf'["\t]|{_GROUP}')
"""What every line that is `_MARKED` holds."""


@dataclass(frozen=True)
class Dialect:
    """How a text file holds a table.

    Attributes:
        separator: between columns.
        encoding: as Python calls it.
        skipped: lines before those that count, such as `sep=;`.
        header: rows above the header.
        plain: whether the file is read as it stands, without a clean copy.
    """

    separator: str
    encoding: str = UTF8
    skipped: int = 0
    header: int = 0
    plain: bool = False

    @property
    def kind(self) -> str:
        """As `matgen data check` prints it."""
        return f"text in {encoding_name(self.encoding)}, columns separated by {_separator_name(self.separator)}"

    @property
    def guesses(self) -> list[str]:
        """What could have been meant otherwise."""
        guesses = [] if "utf" in self.encoding else [older_guess(self.encoding)]
        if self.header:
            left_out = "the row above it" if self.header == 1 else f"the {self.header} rows above it"
            guesses.append(f"header in row {self.header + 1}, {left_out} left out")
        return guesses

    def rows(self, path: Path) -> Iterator[list[str]]:
        """The header and the rows below it."""
        with open_text(path, "", self.encoding) as text:
            for _ in range(self.skipped):
                text.readline()
            rows = csv.reader(text, delimiter=self.separator, strict=True)
            for number, row in enumerate(filter(_filled, rows)):
                if number >= self.header:
                    yield row


def encoding_name(encoding: str) -> str:
    """An encoding as people call it."""
    return "UTF-8" if encoding == UTF8 else encoding.upper().replace("_", " ") if "utf" in encoding else encoding


def dialect_of(path: Path, separator: str, column: str | None, *, older: bool = False) -> Dialect | None:
    """How a file holds a table of formulas, by its first bytes; None where they have no header with a formula column.

    Args:
        path: the file.
        separator: what its suffix lets expect.
        column: name of the formula column, by default recognized by its name.
        older: whether the file is known not to be in UTF-8.

    Raises:
        DataError: it is not text.
    """
    encoding, skipped, lines = _beginning(path, older)
    fixed = skipped[1] if skipped else ""
    found: list[tuple[int, int, int, str]] = []
    for place, one in enumerate([fixed] if fixed else dict.fromkeys((separator, *NAMES))):
        filled = 0
        for number, row in enumerate(_rows_of(lines, one)):
            fields = sum(1 for cell in row if cell.strip())
            if has_formula_column(row, column) and fields > filled:
                found.append((number, -fields, place, one))
                break
            filled = max(filled, fields)
        if found and found[0][0] == 0:  # as expected
            break
    if not found:
        return None
    header, _, _, chosen = min(found)
    plain = encoding == UTF8 and chosen == separator and not header and not skipped and not _is_marked(lines, chosen)
    return Dialect(chosen, encoding, int(bool(skipped)), header, plain)


def any_dialect_of(path: Path, separator: str, *, older: bool = False) -> Dialect:
    """How a file holds a table of any content: the header is the first of the rows that have most fields.

    The separator is the one by which the most rows have as many fields, more than one; where semicolons, tabs or bars
    do as well as commas, these are decimal ones.

    Raises:
        DataError: it is not text.
    """
    encoding, skipped, lines = _beginning(path, older)
    chosen = skipped[1] if skipped else _most_even(lines, separator)
    header = header_below_titles(list(_rows_of(lines, chosen)))
    plain = encoding == UTF8 and chosen == separator and not header and not skipped and not _is_marked(lines, chosen)
    return Dialect(chosen, encoding, int(bool(skipped)), header, plain)


def header_below_titles(rows: Sequence[Sequence[Any]]) -> int:
    """The place of the header in a table of any content: below rows of which only the first cell is filled."""
    for place, row in enumerate(rows):
        filled = [str(cell).strip() for cell in row if str(cell).strip()]
        if len(filled) > 1:
            # What has numbers below a single word is a row below a header with a gap.
            return place if place and not any(_NUMBER.fullmatch(cell) for cell in filled) else 0
        if not row or not str(row[0]).strip():
            return 0
    return 0


def _most_even(lines: list[str], expected: str) -> str:
    best, most = expected, 0.0
    for separator in ("\t", ";", "|", ","):
        widths = Counter(len(row) for row in _rows_of(lines, separator))
        share = max((n for width, n in widths.items() if width > 1), default=0) / max(1, widths.total())
        if share > most:
            best, most = separator, share
    return best


def _beginning(path: Path, older: bool) -> tuple[str, tuple[str, str] | None, list[str]]:
    """The encoding, the line `sep=` with its separator if there is one, and the first lines below it."""
    head = head_of(path)
    encoding = encoding_of(head)
    cut = len(head) == HEAD
    try:
        if encoding == UTF8:
            head.decode()
    except UnicodeDecodeError as error:
        older = older or not (cut and error.reason == "unexpected end of data")
    if older:
        encoding = older_encoding(path)
    lines = head.decode(encoding, errors="ignore").splitlines()
    if cut and len(lines) > 1:
        lines.pop()
    matched = _SEP.fullmatch(lines[0]) if lines else None
    return encoding, ((lines[0], matched[1]) if matched else None), lines[1:] if matched else lines


def _rows_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The first rows that are not empty."""
    try:
        for number, row in enumerate(filter(_filled, csv.reader(lines, delimiter=separator))):
            if number > _MOST_TITLES:
                return
            yield row
    except csv.Error:  # found again where the whole file is read
        return


def _filled(row: list[str]) -> bool:
    return any(cell.strip() for cell in row)


def _is_marked(lines: list[str], separator: str) -> bool:
    pattern = _MARKED.get(separator)
    return pattern is None or any(pattern.search(line) for line in lines if _MAY_BE_MARKED.search(line))


def _separator_name(separator: str) -> str:
    return NAMES.get(separator, repr(separator))
