"""Reading tables of formulas, whole or in chunks: a file of any of the `formats`, or a folder of shards of them."""

from __future__ import annotations

import contextlib
import csv
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from matgen.datasets.formats import FORMATS, Chunks, format_of, no_rows
from matgen.datasets.opening import opened
from matgen.datasets.text_files import not_utf8
from matgen.errors import DataError, first_line
from matgen.io.own_columns import note_own_columns


def read_formula_table(path: Path | str, column: str | None = None) -> tuple[pd.DataFrame, str]:
    """Read a table and find its formula column. Rows stay as they are, readable formulas or not.

    CSV, tab-separated values, spreadsheets, Parquet, Feather, JSON and JSON lines; text may be compressed, and a ZIP
    archive may hold one table. Semicolons, titles above the header, decimal commas, separators of thousands, UTF-16 and
    older encodings are recognized, and a `MatgenWarning` says what was guessed. In plain text each line that is not
    blank is a formula, in a column `formula`, unless a header with a formula column comes first. Of a folder, all
    tables of known suffixes are read, in order of their names. Rows of CSV and spreadsheets that are blank are left
    out. A CSV row with too many fields, and a line that is not JSON, become rows whose formula is the whole line, so
    that they are reported as bad and the others go on. Nothing is unpickled.

    Args:
        path: file or folder, or `-` for standard input.
        column: name of the formula column; by default the first of `FORMULA_COLUMNS` that is there.

    Returns:
        The frame, rows numbered from 0, and the name of its formula column.

    Raises:
        DataError: no such file, of an unknown kind, damaged, empty, or without a formula column.
    """
    chunks = list(_chunks(Path(path), column, None, False))
    name = chunks[0][1]
    if len(chunks) == 1:
        note_own_columns(chunks[0][0], Path(path))
        return chunks[0][0], name
    return pd.concat([frame for frame, _ in chunks], ignore_index=True), name


def iterate_formula_table(
    path: Path | str, column: str | None = None, *, rows_per_chunk: int = 250_000, formula_only: bool = False
) -> Chunks:
    """Read a table chunk by chunk, in constant memory: the rows of `read_formula_table`, in the same order.

    Values and types are the same in both, and so are the errors, which come when they are met: some chunks may come
    before. Columns from Parquet alone stay Arrow columns (`pandas.ArrowDtype`: no Python text is made of formulas), and
    a column in which integers beyond 63 bits meet gaps or other numbers may be of another type in chunks. CSV and JSON
    lines of more than a chunk are read twice, first for the types. JSON that is not JSON lines is read whole. In a
    folder, each chunk has the columns of its own file.

    Args:
        path: file or folder, as for `read_formula_table`.
        column: name of the formula column, by default found by its name.
        rows_per_chunk: at most so many rows a chunk.
        formula_only: leave all other columns out, which is quicker.

    Yields:
        A frame, its index counting rows from 0 over all chunks, and the name of its formula column.

    Raises:
        DataError: no such file, of an unknown kind, damaged, empty, or without a formula column.
    """
    yield from _chunks(Path(path), column, rows_per_chunk, formula_only)


def _chunks(path: Path, column: str | None, rows: int | None, formula_only: bool) -> Chunks:
    """The chunks of a file or of the files in a folder, at least one; with `rows=None` each file is one chunk."""
    first_name, start = None, 0
    for shard in shards_of(path) if path.is_dir() else [path]:
        with opened(shard) as file, reading(file):
            shard_start = start
            for frame, name in format_of(file).chunks(file, column, rows, formula_only):
                if not len(frame):
                    continue
                first_name = first_name or name
                if name != first_name:
                    names = ", ".join(sorted((first_name, name)))
                    raise DataError(f"the tables in {path} call their formula column differently ({names})")
                frame.index = pd.RangeIndex(start, start + len(frame))
                start += len(frame)
                yield frame, name
            if start == shard_start:
                raise no_rows(file)


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
        raise not_utf8(path, error.start) from error
    except (
        ValueError,
        csv.Error,
        EOFError,
        RecursionError,  # JSON in thousands of brackets
        lzma.LZMAError,
        zlib.error,
    ) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        raise DataError(f"cannot read {path}: {first_line(error)}") from error


def shards_of(folder: Path) -> list[Path]:
    """The tables in a folder, in order of their names.

    Raises:
        DataError: there is none.
    """
    suffixes = {suffix for one in FORMATS if one.in_folders for suffix in one.suffixes}
    shards = sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_file() and not entry.name.startswith(".") and entry.suffix.lower() in suffixes
    )
    if not shards:
        raise DataError(f"{folder} holds no table: a folder needs .csv, .parquet or .jsonl files")
    return shards
