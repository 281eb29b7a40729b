"""What matgen understands of a table of formulas, before anything expensive is done with it: `matgen data check`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from matgen.composition.batch import BadFormula, Remark, parse_formulas
from matgen.composition.keys import KeySet
from matgen.datasets.number_marks import OddCells
from matgen.datasets.opening import table_name
from matgen.datasets.tables import iterate_formula_table
from matgen.datasets.understood import collecting

MOST_SHOWN = 10
"""Reasons and remarks that are shown, each with its first row."""


@dataclass(frozen=True)
class TableCheck:
    """What was understood of a table.

    Attributes:
        source: the file or folder.
        kind: how it is read: by which separator, in which encoding.
        guesses: what could have been meant otherwise, such as decimal commas.
        column: of the formulas.
        columns: all columns.
        rows: how many rows there are.
        read: how many formulas were read.
        distinct: how many different compositions these are.
        refused: reason to how many rows have it and the first of them, the most frequent first.
        remarks: likewise, of rows that were read with a remark.
        cells: what is to be said of cells among numbers that are none.
    """

    source: str
    kind: str
    guesses: list[str]
    column: str
    columns: list[str]
    rows: int
    read: int
    distinct: int
    refused: dict[str, tuple[int, BadFormula]]
    remarks: dict[str, tuple[int, Remark]]
    cells: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """As the command line prints it."""
        others = [name for name in self.columns if name != self.column]
        lines = [
            f"file: {self.source}",
            f"read as: {self.kind}",
            *(f"  guessed: {guess}" for guess in self.guesses),
            *(f"  cells: {remark}" for remark in self.cells),
            f"formula column: {self.column}",
            f"other columns: {', '.join(others) or 'none'}",
            f"rows: {self.rows:,}",
            f"formulas read: {self.read:,} ({self.distinct:,} distinct compositions)",
            f"rows refused: {self.rows - self.read:,}",
            *_counted(self.refused),
            f"read with a remark: {sum(n for n, _ in self.remarks.values()):,}",
            *_counted(self.remarks),
        ]
        return lines


def check_table(path: Path | str, column: str | None = None) -> TableCheck:
    """Read a table as every verb reads it, chunk by chunk, and tell what was understood.

    Args:
        path: file, folder or `-`, as for `read_formula_table`.
        column: name of the formula column, by default found by its name.

    Raises:
        DataError: as `read_formula_table`. Where no formula can be read, this is told and not raised.
    """
    rows, read, name = 0, 0, ""
    columns: dict[str, None] = {}
    keys = KeySet(np.empty((0, 2), dtype=np.uint64))
    refused, remarked, odd = _Counts(), _Counts(), OddCells()
    with collecting() as collected:
        for frame, name in iterate_formula_table(path, column):
            odd.add(frame, rows, name)
            columns |= dict.fromkeys(map(str, frame.columns))
            parsed = parse_formulas(frame[name])
            for bad in parsed.bad:
                refused.add(bad.reason, replace(bad, row=bad.row + rows))
            for one in parsed.remarks:
                remarked.add(one.remark, replace(one, row=one.row + rows))
            rows, read = rows + len(frame), read + len(parsed.batch)
            keys = KeySet(np.concatenate([keys.keys, parsed.batch.keys()]))
    kinds = dict.fromkeys(parts[0] for parts in collected.values())
    return TableCheck(
        source=table_name(path),
        kind=f"{'folder of tables: ' if Path(path).is_dir() else ''}{' and '.join(kinds)}",
        guesses=list(dict.fromkeys(guess for parts in collected.values() for guess in parts[1:])),
        column=name,
        columns=list(columns),
        rows=rows,
        read=read,
        distinct=len(keys),
        refused=refused.most_common(),
        remarks=remarked.most_common(),
        cells=odd.remarks(),
    )


class _Counts:
    """How many rows there are of each text, and the first of them."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()
        self._first: dict[str, Any] = {}

    def add(self, text: str, row: Any) -> None:
        self._numbers[text] += 1
        self._first.setdefault(text, row)

    def most_common(self) -> dict[str, tuple[int, Any]]:
        return {text: (n, self._first[text]) for text, n in self._numbers.most_common()}


def _counted(found: dict[str, tuple[int, BadFormula]] | dict[str, tuple[int, Remark]]) -> list[str]:
    lines = [f"  {n:,}: {first}" for n, first in list(found.values())[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        lines.append(f"  and {len(found) - MOST_SHOWN:,} other reasons")
    return lines
