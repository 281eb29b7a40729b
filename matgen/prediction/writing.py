"""Predictions for a file of any length, in constant memory: read, predicted and written in parts.

Every part becomes a file in `<out>.parts/`, predicted by whichever thread or machine; they are then joined in order. So
the result is the same, byte by byte, however many rows a part has and however often a run was resumed.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from matgen.composition.batch import NOTE
from matgen.datasets.formats import is_parquet
from matgen.datasets.labels import phases_of_table
from matgen.datasets.opening import is_standard_input, standard_input
from matgen.datasets.tables import iterate_formula_table, shards_of
from matgen.errors import DataError, MatgenError, OptionError
from matgen.hull import CompetingPhases
from matgen.io.chunks import ColumnTypes, as_table, join_chunks
from matgen.io.files import atomic_write, file_sha256, locked, write_json
from matgen.io.outputs import claim
from matgen.io.own_columns import columns_of_metadata, note_own_columns, put_own_columns, report_renamed
from matgen.io.parquet import CHECKED_READING, CHECKED_WRITING
from matgen.io.parts import PartsFolder
from matgen.prediction.locate import METADATA
from matgen.prediction.predicting import (
    ROWS_AT_ONCE,
    PredictedPart,
    competing,
    counted,
    none_readable,
    predict_part,
    said_of,
)
from matgen.prediction.predictor import Predictor
from matgen.runtime.cores import available_cores
from matgen.runtime.progress import ProgressFactory, silent
from matgen.runtime.unreadable import report_remarks
from matgen.runtime.workers import stream_tasks

_NOTES = b"matgen.part"
_IN_THREADS = ("network",)
"""Kinds of predictors whose parts go side by side; the libraries of the others fill the cores themselves."""


@dataclass(frozen=True)
class PredictedFile:
    """What was written.

    Attributes:
        summary: as `Predicted.summary`.
        n_bad: rows that could not be read.
        first_bad: the first of them, with its reason; "" where there is none.
    """

    summary: dict[str, Any]
    n_bad: int
    first_bad: str

    @property
    def unreadable(self) -> str:
        """How many rows could not be read and the first of them, as the end of a sentence; "" where all could."""
        return f"; {self.n_bad:,} rows could not be read, first: {self.first_bad}" if self.n_bad else ""


@locked("out")
def predict_file(
    predictor: Predictor,
    candidates: Path | str,
    out: Path | str,
    *,
    column: str | None = None,
    entries: str | None = None,
    hull: bool = True,
    resume: bool = False,
    force: bool = False,
    scheduler: str | None = None,
    rows_per_part: int = ROWS_AT_ONCE,
    progress: ProgressFactory = silent,
) -> PredictedFile:
    """Predict for a file into a CSV or Parquet file with all its columns; the summary goes to `<out>.json`.

    Args:
        predictor: what predicts.
        candidates: file or folder, as `iterate_formula_table` reads them.
        out: the file to write; while it is made, its parts are in `<out>.parts/`.
        column: of formulas, by default found by its name.
        entries: competing phases instead of the bundled labels, as `open_phases` reads them.
        hull: whether distances to the hull are wanted, of predicted formation energies.
        resume: go on with the parts of an interrupted run of the same request.
        force: replace an earlier file.
        scheduler: address of a running Dask scheduler whose workers predict, instead of this machine's cores. They need
            the folder of the predictor, and `entries`, under the same paths.
        rows_per_part: so many rows at once.
        progress: counts the rows.

    Raises:
        DataError: the input cannot be read, or none of its formulas can; the scheduler does not answer.
        OptionError: `out` ends otherwise than in `.csv` or `.parquet`, or the phases are of another source.
        OutputError: `out` exists and `force` is off, cannot be written, or `resume` meets parts of another request.
    """
    out = Path(out)
    claim(out, force=force)
    run = _Run(predictor, Path(candidates), PartsFolder(Path(f"{out}.parts")), column, entries, hull, rows_per_part)
    run.start(resume=resume, force=force)
    try:
        run.predict(scheduler, progress)
    except MatgenError:
        run.parts.remove_if_empty()
        raise
    result = run.join(out)
    run.parts.remove()
    return result


def open_phases(entries: str) -> CompetingPhases:
    """Competing phases of a user: pymatgen `ComputedEntry` as JSON, or a table with a column `formation_energy`.

    Raises:
        DataError: they cannot be read; see `CompetingPhases.from_entries` and `phases_of_table`.
    """
    return (CompetingPhases.from_entries if entries.endswith(".json") else phases_of_table)(entries)


@dataclass(frozen=True)
class _Task:
    """A part to predict: its number, its first row, and the columns that are needed of it."""

    number: int
    start: int
    frame: pd.DataFrame
    column: str


def _predict_here(predictor: Predictor, phases: CompetingPhases | None, task: _Task) -> PredictedPart:
    return predict_part(predictor, phases, task.frame, task.column, task.start)


@dataclass(frozen=True)
class _Setup:
    """What a worker opens; with checksums, since a worker outlives a run."""

    predictor: str
    predictor_sha256: str
    entries: str | None
    entries_sha256: str | None
    hull: bool


@lru_cache(maxsize=4)
def _opened(setup: _Setup) -> tuple[Predictor, CompetingPhases | None]:
    predictor = Predictor.load(setup.predictor)
    phases = open_phases(setup.entries) if setup.entries and setup.hull else None
    return predictor, competing(predictor, phases, setup.hull)


def _predict_elsewhere(setup: _Setup, task: _Task) -> PredictedPart:
    """`_predict_here` on a worker of a scheduler."""
    return _predict_here(*_opened(setup), task)


class _Run:
    """One file while it is predicted."""

    def __init__(
        self,
        predictor: Predictor,
        candidates: Path,
        parts: PartsFolder,
        column: str | None,
        entries: str | None,
        hull: bool,
        rows_per_part: int,
    ) -> None:
        self.predictor, self.candidates, self.parts = predictor, candidates, parts
        self.column, self.entries, self.hull, self.rows_per_part = column, entries, hull, rows_per_part
        self._numbers = 0
        self._frames: dict[int, pd.DataFrame] = {}

    def start(self, *, resume: bool, force: bool) -> None:
        """Read as much as says that there is something to do, and claim the folder of the parts."""
        _, self.column = next(
            iterate_formula_table(self.candidates, self.column, rows_per_chunk=1_000, formula_only=True)
        )
        own = None if self.entries is None or not self.hull else open_phases(self.entries)
        self.phases = competing(self.predictor, own, self.hull)
        self.parts.open(self._plan(), resume=resume, force=force)

    def _plan(self) -> dict[str, Any]:
        """What must be equal for a run to be continued."""
        return {
            "candidates_sha256": _sha256(self.candidates),
            "column": self.column,
            "rows_per_part": self.rows_per_part,
            "predictor_sha256": self._predictor_sha256(),
            "entries": self.entries,
            "entries_sha256": self._entries_sha256(),
            "hull": self.hull,
        }

    def _predictor_sha256(self) -> str | None:
        folder = self.predictor.folder
        return None if folder is None else file_sha256(folder / METADATA)

    def _entries_sha256(self) -> str | None:
        return _sha256(Path(self.entries)) if self.entries and Path(self.entries).exists() else None

    def predict(self, scheduler: str | None, progress: ProgressFactory) -> None:
        """Predict the parts that are missing."""
        work: Callable[[_Task], PredictedPart]
        if scheduler is None:
            work = partial(_predict_here, self.predictor, self.phases)
        else:
            if self.predictor.folder is None:
                raise OptionError("workers of a scheduler open a predictor by its folder: save it first")
            folder, sha256 = str(self.predictor.folder.resolve()), self._predictor_sha256() or ""
            entries = self.entries
            if entries and Path(entries).exists():
                entries = str(Path(entries).resolve())
            work = partial(_predict_elsewhere, _Setup(folder, sha256, entries, self._entries_sha256(), self.hull))
        kind = self.predictor.metadata["kind"]
        threads = available_cores() if kind in _IN_THREADS else 1
        # Threads that ignore warnings for a while leave one another's filters behind: those of now are restored.
        with warnings.catch_warnings(), progress(_n_rows(self.candidates), "predict", "formulas") as count:
            tasks = self._missing(count.update)
            for task, part in stream_tasks(work, tasks, threads=threads, scheduler=scheduler, torch=kind != "trees"):
                frame = self._frames.pop(task.number)
                self._write(task.number, frame, part)
                count.update(len(frame))

    def _missing(self, skip: Callable[[int], None]) -> Iterator[_Task]:
        """The parts that were not written; those that were are counted by `skip`."""
        chunks = iterate_formula_table(self.candidates, self.column, rows_per_chunk=self.rows_per_part)
        try:
            for number, (frame, column) in enumerate(chunks):
                self._numbers = number + 1
                if self.parts.holds(number):
                    skip(len(frame))
                    continue
                if not frame.columns.is_unique:
                    twice = frame.columns[frame.columns.duplicated()][0]
                    raise DataError(f"{self.candidates}: two columns are called {twice!r}")
                self._frames[number] = frame
                needed = frame if self.predictor.metadata.get("features") else frame[[column]]
                yield _Task(number, int(frame.index[0]), needed, column)
        except MatgenError:  # of the input: nothing can go on from here
            self.parts.remove()
            raise

    def _write(self, number: int, frame: pd.DataFrame, part: PredictedPart) -> None:
        """Write a part: the input's columns, behind them those predicted, and what is to be known of it."""
        theirs = frame.copy(deep=False)
        if self.candidates.is_file():
            note_own_columns(theirs, self.candidates)
        columns = part.columns
        if NOTE in theirs and NOTE not in columns:  # of an earlier run: made anew in every part
            columns = columns.assign(**{NOTE: None})
        ours = columns.reindex(theirs.index)
        joined, renamed = put_own_columns(theirs, ours)
        kinds = {renamed.get(str(name), str(name)): values.dtype for name, values in columns.items()}
        notes = {
            **counted(part.columns),
            "bad": len(part.bad),
            "first_bad": str(part.bad[0]) if part.bad else "",
            "remarks": len(part.remarks),
            "first_remark": str(part.remarks[0]) if part.remarks else "",
            "columns": columns_of_metadata(joined)["columns"],
            "renamed": renamed,
        }
        table = _arrow(joined, kinds).replace_schema_metadata({_NOTES: json.dumps(notes)})
        with atomic_write(self.parts.path(number)) as temporary:
            pq.write_table(table, temporary, compression="zstd", **CHECKED_WRITING)

    def join(self, out: Path) -> PredictedFile:
        """Join all parts into the file, and write what is to be known of it.

        Raises:
            DataError: no formula could be read.
        """
        paths = [self.parts.path(number) for number in range(self._numbers)]
        renamed = {old: new for path in paths for old, new in _notes(path)["renamed"].items()}
        types, totals, columns, first = ColumnTypes(), Counter[str](), dict[str, None](), {"bad": "", "remark": ""}
        for path in paths:
            _rename(path, renamed)
            types.add_schema(pq.read_schema(path).remove_metadata())
            notes = _notes(path)
            totals.update({name: value for name, value in notes.items() if isinstance(value, int)})
            columns.update(dict.fromkeys(notes["columns"]))
            first = {name: text or notes[f"first_{name}"] for name, text in first.items()}
        n_bad, n_remarks = totals.pop("bad"), totals.pop("remarks")
        if not totals["formulas"]:
            self.parts.remove()
            raise none_readable(n_bad, first["bad"], f"{self.candidates}: ")
        report_remarks(n_remarks, first["remark"], str(self.candidates))
        report_renamed(renamed)
        with atomic_write(out) as temporary:
            join_chunks(paths, types.schema(), temporary, parquet=out.suffix == ".parquet")
        summary = said_of(self.predictor, self.phases) | dict(totals)
        write_json(Path(f"{out}.json"), {"column": self.column, "columns": list(columns), **summary})
        return PredictedFile(summary, n_bad, first["bad"])


