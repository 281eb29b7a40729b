"""Reading tables of formulas: CSV, Parquet, JSON lines, plain text, or a folder of shards of them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from matgen.errors import DataError, first_line

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
)
"""Names under which a formula column is found, whatever their case, in order of preference."""

_MISSING = ["", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "<NA>", "#N/A", "-nan", "-NaN"]
"""What an empty cell looks like, in every column but the formula's: there `NaN` is a text like any other."""

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_CSV, _PARQUET, _JSON_LINES, _TEXT = (".csv", ".tsv"), (".parquet", ".pq"), (".jsonl", ".ndjson"), (".txt", "")
TABLE_SUFFIXES = (*_CSV, *_PARQUET, *_JSON_LINES, ".json", *_TEXT[:1])


def read_formula_table(path: Path | str, column: str | None = None) -> tuple[pd.DataFrame, str]:
    """Read a table and find its formula column. Rows stay as they are, readable formulas or not.

    CSV (or tab-separated values) and JSON lines may be compressed. In plain text each line that is not blank is a
    formula, in a column `formula`. Of a folder, all tables of known suffixes are read, in order of their names.
    A CSV row with too many fields, and a line that is not JSON, become rows whose formula is the whole line, so that
    they are reported as bad and the others go on. Nothing is unpickled.

    Args:
        path: file or folder.
        column: name of the formula column; by default the first of `FORMULA_COLUMNS` that is there.

    Returns:
        The frame, rows numbered from 0, and the name of its formula column.

    Raises:
        DataError: no such file, of an unknown kind, damaged, empty, or without a formula column.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, column)
    if not path.exists():
        raise DataError(f"no such file: {path}")
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: it needs at least one formula")
        frame, name = _read_file(path, column)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or first_line(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in UTF-8 (byte {error.start}): is it of another kind than its name says?"
        ) from error
    except (
        ValueError,
        csv.Error,
        EOFError,
        lzma.LZMAError,
        zlib.error,
    ) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        raise DataError(f"cannot read {path}: {first_line(error)}") from error
    if frame.empty:
        raise DataError(f"{path} has no rows: it needs at least one formula")
    return frame.reset_index(drop=True), name


def find_formula_column(columns: Iterable[Any], column: str | None, where: Path | str) -> str:
    """The formula column among those of a table: the named one, or one of `FORMULA_COLUMNS`.

    Raises:
        DataError: there is none; the table's columns are listed.
    """
    names = [str(name) for name in columns]
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    folded = {name.strip().casefold().replace(" ", "_"): name for name in reversed(names)}
    if column is not None:
        found = column if column in names else folded.get(column.strip().casefold().replace(" ", "_"))
        if found is None:
            raise DataError(f"{where} has no column {column!r}; its columns: {shown}")
        return found
    for known in FORMULA_COLUMNS:
        if known in folded:
            return folded[known]
    raise DataError(f"{where} has no formula column (its columns: {shown}): name the one that holds formulas")


def _read_file(path: Path, column: str | None) -> tuple[pd.DataFrame, str]:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _OPENERS:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in _CSV:
        return _read_csv(path, column, "\t" if suffix == ".tsv" else ",")
    if suffix in _PARQUET:
        frame = pd.read_parquet(path)
        return frame, find_formula_column(frame.columns, column, path)
    if suffix in _JSON_LINES or suffix == ".json":
        return _read_json(path, column, lines=suffix != ".json")
    if suffix in _TEXT:
        lines = [line.strip() for line in _read_text(path).splitlines()]
        frame = pd.DataFrame({"formula": [line for line in lines if line]}, dtype=object)
        return frame, find_formula_column(frame.columns, column, path)
    raise DataError(f"{path}: unknown kind of file {suffix!r}; use one of {', '.join(TABLE_SUFFIXES)}")


def _read_csv(path: Path, column: str | None, separator: str) -> tuple[pd.DataFrame, str]:
    header = pd.read_csv(path, sep=separator, nrows=0, dtype=str, encoding="utf-8-sig")
    name = find_formula_column(header.columns, column, path)

    def parse(source: Any, **more: Any) -> pd.DataFrame:
        frame: pd.DataFrame = pd.read_csv(
            source,
            sep=separator,
            dtype={name: str},
            keep_default_na=False,
            na_values={other: _MISSING for other in header.columns if other != name},
            index_col=False,
            low_memory=False,
            **more,
        )
        return frame

    try:
        return parse(path, encoding="utf-8-sig"), name
    except pd.errors.ParserError:
        return parse(_with_wide_rows_quoted(path, separator, list(header.columns).index(name))), name


def _with_wide_rows_quoted(path: Path, separator: str, formula_at: int) -> io.StringIO:
    """The CSV again, rows with too many fields replaced by one whose formula is the whole line."""
    mended = io.StringIO()
    writer = csv.writer(mended, delimiter=separator)
    reader = csv.reader(io.StringIO(_read_text(path)), delimiter=separator, strict=True)
    header = next(reader)
    writer.writerow(header)
    for fields in reader:
        if len(fields) > len(header):
            whole = separator.join(fields)
            fields = [whole if place == formula_at else "" for place in range(len(header))]
        writer.writerow(fields)
    mended.seek(0)
    return mended


def _read_json(path: Path, column: str | None, *, lines: bool) -> tuple[pd.DataFrame, str]:
    text = _read_text(path)
    entries: list[Any] = (
        [_json_or_text(line) for line in text.split("\n") if line.strip()] if lines else json.loads(text)
    )
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        raise DataError(f"{path} holds no list of rows")
    records = [entry for entry in entries if isinstance(entry, dict)]
    names = list(dict.fromkeys(key for record in records for key in record))
    if not records and all(isinstance(entry, str) for entry in entries) and not lines:
        names = ["formula"]  # a JSON list of formulas
    name = find_formula_column(names, column, path)
    rows = [entry if isinstance(entry, dict) else {name: str(entry)} for entry in entries]
    frame = pd.DataFrame.from_records(rows, columns=names)
    return frame, name


def _read_text(path: Path) -> str:
    """A text file's content, without a byte-order mark, unpacked where its suffix says that it is compressed."""
    opener: Any = _OPENERS.get(path.suffix.lower(), open)
    with opener(path, "rb") as handle:
        return bytes(handle.read()).decode("utf-8-sig")


def _json_or_text(line: str) -> Any:
    """A JSON line, or the line itself where it is not JSON."""
    try:
        return json.loads(line)
    except ValueError:
        return line


def _read_folder(path: Path, column: str | None) -> tuple[pd.DataFrame, str]:
    shards = sorted(
        entry
        for entry in path.iterdir()
        if entry.is_file()
        and not entry.name.startswith(".")
        and entry.suffix.lower() in (*_CSV, *_PARQUET, *_JSON_LINES)
    )
    if not shards:
        raise DataError(f"{path} holds no table: a folder needs .csv, .parquet or .jsonl files")
    frames, names = zip(*(read_formula_table(shard, column) for shard in shards), strict=True)
    if len(set(names)) > 1:
        raise DataError(f"the tables in {path} call their formula column differently ({', '.join(sorted(set(names)))})")
    return pd.concat(frames, ignore_index=True), names[0]
