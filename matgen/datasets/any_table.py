"""Tables of any content, with or without formulas: read whole, from every kind of file that holds columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.datasets.cell_types import read_csv_as_written
from matgen.datasets.clean_copy import clean_copy
from matgen.datasets.dialects import Dialect, any_dialect_of
from matgen.datasets.formats import expected_separator, format_of, no_rows, suffix_of
from matgen.datasets.json_tables import entries_of
from matgen.datasets.number_marks import OddCells
from matgen.datasets.opening import opened
from matgen.datasets.spreadsheets import SUFFIXES as SPREADSHEETS
from matgen.datasets.spreadsheets import sheet_of
from matgen.datasets.tables import reading
from matgen.datasets.text_files import older_encoding, text_blocks
from matgen.datasets.understood import name_of, understood
from matgen.errors import DataError
from matgen.io.parquet import read_parquet
from matgen.runtime.unreadable import report_unreadable


def read_any_table(path: Path | str) -> pd.DataFrame:
    """A table as it stands, rows numbered from 0, from any kind of file that `read_formula_table` takes.

    Blank rows are left out. Codes with leading zeros and large integers keep their digits (see
    `matgen.datasets.cell_types`, also for what `NA` means). Cells such as `>60` among numbers are said
    (`MatgenWarning`), and rows that cannot be read are left out with one.

    Args:
        path: file, or `-` for standard input.

    Raises:
        DataError: no such file, another kind of file, unreadable, without rows, or more than a fifth of the rows
            cannot be read (see `matgen.runtime.unreadable`).
    """
    with opened(Path(path)) as file, reading(file):
        format_of(file)  # refuses what is no table at all
        frame = _read(file).dropna(how="all")
        if frame.empty:
            raise no_rows(file)
        frame.columns = pd.Index([str(name).strip() for name in frame.columns])
        odd = OddCells()
        odd.add(frame)
        understood(file, guesses=odd.remarks())
    return frame.reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    suffix = suffix_of(path)
    if suffix in (".parquet", ".pq"):
        return read_parquet(path)
    if suffix == ".feather":
        return pd.read_feather(path)
    if suffix in SPREADSHEETS:
        sheet = sheet_of(path, None, formulas=False)
        return _from_rows(path, sheet.rows, ";", sheet.told)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _from_json(path)
    return _from_text(path, any_dialect_of(path, expected_separator(path)))


def _from_text(path: Path, dialect: Dialect) -> pd.DataFrame:
    if dialect.plain:
        try:
            frame, told = read_csv_as_written(path, dialect.separator)
            # pandas takes the first fields for labels where rows have one more than the header: so in all, as R writes?
            labels = not isinstance(frame.index, pd.RangeIndex)
            if not labels or (frame.iloc[:, -1].notna().all() and frame.index.is_unique):
                row_names = "rows have one field more than the header: the first, a name of the row, is left out"
                understood(path, guesses=[row_names] * labels + told)
                return frame
        except UnicodeDecodeError:
            dialect = replace(dialect, encoding=older_encoding(path))
        except pd.errors.ParserError:  # a row has too many fields, or pandas gives up for another reason
            pass
    return _from_rows(path, dialect.rows(path), dialect.separator, dialect.guesses)


def _from_rows(path: Path, rows: Iterable[Sequence[Any]], separator: str, told: list[str]) -> pd.DataFrame:
    with clean_copy(rows, path, None, separator, formulas=False) as copy:
        understood(path, guesses=[*told, *copy.guesses])
        if not copy.rows:
            raise no_rows(path)
        if copy.surplus:
            number, fields = copy.surplus[0]
            first = f"row {number + 1}: {fields} fields, {copy.width} in the header"
            report_unreadable(name_of(path), len(copy.surplus), copy.rows, first)
        frame, more_told = read_csv_as_written(copy.path)
        understood(path, guesses=more_told)
        return frame


def _from_json(path: Path) -> pd.DataFrame:
    text = "".join(text_blocks(path))
    try:
        entries = entries_of(json.loads(text), None)
    except ValueError:
        entries = [_entry(line) for line in text.split("\n") if line.strip()]
    rows = [entry for entry in entries or [] if isinstance(entry, dict)]
    if not rows:
        raise DataError(f"{path} holds no list of rows")
    if bad := [number for number, entry in enumerate(entries or []) if not isinstance(entry, dict)]:
        report_unreadable(name_of(path), len(bad), len(entries or []), f"row {bad[0] + 1}: no keys and values")
    return pd.DataFrame.from_records(rows)


def _entry(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
