"""A dataset from what other databases export: a folder of CIFs, or a table with a formula column (ICSD, COD, others).

Each composition once. What is left out is counted, by reason, and told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import BadFormula, CompositionBatch, parse_formulas
from matgen.datasets.cif_files import CifEntry, cif_paths, entries_of_cif
from matgen.datasets.experimental import MOST_ATOMS, has_carbon_and_hydrogen
from matgen.datasets.tables import iterate_formula_table
from matgen.errors import DataError
from matgen.io.outputs import claim, write_with_metadata
from matgen.io.own_columns import SUFFIX
from matgen.runtime.progress import ProgressFactory, silent
from matgen.runtime.unreadable import report_unreadable

_ENTRIES_AT_ONCE = 10_000
_DECIMAL = re.compile(r"\d*\.\d+")

UNREADABLE = "could not be read"
PARTIAL = "have decimal amounts, as of partially occupied sites"
LARGE = f"have decimal amounts that only more than {MOST_ATOMS} atoms make whole"
ORGANIC = "hold carbon and hydrogen, most of which are organic"


@dataclass(frozen=True)
class _Chunk:
    """Some entries.

    Attributes:
        frame: `n` rows.
        column: of their formulas.
        labels: what to call each row.
        reasons: row to why it has no formula.
        full: bool `(n,)`, whether all sites of an entry are known to be fully occupied.
    """

    frame: pd.DataFrame
    column: str
    labels: list[str]
    reasons: dict[int, str]
    full: np.ndarray


@dataclass
class Export:
    """What became of an export.

    Attributes:
        source: its folder or file.
        frame: the compositions, in the order in which they occur first: `formula`, the other columns of that row, and
            `n_entries`, how many entries have the composition.
        entries: how many entries were read, with those left out.
        left_out: reason to how many entries and the first of them.
    """

    source: str
    frame: pd.DataFrame
    entries: int = 0
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Entries behind the compositions."""
        return self.entries - sum(n for n, _ in self.left_out.values())

    def lines(self) -> list[str]:
        """As the command line prints it."""
        reasons = [f"  {n:,} {reason}; the first: {first}" for reason, (n, first) in self.left_out.items()]
        return [
            f"{self.source}: {self.entries:,} entries, {len(self.frame):,} distinct compositions of {self.kept:,}",
            *(["left out:", *reasons] if reasons else []),
        ]

    def summary(self) -> dict[str, Any]:
        """The same for `<out>.json`."""
        return {
            "column": "formula",
            "source": Path(self.source).name,
            "entries": self.entries,
            "entries_kept": self.kept,
            "compositions": len(self.frame),
            "left_out": {reason: n for reason, (n, _) in self.left_out.items()},
        }


def export_dataset(
    source: Path,
    out: Path,
    *,
    cifs: bool,
    column: str | None = None,
    keep_partial: bool = False,
    keep_organic: bool = False,
    force: bool = False,
    progress: ProgressFactory = silent,
) -> Export:
    """Write the distinct compositions of an export as a table that every verb takes as a dataset or a reference.

    Args:
        source: folder of CIFs, also in subfolders, or a table as `read_formula_table` reads it.
        out: CSV or Parquet file; `<out>.json` beside it says what was left out.
        cifs: whether `source` is a folder of CIFs.
        column: formula column of a table, by default found by its name.
        keep_partial: keep compositions with decimal amounts, multiplied to whole numbers, where these are at most
            `MOST_ATOMS` atoms. By default, they are left out: such a formula is the average of a disordered crystal.
            Those of CIFs whose sites are all full (as of hemihydrates) are kept either way.
        keep_organic: keep compounds of both carbon and hydrogen.
        force: replace an earlier file.
        progress: counts CIFs.

    Raises:
        DataError: no such folder or file, none of the entries is kept, or more than a fifth cannot be read (see
            `matgen.runtime.unreadable`).
        OptionError, OutputError: `out` is no name of a table, exists, or cannot be written.
    """
    claim(out, force=force)
    chunks = _cif_chunks(source, progress) if cifs else _table_chunks(source, column)
    export = _collect(chunks, str(source), keep_partial=keep_partial, keep_organic=keep_organic)
    n, first = export.left_out.get(UNREADABLE, (0, ""))
    report_unreadable(str(source), n, export.entries, first)
    if not len(export.frame):
        raise DataError(f"nothing of {source} is kept: {'; '.join(line.strip() for line in export.lines()[2:])}")
    write_with_metadata(out, export.frame, export.summary())
    return export


