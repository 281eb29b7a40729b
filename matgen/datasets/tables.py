"""Reading tables of formulas: CSV, Parquet, JSON lines, plain text, or a folder of shards of them."""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import json
import lzma
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from matgen.errors import DataError, first_line
from matgen.io.parquet import read_parquet

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

_SURPLUS = "\0surplus"
"""A column for fields beyond a CSV file's last one."""

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
CSV_SUFFIXES, PARQUET_SUFFIXES, JSON_LINES_SUFFIXES = (".csv", ".tsv"), (".parquet", ".pq"), (".jsonl", ".ndjson")
TABLE_SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES, *JSON_LINES_SUFFIXES, ".json", ".txt")


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
        frames, names = zip(*(read_formula_table(shard, column) for shard in shards_of(path)), strict=True)
        one_name(path, names)
        return pd.concat(frames, ignore_index=True), names[0]
    with reading(path):
        frame, name = _read_file(path, column)
        if frame.empty:
            raise no_rows(path)
        return frame.reset_index(drop=True), name


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a `DataError` of one line that names it."""
    if not path.exists():
        raise DataError(f"no such file: {path}")
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: it needs at least one row")
        yield
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
        RecursionError,  # JSON in thousands of brackets
        lzma.LZMAError,
        zlib.error,
    ) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        raise DataError(f"cannot read {path}: {first_line(error)}") from error


def no_rows(path: Path) -> DataError:
    """The error of a table without rows."""
    return DataError(f"{path} has no rows: it needs at least one row")


def shards_of(folder: Path) -> list[Path]:
    """The tables in a folder, in order of their names.

    Raises:
        DataError: there is none.
    """
    shards = sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_file()
        and not entry.name.startswith(".")
        and entry.suffix.lower() in (*CSV_SUFFIXES, *PARQUET_SUFFIXES, *JSON_LINES_SUFFIXES)
    )
    if not shards:
        raise DataError(f"{folder} holds no table: a folder needs .csv, .parquet or .jsonl files")
    return shards


def one_name(folder: Path, names: Iterable[str]) -> None:
    """Check that the tables of a folder call their formula column alike.

    Raises:
        DataError: they do not.
    """
    distinct = sorted(set(names))
    if len(distinct) > 1:
        raise DataError(f"the tables in {folder} call their formula column differently ({', '.join(distinct)})")


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
    suffix = kind_of(path)
    if suffix in CSV_SUFFIXES:
        csv_file = CsvFile(path, column)
        try:
            return csv_file.parse(), csv_file.name
        except pd.errors.ParserError:
            with csv_file.mended() as mended:
                return csv_file.parse(mended), csv_file.name
    if suffix in PARQUET_SUFFIXES:
        frame = read_parquet(path)
        return frame, find_formula_column(frame.columns, column, path)
    if suffix in JSON_LINES_SUFFIXES or suffix == ".json":
        return _read_json(path, column, lines=suffix != ".json")
    lines = [line.strip() for line in _read_text(path).splitlines()]
    frame = pd.DataFrame({"formula": [line for line in lines if line]}, dtype=object)
    return frame, find_formula_column(frame.columns, column, path)


def kind_of(path: Path) -> str:
    """The suffix that says what a table is, in lower case and without that of its compression.

    Raises:
        DataError: no kind of table has this suffix.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _OPENERS:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix and suffix not in TABLE_SUFFIXES:
        raise DataError(f"{path}: unknown kind of file {suffix!r}; use one of {', '.join(TABLE_SUFFIXES)}")
    return suffix


class CsvFile:
    """How one CSV file (or tab-separated values) is parsed.

    Attributes:
        columns: its column names.
        name: the one of the formulas.
    """

    def __init__(self, path: Path, column: str | None) -> None:
        """Read the header and find the formula column."""
        self._path = path
        self._separator = "\t" if kind_of(path) == ".tsv" else ","
        header = pd.read_csv(path, sep=self._separator, nrows=0, dtype=str, encoding="utf-8-sig")
        self.columns = list(header.columns)
        self.name = find_formula_column(header.columns, column, path)

    def parse(self, mended: IO[str] | None = None) -> pd.DataFrame:
        """Parse the file, or its mended copy.

        Raises:
            ParserError: a row has too many fields (or pandas gives up for another reason); none has in the mended copy.
        """
        with self._text(mended) as text:
            return self._without_surplus(self._read(text, {}))

    def chunks(
        self, rows: int, dtype: dict[str, Any] | None = None, mended: IO[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The same in pieces of `rows` rows, with the types given, by default what the values of a piece look like."""
        with self._text(mended) as text, self._read(text, dtype or {}, chunksize=rows) as frames:
            yield from map(self._without_surplus, frames)

    @contextlib.contextmanager
    def _text(self, mended: IO[str] | None) -> Iterator[_OneMoreColumn]:
        with open_text(self._path, "") if mended is None else contextlib.nullcontext(mended) as text:
            text.seek(0)
            header = next(filter(None, csv.reader(text, delimiter=self._separator)))
            yield _OneMoreColumn(text, self._separator.join("x" * (len(header) + 1)) + "\n")

    def _read(self, text: Any, dtype: dict[str, Any], **more: Any) -> Any:
        return pd.read_csv(
            text,
            sep=self._separator,
            header=0,
            names=[*self.columns, _SURPLUS],
            dtype={**dtype, self.name: str, _SURPLUS: str},
            keep_default_na=False,
            na_values={other: _MISSING for other in self.columns if other != self.name} | {_SURPLUS: [""]},
            index_col=False,
            low_memory=False,
            **more,
        )

    @staticmethod
    def _without_surplus(frame: pd.DataFrame) -> pd.DataFrame:
        if frame.pop(_SURPLUS).notna().any():
            raise pd.errors.ParserError("a row has too many fields")
        return frame

    @contextlib.contextmanager
    def mended(self) -> Iterator[IO[str]]:
        """The file again, rows with too many fields replaced by one whose formula is the whole line."""
        formula_at = self.columns.index(self.name)
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as copy, open_text(self._path, "") as text:
            writer = csv.writer(copy, delimiter=self._separator)
            reader = csv.reader(text, delimiter=self._separator, strict=True)
            header = next(reader)
            writer.writerow(header)
            for fields in reader:
                if any(fields[len(header) :]):
                    whole = self._separator.join(fields)
                    fields = [whole if place == formula_at else "" for place in range(len(header))]
                writer.writerow(fields[: len(header)])
            copy.seek(0)
            yield copy


class _OneMoreColumn:
    """A CSV file behind its header, opened as text, with another header.

    Of the first row after a header, or of a chunk, pandas drops surplus fields in silence: a further column shows them.
    """

    def __init__(self, rest: IO[str], header: str) -> None:
        self._rest, self._header = rest, header

    def read(self, size: int = -1) -> str:
        header, self._header = self._header, ""
        return header or self._rest.read(size)

    def __iter__(self) -> Iterator[str]:  # pandas takes for a file what has this
        return iter(self._rest)


def open_text(path: Path, newline: str | None) -> IO[str]:
    """Open a text file, without its byte-order mark, unpacked where its suffix says that it is compressed."""
    opener: Any = _OPENERS.get(path.suffix.lower(), open)
    opened: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline=newline)
    return opened


def _read_json(path: Path, column: str | None, *, lines: bool) -> tuple[pd.DataFrame, str]:
    text = _read_text(path)
    entries: list[Any] = (
        [json_or_text(line) for line in text.split("\n") if line.strip()] if lines else json.loads(text)
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


def json_or_text(line: str) -> Any:
    """A JSON line, or the line itself where it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line
