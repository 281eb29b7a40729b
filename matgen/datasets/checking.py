"""What matgen understands of a table of formulas, before anything expensive is done with it: `matgen data check`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from matgen.composition.batch import BadFormula, Remark, parse_formulas
from matgen.composition.keys import KeySet
from matgen.datasets.formats import is_parquet, separator_of
from matgen.datasets.tables import iterate_formula_table

MOST_SHOWN = 10
"""Reasons and remarks that are shown, each with its first row."""


@dataclass(frozen=True)
class TableCheck:
    """What was understood of a table.

    Attributes:
        source: the file or folder.
        kind: how it is read: by which separator, in which encoding.
        column: of the formulas.
        columns: all columns.
        rows: how many rows there are.
        read: how many formulas were read.
        distinct: how many different compositions these are.
        refused: reason to how many rows have it and the first of them, the most frequent first.
        remarks: likewise, of rows that were read with a remark.
    """

    source: str
    kind: str
    column: str
    columns: list[str]
    rows: int
    read: int
    distinct: int
    refused: dict[str, tuple[int, BadFormula]]
    remarks: dict[str, tuple[int, Remark]]

    def lines(self) -> list[str]:
        """As the command line prints it."""
        others = [name for name in self.columns if name != self.column]
        lines = [
            f"file: {self.source}",
            f"read as: {self.kind}",
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
        path: file or folder, as for `read_formula_table`.
        column: name of the formula column, by default found by its name.

    Raises:
        DataError: as `read_formula_table`. Where no formula can be read, this is told and not raised.
    """
    rows, read, name = 0, 0, ""
    columns: dict[str, None] = {}
    keys = KeySet(np.empty((0, 2), dtype=np.uint64))
    reasons: Counter[str] = Counter()
    remarked: Counter[str] = Counter()
    first_bad: dict[str, BadFormula] = {}
    first_remark: dict[str, Remark] = {}
    for frame, name in iterate_formula_table(path, column):
        columns |= dict.fromkeys(map(str, frame.columns))
        parsed = parse_formulas(frame[name])
        for bad in parsed.bad:
            reasons[bad.reason] += 1
            first_bad.setdefault(bad.reason, BadFormula(bad.row + rows, bad.formula, bad.reason))
        for one in parsed.remarks:
            remarked[one.remark] += 1
            first_remark.setdefault(one.remark, Remark(one.row + rows, one.formula, one.remark))
        rows, read = rows + len(frame), read + len(parsed.batch)
        keys = KeySet(np.concatenate([keys.keys, parsed.batch.keys()]))
    return TableCheck(
        source=str(path),
        kind=_kind(Path(path)),
        column=name,
        columns=list(columns),
        rows=rows,
        read=read,
        distinct=len(keys),
        refused={reason: (n, first_bad[reason]) for reason, n in reasons.most_common()},
        remarks={remark: (n, first_remark[remark]) for remark, n in remarked.most_common()},
    )


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder of tables"
    if is_parquet(path):
        return "Parquet"
    separator = separator_of(path)
    names = {",": "commas", "\t": "tabs"}
    if separator is not None:
        return f"text in UTF-8, columns separated by {names[separator]}"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    for suffix, kind in ((".jsonl", "JSON lines"), (".ndjson", "JSON lines"), (".json", "JSON")):
        if suffix in suffixes:
            return f"{kind} in UTF-8"
    return "text in UTF-8, one formula a line"


def _counted(found: dict[str, tuple[int, BadFormula]] | dict[str, tuple[int, Remark]]) -> list[str]:
    lines = [f"  {n:,}: {first}" for n, first in list(found.values())[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        lines.append(f"  and {len(found) - MOST_SHOWN:,} other reasons")
    return lines