def _table_chunks(path: Path, column: str | None) -> Iterator[_Chunk]:
    for frame, name in iterate_formula_table(path, column):
        numbers = frame.index + 1  # over all chunks
        yield _Chunk(frame, name, [f"row {number}" for number in numbers], {}, np.zeros(len(frame), bool))


def _cif_chunks(folder: Path, progress: ProgressFactory) -> Iterator[_Chunk]:
    paths = cif_paths(folder)
    waiting: list[CifEntry] = []
    with progress(len(paths), "read", "CIFs") as count:
        for path in paths:
            waiting += entries_of_cif(path, str(path.relative_to(folder)))
            count.update(1)
            if len(waiting) >= _ENTRIES_AT_ONCE:
                yield _chunk_of(waiting)
                waiting = []
    if waiting:
        yield _chunk_of(waiting)


def _chunk_of(entries: list[CifEntry]) -> _Chunk:
    frame = pd.DataFrame({"formula": [one.formula for one in entries], "source": [one.source for one in entries]})
    reasons = {row: one.reason for row, one in enumerate(entries) if one.reason}
    full = np.array([one.partial is False for one in entries])
    return _Chunk(frame, "formula", frame["source"].tolist(), reasons, full)


def _collect(chunks: Iterable[_Chunk], source: str, *, keep_partial: bool, keep_organic: bool) -> Export:
    export = Export(source, pd.DataFrame({"formula": []}))
    frames: list[pd.DataFrame] = []
    times: dict[bytes, int] = {}
    for chunk in chunks:
        export.entries += len(chunk.frame)
        batch, rows = _kept(export, chunk, keep_partial=keep_partial, keep_organic=keep_organic)
        new = []
        for place, key in enumerate(batch.keys()):
            name = key.tobytes()
            if name not in times:
                new.append(place)
            times[name] = times.get(name, 0) + 1
        found = np.array(new, dtype=np.int64)
        frames.append(_with_formula(chunk.frame.iloc[rows[found]].reset_index(drop=True), batch[found].formulas()))
    if frames:
        joined = pd.concat(frames, ignore_index=True)
        name = "n_entries" if "n_entries" not in joined.columns else f"n_entries{SUFFIX}"
        export.frame = joined.assign(**{name: np.array(list(times.values()), dtype=np.int64)})
    return export


def _kept(
    export: Export, chunk: _Chunk, *, keep_partial: bool, keep_organic: bool
) -> tuple[CompositionBatch, np.ndarray]:
    """The compositions of a chunk that are kept, with their rows; the others are counted."""
    written = chunk.frame[chunk.column].to_numpy(object)
    parsed = parse_formulas(written)
    batch, rows = parsed.batch, parsed.rows
    for bad in parsed.bad:
        _count(export, UNREADABLE, 1, f"{chunk.labels[bad.row]}: {chunk.reasons.get(bad.row) or _told(bad)}")
    decimal = np.array([_has_decimals(written[row]) for row in rows], dtype=bool)
    averaged = decimal & ~chunk.full[rows] & (not keep_partial)
    reasons = {
        ORGANIC: has_carbon_and_hydrogen(batch) & (not keep_organic),
        PARTIAL: averaged,
        LARGE: decimal & ~averaged & (batch.n_atoms > MOST_ATOMS),
    }
    left_out = np.zeros(len(batch), dtype=bool)
    for reason, mask in reasons.items():
        places = np.flatnonzero(mask & ~left_out)
        if len(places):
            first = int(rows[places[0]])
            _count(export, reason, len(places), f"{chunk.labels[first]}: {written[first]!r}")
        left_out |= mask
    return batch[~left_out], rows[~left_out]


def _told(bad: BadFormula) -> str:
    return f"{bad.formula!r}: {bad.reason}"


def _with_formula(frame: pd.DataFrame, formulas: np.ndarray) -> pd.DataFrame:
    """The rows with `formula` before the source's own columns, of which one of that name gets another one."""
    other = "formula_original"
    while other in frame.columns:
        other += SUFFIX
    frame = frame.rename(columns={"formula": other})
    frame.insert(0, "formula", formulas)
    return frame


def _count(export: Export, reason: str, n: int, first: str) -> None:
    before, example = export.left_out.get(reason, (0, first))
    export.left_out[reason] = (before + n, example)


def _has_decimals(text: Any) -> bool:
    """Whether an amount in a formula is no whole number."""
    return any(not float(number).is_integer() for number in _DECIMAL.findall(str(text)))
