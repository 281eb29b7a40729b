"""The kinds of files that hold tables of formulas, one row each: suffixes, and how rows are read in chunks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from matgen.datasets.clean_copy import CleanCopy, clean_copy
from matgen.datasets.column_types import ChunkTypes
from matgen.datasets.csv_file import CsvFile
from matgen.datasets.dialects import Dialect, any_dialect_of, dialect_of, encoding_name
from matgen.datasets.formula_column import find_formula_column, has_formula_column
from matgen.datasets.formula_guess import (
    ROWS_LOOKED_AT,
    column_names,
    guess_in,
    guessed_column,
    is_read_as_formulas,
    with_formulas_of_index,
)
from matgen.datasets.json_tables import entries_of
from matgen.datasets.spreadsheets import SUFFIXES as SPREADSHEETS
from matgen.datasets.spreadsheets import sheet_of
from matgen.datasets.text_files import OPENERS, encoding_of, head_of, older_encoding, text_blocks
from matgen.datasets.understood import understood
from matgen.errors import DataError
from matgen.io.parquet import CHECKED_READING, check_names, read_parquet, require_utf8

Chunks = Iterator[tuple[pd.DataFrame, str]]
"""Frames, and with each the name of its formula column."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffixes: in lower case; the empty one is of files without any.
        chunks: called as `chunks(path, column, rows, formula_only)`, yields the rows of a file in order, at most `rows`
            at once, or for `rows=None` all at once. Joined, the chunks are the whole table, values and types, except
            that Parquet in chunks keeps Arrow's types. `column` names the formula column (None: find it), and
            `formula_only` leaves all others out.
        in_folders: whether a file in a folder that is read as a table is taken for a part of it.
    """

    suffixes: tuple[str, ...]
    chunks: Callable[[Path, str | None, int | None, bool], Chunks]
    in_folders: bool = True


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix before that of a compression.

    Raises:
        DataError: no kind of table has this suffix.
    """
    suffix = suffix_of(path)
    for one in FORMATS:
        if suffix in one.suffixes:
            return one
    raise DataError(f"{path}: unknown kind of file {suffix!r}; use one of {', '.join(TABLE_SUFFIXES)}")


def is_parquet(path: Path) -> bool:
    """Whether a file is a Parquet table by its suffix."""
    return suffix_of(path) in PARQUET.suffixes


