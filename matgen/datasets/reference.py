"""Sets of known compositions of any length: loaded at once where they are small, otherwise read chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from matgen.composition.batch import BadFormula, CompositionBatch, parse_formulas, parse_some, sort_keys
from matgen.datasets.formats import is_parquet
from matgen.datasets.formula_guess import with_formula_column
from matgen.datasets.load import Dataset, find_row, load_dataset
from matgen.datasets.opening import table_name
from matgen.datasets.places import table_path
from matgen.datasets.splits import SPLITS, codes_of_parts, part_codes, split_keys
from matgen.datasets.tables import iterate_formula_table, shards_of
from matgen.errors import DataError, OptionError, unknown_name
from matgen.runtime.reference_column import reference_column
from matgen.runtime.unreadable import Unreadable, report_remarks, report_unreadable, unreadable_allowed

SAMPLE_SIZE = 500_000
"""Compositions in the sample of a reference."""

_LOADED_WHOLE = 1_000_000
"""Rows of Parquet up to which a reference is loaded at once."""

_LOADED_WHOLE_BYTES = 16 * 2**20
"""The same for other files, whose rows are not known before they are read."""

_T = TypeVar("_T")


def open_reference(name_or_path: str | Path, split: str = "split") -> Reference:
    """Open a set of known compositions: a dataset's name, or a file or folder of formulas of any size.

    Names and tables of less than a million rows are loaded at once, larger files and folders chunk by chunk each time
    they are gone through. Formulas that cannot be read are left out with a warning (`MatgenWarning`).

    Args:
        name_or_path: what to open.
        split: a name of `splits.SPLITS`; it says which part each composition is in.

    Raises:
        OptionError: an unknown name or split, or an empty name.
        DataError: a missing, damaged or empty table, no formula column, or more than a fifth of the formulas cannot be
            read (see `matgen.runtime.unreadable`). Of a large table, some of this is found only while going through it.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if not str(name_or_path).strip():
        raise OptionError("a reference without a name: name a dataset, a file or a folder")
    row = find_row(name_or_path)
    path, column = Path(name_or_path), reference_column()
    if row is not None and not (row.published_filter or row.requires or row.where):
        path, column = table_path(row), "formula"  # all of a file
    elif row is not None or str(name_or_path).startswith("matminer:"):
        return Reference.of_dataset(load_dataset(name_or_path, split=split))
    if not _is_large(path):
        return Reference.of_dataset(load_dataset(name_or_path, split=split))
    next(iterate_formula_table(path, column, rows_per_chunk=1000, formula_only=True))
    name = table_name(name_or_path) if row is None else row.name
    reference = Reference(name, lambda: _read_batches(path, column, split, reference, allowed))
    allowed = unreadable_allowed()
    return reference


def ahead(items: Iterator[_T]) -> Iterator[_T]:
    """The same items, each made in a thread while the one before it is worked on.

    Reading, parsing and hashing of large chunks hold no lock, so that `ahead(parsed(ahead(read)))` keeps three cores
    busy. One item more than without is in memory.
    """
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        try:
            while (item := coming.result()) is not end:
                coming = pool.submit(next, items, end)
                yield item
        finally:
            coming.cancel()


class Reference:
    """Known compositions, to be gone through in batches.

    Attributes:
        name: as it was asked for.
        unreadable: how many rows could not be read, None where all could; of a streamed one known once it was gone
            through.
        gone_through: whether all of a streamed one has been read once.
    """

    def __init__(self, name: str, read: Callable[[], Iterator[tuple[CompositionBatch, np.ndarray]]]) -> None:
        """Wrap a function that begins to read the compositions, repeated or not, with the codes of their parts."""
        self.name = name
        self.unreadable: Unreadable | None = None
        self.gone_through = False
        self._read = read
        self._sample: CompositionBatch | None = None

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Reference:
        """The compositions of a dataset in memory, under its own split."""
        reference = cls(dataset.name, lambda: iter([(dataset.batch, codes_of_parts(dataset.split))]))
        reference.unreadable = getattr(dataset, "unreadable", None)  # of anything like a dataset
        return reference

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, name: str = "the reference table", split: str = "split") -> Reference:
        """The formulas of a table in memory, whose column is found by its name.

        Raises:
            DataError: no formula column, no formula that can be read, or more than a fifth that cannot.
        """
        frame, column = with_formula_column(frame, None, name)
        parsed = parse_some(frame[column])
        reference = cls(name, lambda: iter([(parsed.batch, part_codes(split_keys(parsed.batch, split)))]))
        reference.unreadable = report_unreadable(
            name, len(parsed.bad), len(frame), parsed.bad[0] if parsed.bad else None
        )
        return reference

    def __repr__(self) -> str:
        return f"Reference({self.name!r})"

    def batches(self) -> Iterator[tuple[CompositionBatch, np.ndarray]]:
        """All compositions, in order, not necessarily distinct; may be gone through again.

        Yields:
            `n` compositions, and uint8 `(n,)`: 1 + the place in `splits.PARTS` of the part that each belongs to.

        Raises:
            DataError: as for `open_reference`.
        """
        chosen = _Sample(SAMPLE_SIZE) if self._sample is None else None
        for batch, part in ahead(self._read()):
            if chosen is not None:
                chosen.add(batch, batch.keys())
            yield batch, part
        if chosen is not None:
            self._sample = chosen.batch()

    @property
    def sample(self) -> CompositionBatch:
        """At most `SAMPLE_SIZE` distinct compositions, in the order of the reference; all where there are fewer.

        Which ones depends on the compositions alone: those with the smallest keys by lane 1 (lane 0 rules the split).
        It is known once `batches` has been gone through, and otherwise costs going through it.
        """
        if self._sample is None:
            for _ in self.batches():
                pass
        assert self._sample is not None
        return self._sample


