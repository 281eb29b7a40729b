"""The candidate table: read in chunks, whatever it is, and written chunk by chunk as one Parquet file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.composition.batch import as_texts
from matgen.datasets.formula_guess import with_formula_column
from matgen.datasets.opening import table_name
from matgen.datasets.tables import iterate_formula_table
from matgen.errors import DataError, MatgenWarning
from matgen.evaluation.labels import COLUMNS, NEWER
from matgen.evaluation.limits import Limits
from matgen.io.chunks import ColumnTypes, plain, stored_column
from matgen.io.own_columns import SUFFIX
from matgen.io.parquet import CHECKED_WRITING

_THEIRS = "\0"
"""Before the name of an input's column that has the name of one of `labels.COLUMNS`, while that one is made."""


class CandidateTable:
    """Candidates that can be gone through several times.

    Attributes:
        source: what to call them in a message.
        held: whether they are in memory already.
    """

    def __init__(
        self,
        candidates: pd.DataFrame | Path | str | Iterable[str],
        column: str | None,
        rows_per_chunk: int = Limits.rows_per_chunk,
    ) -> None:
        """Take a table, a file or a folder of files as `read_formula_table` reads them, or formulas.

        Raises:
            DataError: a table in memory has no formula column, or one that cannot be used.
        """
        self._path: Path | None = None
        self._frame = pd.DataFrame()
        self._column = column
        self._rows_per_chunk = rows_per_chunk
        self._told = False
        if isinstance(candidates, pd.DataFrame):
            self.source = "the table"
            candidates, self._column = with_formula_column(candidates, column, self.source)
            self._frame = candidates
            # pymatgen's and ASE's objects cannot be written to files. Two columns of one name are refused later on.
            cells = candidates[self._column]
            if isinstance(cells, pd.Series) and cells.dtype == object:
                self._frame = candidates.assign(**{self._column: as_texts(cells)})
        elif isinstance(candidates, str | Path):
            self.source, self._path = table_name(candidates), Path(candidates)
        else:
            self.source, self._column = "the list", "formula"
            self._frame = pd.DataFrame({"formula": as_texts(candidates)}, dtype=object)
        self.held = self._path is None

    def chunks(self) -> Iterator[tuple[pd.DataFrame, str]]:
        """The rows in order, at most `rows_per_chunk` at once, with the name of the formula column.

        Raises:
            DataError: as `read_formula_table`; or two columns have one name, or a column would be replaced.
        """
        if self._path is not None:
            for frame, column in iterate_formula_table(self._path, self._column, rows_per_chunk=self._rows_per_chunk):
                yield self._checked(frame, column)
            return
        assert self._column is not None
        frame, column = self._checked(self._frame, self._column)
        for start in range(0, len(frame), self._rows_per_chunk):
            yield frame.iloc[start : start + self._rows_per_chunk], column

    def _checked(self, frame: pd.DataFrame, column: str) -> tuple[pd.DataFrame, str]:
        if not frame.columns.is_unique:
            raise DataError(f"{self.source}: two columns are called {frame.columns[frame.columns.duplicated()][0]!r}")
        if column in COLUMNS:
            # A column of that name is replaced, and the input's text would be lost with it.
            if "formula" in frame:
                raise DataError(f"{self.source}: column {column!r} would be replaced; rename it, or evaluate 'formula'")
            frame, column = frame.rename(columns={column: "formula"}), "formula"
        return self._with_theirs_kept(frame), column

    def _with_theirs_kept(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with columns of the user's that have names of ours under other names, so that they are not lost."""
        frame = judged_as_ours(frame)
        taken = [name for name in COLUMNS if name in frame]
        # Only a table of an earlier evaluation has all of them, or all that 0.2 wrote.
        if not taken or set(taken) >= set(COLUMNS) - NEWER:
            return frame
        ours = [f"{name}{SUFFIX}" for name in taken]
        if replaced := [name for name in ours if name in frame]:
            raise DataError(f"{self.source}: column {replaced[0]!r} would be replaced; rename it")
        if not self._told:
            self._told = True
            warnings.warn(
                f"{self.source} has columns {', '.join(taken)} of its own: matgen's are {', '.join(ours)}",
                MatgenWarning,
                stacklevel=4,
            )
        return frame.rename(columns={name: f"{_THEIRS}{name}" for name in taken})


def judged_as_ours(frame: pd.DataFrame) -> pd.DataFrame:
    """A judged table as it was written, with the columns of `labels.COLUMNS` under these names.

    Columns of the user's that have such names get others. A table that was not judged stays as it is.
    """
    apart = [name for name in COLUMNS if f"{name}{SUFFIX}" in frame and name in frame]
    if not apart or any(name not in frame for name in COLUMNS if name not in apart):
        return frame
    names = {name: f"{_THEIRS}{name}" for name in apart}
    return frame.rename(columns=names | {f"{name}{SUFFIX}": name for name in apart})


def judged_as_written(frame: pd.DataFrame) -> pd.DataFrame:
    """A judged table with the user's columns under their own names, and ours with `SUFFIX` where they have these."""
    apart = [name for name in COLUMNS if f"{_THEIRS}{name}" in frame]
    names = {name: f"{name}{SUFFIX}" for name in apart}
    return frame.rename(columns=names | {f"{_THEIRS}{name}": name for name in apart})


def name_of_theirs(name: str) -> str:
    """What the user calls a column of the input."""
    return name.removeprefix(_THEIRS)


def without_ours(frame: pd.DataFrame) -> pd.DataFrame:
    """The input's columns alone, rows numbered from 0: a table that was evaluated before is judged anew."""
    return frame.drop(columns=[name for name in COLUMNS if name in frame]).reset_index(drop=True)


class TableWriter:
    """A Parquet file that grows by one row group a chunk.

    Args:
        path: where to write.
        schema: the input's columns, from `ColumnTypes`; those of `labels.COLUMNS` follow them.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._writer: pq.ParquetWriter | None = None

    def add(self, frame: pd.DataFrame) -> None:
        """Write the next rows, with all of `labels.COLUMNS`."""
        ours = frame[list(COLUMNS)]
        theirs = frame.drop(columns=list(COLUMNS))
        theirs.columns = pd.Index([str(name) for name in theirs.columns])
        stored = pd.concat(
            [pd.DataFrame({one.name: stored_column(theirs, one) for one in self._schema}, index=frame.index), ours],
            axis=1,
        )
        types = ColumnTypes()
        types.add(ours.iloc[:0])
        schema = pa.schema([*self._schema, *(types.schema().field(name) for name in COLUMNS)])
        stored = judged_as_written(stored)
        schema = pa.schema([pa.field(name, kind) for name, kind in zip(stored.columns, schema.types, strict=True)])
        table = pa.Table.from_pandas(stored, schema=schema, preserve_index=False, safe=False)
        if self._writer is None:
            # What pandas notes of types, so that it reads `duplicate_of` as integers again.
            notes = pa.Table.from_pandas(plain(stored.iloc[:0]), schema=schema, preserve_index=False)
            schema = schema.with_metadata(notes.schema.metadata)
            self._writer = pq.ParquetWriter(self._path, schema, compression="zstd", **CHECKED_WRITING)
        self._writer.write_table(table.replace_schema_metadata(self._writer.schema.metadata))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