def suffix_of(path: Path) -> str:
    """The suffix that says of what kind a file is, in lower case: the one before that of a compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in OPENERS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def expected_separator(path: Path) -> str:
    """What separates the columns of a text file, as its suffix lets expect."""
    return "," if suffix_of(path) == ".csv" else "\t"


def _csv_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    separator = expected_separator(path)
    dialect = dialect_of(path, separator, column)
    if dialect is not None:
        yield from _chunks_in_dialect(path, dialect, column, rows, formula_only)
        return
    dialect = any_dialect_of(path, separator)
    header, guess = _header_and_guess(path, dialect, column)
    name = find_formula_column(header, guess or column, path)  # raises, and shows the columns
    yield from _chunks_in_dialect(path, dialect, name, rows, formula_only, guess)


def _header_and_guess(path: Path, dialect: Dialect, column: str | None) -> tuple[list[str], str | None]:
    """The columns of a text file, and the one that holds formulas by its cells where none is asked for."""
    table = dialect.rows(path)
    header = column_names(next(table, []))
    return header, guessed_column(header, table) if column is None else None


def _chunks_in_dialect(
    path: Path, dialect: Dialect, column: str | None, rows: int | None, formula_only: bool, guess: str | None = None
) -> Chunks:
    done, guesses = 0, [is_read_as_formulas(guess)] if guess else []
    if dialect.plain:
        understood(path, dialect.kind, guesses)
        try:
            plain = CsvFile(path, column, dialect.separator)
            for frame in plain.chunks(rows, formula_only):
                yield frame, plain.name
                done += len(frame)
            return
        except UnicodeDecodeError:
            dialect = replace(dialect, encoding=older_encoding(path))
        except pd.errors.ParserError:  # a row has too many fields or is blank, or pandas gives up for another reason
            pass
    with clean_copy(dialect.rows(path), path, column, dialect.separator) as copy:
        understood(path, dialect.kind, [*guesses, *dialect.guesses, *copy.guesses])
        yield from _rest_of_copy(copy, path, column, rows, formula_only, done)


def _rest_of_copy(
    copy: CleanCopy, path: Path, column: str | None, rows: int | None, formula_only: bool, done: int
) -> Chunks:
    """The chunks of a clean copy, without the first `done` rows."""
    if not copy.rows:
        raise no_rows(path)
    file = CsvFile(copy.path, column, ",")
    start = 0
    for frame in file.chunks(rows, formula_only):
        if start + len(frame) > done:
            yield frame.iloc[max(0, done - start) :].copy(), file.name
        start += len(frame)


def _spreadsheet_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    sheet = sheet_of(path, column)
    with clean_copy(sheet.rows, path, sheet.column) as copy:
        understood(path, "spreadsheet", [*sheet.told, *copy.guesses])
        yield from _rest_of_copy(copy, path, sheet.column, rows, formula_only, 0)


def _parquet_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    import pyarrow as pa
    import pyarrow.parquet as pq

    understood(path, "Parquet")
    require_utf8(path, DataError)
    if rows is None:
        frame, name = _with_formula_column(read_parquet(path), column, path)
        yield frame[[name]] if formula_only else frame, name
        return
    check_names(path)
    # A buffer, so that a row group of any size is read piece by piece; without it a column is read whole first.
    with pq.ParquetFile(path, buffer_size=2**20, **CHECKED_READING) as file:
        # As pandas sees it: columns that were a frame's index are not among them.
        some = file.schema_arrow.empty_table()
        if column is None and not has_formula_column(file.schema_arrow.names, None):
            some = pa.Table.from_batches(islice(file.iter_batches(batch_size=ROWS_LOOKED_AT), 1), file.schema_arrow)
        name = _with_formula_column(some.to_pandas(), column, path)[1]
        stored = name if name in file.schema_arrow.names else f"__index_level_{name.partition('_')[2] or 0}__"
        columns = [stored] if formula_only else None
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=not formula_only):
            # Arrow's types: no Python text is made of formulas, and integers with gaps stay integers in every chunk.
            table = pa.Table.from_batches([batch])
            if formula_only and stored != name:
                table = table.rename_columns([name]).replace_schema_metadata(None)
            yield with_formulas_of_index(table.to_pandas(types_mapper=pd.ArrowDtype), name), name


def _feather_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    from pyarrow import feather

    understood(path, "Feather")
    require_utf8(path, DataError)
    table = feather.read_table(path)
    name = _with_formula_column(table.slice(0, ROWS_LOOKED_AT).to_pandas(), column, path)[1]
    for start in range(0, len(table), rows or max(1, len(table))):
        frame = table.slice(start, rows).to_pandas(types_mapper=pd.ArrowDtype if rows else None)
        frame = with_formulas_of_index(frame, name)
        yield frame[[name]] if formula_only else frame, name


def _with_formula_column(frame: pd.DataFrame, column: str | None, path: Path) -> tuple[pd.DataFrame, str]:
    """The frame, with its index as a column where formulas may be there, and its formula column; a guess is told."""
    frame = with_formulas_of_index(frame, column)
    if column is None and (column := guess_in(frame)) is not None:
        understood(path, guesses=[is_read_as_formulas(column)])
    return frame, find_formula_column(frame.columns, column, path)


def _json_lines_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    understood(path, "JSON lines")

    def entries() -> Iterator[Any]:
        for block in text_blocks(path):
            yield from (_json_or_text(line) for line in block.split("\n") if line.strip())

    # What fits into one chunk is read once, more is read twice: first for the columns and their types.
    reading = entries()
    first = list(islice(reading, rows))
    following = list(islice(reading, 1))
    if (guess := _guess_among(first, column)) is not None:
        understood(path, guesses=[is_read_as_formulas(guess)])
        column = guess
    if not following:
        names = _columns(first)
        name = find_formula_column(names, column, path)
        frame = pd.DataFrame.from_records(_rows(first, name), columns=names)
        yield frame[[name]] if formula_only else frame, name
        return
    assert rows is not None
    types, has_text, names = ChunkTypes(), False, []
    for block in _blocks(chain(first, following, reading), rows):
        names = list(dict.fromkeys([*names, *_columns(block)]))
        types.add(pd.DataFrame.from_records(_rows(block, None), columns=names))
        has_text |= any(not isinstance(entry, dict) for entry in block)
    del first
    name = find_formula_column(names, column, path)
    if has_text:
        types.add_text(name)
    names = [name] if formula_only else names
    dtypes = {one: types.in_json(one) for one in names}
    for block in _blocks(entries(), rows):
        records = _rows(block, name)
        values = {one: [record.get(one, np.nan) for record in records] for one in names}
        yield pd.DataFrame(values, columns=names, dtype=object).astype(dtypes), name


def _json_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    text = "".join(text_blocks(path))
    try:
        content = json.loads(text)
    except ValueError:
        if not _begins_with_a_line_of_json(text):
            raise
        del text
        yield from _json_lines_chunks(path, column, rows, formula_only)
        return
    understood(path, "JSON")
    entries = entries_of(content, column)
    if entries is None:
        raise DataError(f"{path} holds no list of rows")
    names = _columns(entries)
    if not any(isinstance(entry, dict) for entry in entries) and all(isinstance(entry, str) for entry in entries):
        names = ["formula"]  # a list of formulas
    if (guess := _guess_among(entries, column)) is not None:
        understood(path, guesses=[is_read_as_formulas(guess)])
    name = find_formula_column(names, guess or column, path)
    frame = pd.DataFrame.from_records(_rows(entries, name), columns=names)
    for start in range(0, len(frame), rows or len(frame)):
        chunk = frame.iloc[start : start + rows] if rows else frame
        yield chunk[[name]] if formula_only else chunk.copy(), name


def _guess_among(entries: list[Any], column: str | None) -> str | None:
    """The column that holds formulas by its cells among rows of JSON, where none is asked for."""
    if column is not None:
        return None
    names = _columns(entries)
    return guessed_column(names, ([row.get(name) for name in names] for row in entries if isinstance(row, dict)))


def _begins_with_a_line_of_json(text: str) -> bool:
    first, _, rest = text.lstrip().partition("\n")
    return bool(rest.strip()) and isinstance(_json_or_text(first), dict)


def _text_chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    dialect = dialect_of(path, expected_separator(path), column)
    if dialect is not None:  # what Excel saves as text
        yield from _chunks_in_dialect(path, dialect, column, rows, formula_only)
        return
    dialect = any_dialect_of(path, expected_separator(path))
    header, guess = _header_and_guess(path, dialect, column)
    if guess is not None or (column is not None and has_formula_column(header, column)):
        yield from _chunks_in_dialect(path, dialect, guess or column, rows, formula_only, guess)
        return
    name = find_formula_column(["formula"], column, path)
    understood(path, f"text in {encoding_name(encoding_of(head_of(path)))}, one formula a line")
    lines = (line.strip() for block in text_blocks(path) for line in block.splitlines())
    for formulas in _blocks(filter(None, lines), rows):
        yield pd.DataFrame({name: formulas}, dtype=object), name


PARQUET = Format((".parquet", ".pq"), _parquet_chunks)
FORMATS = (
    Format((".csv", ".tsv", ".tab"), _csv_chunks),
    PARQUET,
    Format((".jsonl", ".ndjson"), _json_lines_chunks),
    Format((".json",), _json_chunks, in_folders=False),
    Format((".txt", ""), _text_chunks, in_folders=False),
    Format(SPREADSHEETS, _spreadsheet_chunks, in_folders=False),
    Format((".feather",), _feather_chunks, in_folders=False),
)
TABLE_SUFFIXES = tuple(suffix for one in FORMATS for suffix in one.suffixes if suffix)


def _json_or_text(line: str) -> Any:
    """A JSON line, or the line itself where it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def no_rows(path: Path) -> DataError:
    """The error of a table without rows."""
    return DataError(f"{path} has no rows: it needs at least one row")


def _columns(entries: list[Any]) -> list[str]:
    """The keys of the rows among some entries of JSON, in order of their first appearance."""
    return list(dict.fromkeys(key for entry in entries if isinstance(entry, dict) for key in entry))


def _rows(entries: list[Any], name: str | None) -> list[dict[str, Any]]:
    """Entries of JSON as rows: one that is no row is the formula of one, in the column `name` where that is known."""
    return [entry if isinstance(entry, dict) else {name: str(entry)} if name else {} for entry in entries]


def _blocks(items: Iterable[_T], size: int | None) -> Iterator[list[_T]]:
    """Lists of `size` items, the last one of what is left; for None one list of all."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block