class _Sample:
    """The compositions with the smallest keys met so far, and up to a quarter more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[CompositionBatch] = []
        self._keys: list[np.ndarray] = []  # lane 1, lane 0
        self._waiting = 0
        self._below: np.uint64 | None = None  # lane 1 of keys that may still come in, once there are enough

    def add(self, batch: CompositionBatch, keys: np.ndarray) -> None:
        if self._below is not None:
            kept = np.flatnonzero(keys[:, 1] <= self._below)
            batch, keys = batch[kept], keys[kept]
        self._parts.append(batch)
        self._keys.append(keys[:, ::-1])
        self._waiting += len(batch)
        if self._waiting > self._size + self._size // 4:
            self._choose()

    def _choose(self) -> None:
        """Keep the smallest of the distinct ones, each with its first row, in order of rows."""
        keys = np.concatenate(self._keys)
        order, new = sort_keys(keys)
        heads = np.minimum.reduceat(order, np.flatnonzero(new))[: self._size]
        if len(heads) == self._size:
            self._below = keys[heads[-1], 0]
        heads.sort()
        parts, start = [], 0
        for part in self._parts:
            low, high = np.searchsorted(heads, [start, start + len(part)])
            if high > low:
                parts.append(part[heads[low:high] - start])
            start += len(part)
        self._parts, self._keys, self._waiting = parts, [keys[heads]], len(heads)

    def batch(self) -> CompositionBatch:
        if self._waiting:
            self._choose()
        return CompositionBatch.concatenate(self._parts)


def _read_batches(
    path: Path, column: str | None, split: str, reference: Reference, allowed: bool
) -> Iterator[tuple[CompositionBatch, np.ndarray]]:
    """The compositions of a large table, parsed chunk by chunk, with the codes of their parts.

    The first time all have been gone through, `reference.unreadable` is set.
    """
    read, n_bad, example = 0, 0, None
    n_remarks, first_remark = 0, None
    for frame, name in ahead(iterate_formula_table(path, column, formula_only=True)):
        parsed = parse_formulas(frame[name])
        if parsed.bad and example is None:
            one = parsed.bad[0]
            example = BadFormula(int(frame.index[one.row]), one.formula, one.reason)
        n_remarks += len(parsed.remarks)
        if parsed.remarks and first_remark is None:
            first_remark = replace(parsed.remarks[0], row=int(frame.index[parsed.remarks[0].row]))
        read, n_bad = read + len(parsed.batch), n_bad + len(parsed.bad)
        if len(parsed.batch):
            yield parsed.batch, part_codes(split_keys(parsed.batch, split))
    if not read:
        raise DataError(f"none of the {n_bad:,} formulas in {reference.name} can be read; {example}")
    if not reference.gone_through:
        reference.gone_through = True
        report_remarks(n_remarks, first_remark, reference.name)
        reference.unreadable = report_unreadable(reference.name, n_bad, read + n_bad, example, allowed=allowed)


def _is_large(path: Path) -> bool:
    """True where a table should not be loaded at once. A table that is not there or damaged is left to the loader."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        files = shards_of(path) if path.is_dir() else [path]
        tables = [file for file in files if is_parquet(file)]
        rows = sum(pq.read_metadata(file).num_rows for file in tables)
        size = sum(file.stat().st_size for file in files if file not in set(tables))
    except (OSError, DataError, pa.ArrowException):
        return False
    return rows >= _LOADED_WHOLE or size >= _LOADED_WHOLE_BYTES