def _arrow(frame: pd.DataFrame, ours: Mapping[str, Any]) -> pa.Table:
    """A part as Arrow: columns of matgen's of their types, gaps or not, the input's as `ColumnTypes` has them."""
    types = ColumnTypes()
    types.add(frame)
    fields = []
    for field in types.schema_so_far():
        kind = ours.get(field.name)
        if kind is not None:
            field = field.with_type({"f": pa.float64(), "b": pa.bool_(), "i": pa.int64()}.get(kind.kind, pa.string()))
        fields.append(field)
    return as_table(frame, pa.schema(fields))


def _notes(path: Path) -> dict[str, Any]:
    """What is to be known of a part."""
    notes: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_NOTES])
    return notes


def _rename(path: Path, renamed: Mapping[str, str]) -> None:
    """Give matgen's columns the names that they have in other parts, of a folder whose tables have other columns."""
    notes = _notes(path)
    missing = {old: new for old, new in renamed.items() if old not in notes["renamed"]}
    if not missing:
        return
    table = pq.read_table(path, **CHECKED_READING)
    columns = [missing.get(name, name) for name in notes["columns"]]
    notes |= {"renamed": dict(renamed), "columns": columns}
    table = table.rename_columns([missing.get(name, name) for name in table.schema.names])
    with atomic_write(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({_NOTES: json.dumps(notes)}), temporary, compression="zstd", **CHECKED_WRITING
        )


def _n_rows(path: Path) -> int | None:
    """Rows of Parquet, which says how many it has; None of other files."""
    path = standard_input() if is_standard_input(path) else path
    shards = shards_of(path) if path.is_dir() else [path]
    if not all(is_parquet(shard) for shard in shards):
        return None
    return sum(pq.read_metadata(shard).num_rows for shard in shards)


def _sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of the tables in a folder."""
    if not path.is_dir():
        return file_sha256(standard_input() if is_standard_input(path) else path)
    names = "\n".join(f"{shard.name} {file_sha256(shard)}" for shard in shards_of(path))
    return hashlib.sha256(names.encode()).hexdigest()
