"""Plain CSV and tab-separated values: types by the whole file."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from matgen.datasets.column_types import ChunkTypes
from matgen.datasets.formula_column import find_formula_column
from matgen.datasets.text_files import ZERO_BYTE, open_text

MISSING = ["", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "<NA>", "#N/A", "-nan", "-NaN"]
"""What an empty cell looks like, in every column but the formula's: there `NaN` is a text like any other."""

_SURPLUS = "\0surplus"
"""A column for fields beyond a CSV file's last one."""


class CsvFile:
    """One CSV file.

    Attributes:
        columns: its column names.
        name: the one of the formulas.
    """

    def __init__(self, path: Path, column: str | None, separator: str) -> None:
        """Read the header and find the formula column."""
        self._path, self._separator = path, separator
        header = pd.read_csv(path, sep=separator, nrows=0, dtype=str, encoding="utf-8-sig")
        self.columns = list(header.columns)
        self.name = find_formula_column(header.columns, column, path)

    def chunks(self, rows: int | None, formula_only: bool) -> Iterator[pd.DataFrame]:
        """The file in pieces of `rows` rows, or in one piece; see `formats.Format.chunks`.

        Raises:
            ParserError: a row has too many fields or is blank, or pandas gives up for another reason.
        """
        if formula_only:
            for frame in self._read(dict.fromkeys(self.columns, str), rows):
                yield frame[[self.name]]
            return
        if rows is None:
            yield from self._read({}, None)
            return
        types = ChunkTypes()
        for frame in self._read({}, rows):
            types.add(frame)
        if types.n_chunks == 1:
            yield frame
        if types.n_chunks < 2:
            return
        dtypes = {name: types.in_csv(name) for name in self.columns}
        # Numbers are parsed anew: the float nearest to an integer's text is not always that of the parsed integer.
        # Flags with gaps are looked at again, since as objects all cells would stay text.
        flags = {name: dtypes.pop(name) for name in self.columns if dtypes[name] == "object"}
        for frame in self._read(dtypes, rows):
            yield frame.astype(flags)

    def _read(self, dtypes: dict[str, Any], rows: int | None) -> Iterator[pd.DataFrame]:
        """Parse the file; columns of no type in `dtypes` get one by a chunk's values."""
        with contextlib.ExitStack() as stack:
            text = stack.enter_context(open_text(self._path, ""))
            header = next(filter(None, csv.reader(text, delimiter=self._separator)))
            one_more = _OneMoreColumn(text, self._separator.join("x" * (len(header) + 1)) + "\n")
            frames = stack.enter_context(
                pd.read_csv(
                    one_more,  # type: ignore[call-overload]
                    sep=self._separator,
                    header=0,
                    names=[*self.columns, _SURPLUS],
                    dtype={**dtypes, self.name: str, _SURPLUS: str},
                    keep_default_na=False,
                    na_values={other: MISSING for other in self.columns if other != self.name} | {_SURPLUS: [""]},
                    index_col=False,
                    low_memory=False,
                    iterator=True,
                    chunksize=rows,
                )
            )
            for frame in frames if rows else [frames.read()]:
                if frame.pop(_SURPLUS).notna().any():
                    raise pd.errors.ParserError("a row has too many fields")
                if self._has_blank_row(frame):
                    raise pd.errors.ParserError("a row is blank")
                yield frame

    def _has_blank_row(self, frame: pd.DataFrame) -> bool:
        without_formula = frame[self.name].to_numpy() == ""
        return bool(
            without_formula.any() and frame.loc[without_formula].drop(columns=self.name).isna().all(axis=1).any()
        )


class _OneMoreColumn:
    """A CSV file behind its header, opened as text, with another header.

    Of the first row after a header, or of a chunk, pandas drops surplus fields in silence: a further column shows them.
    """

    def __init__(self, rest: IO[str], header: str) -> None:
        self._rest, self._header = rest, header

    def read(self, size: int = -1) -> str:
        header, self._header = self._header, ""
        text = header or self._rest.read(size)
        if "\0" in text:
            raise ValueError(ZERO_BYTE)
        return text

    def __iter__(self) -> Iterator[str]:  # pandas takes for a file what has this
        return iter(self._rest)
