"""Tables and references of any length, in constant memory: chunk by chunk, from the files that `tables` reads whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import pandas as pd

from matgen.composition.batch import BadFormula, CompositionBatch, parse_formulas, sort_keys
from matgen.datasets.load import Dataset, find_row, load_dataset
from matgen.datasets.splits import SPLITS, part_codes
from matgen.datasets.tables import (
    CSV_SUFFIXES,
    JSON_LINES_SUFFIXES,
    PARQUET_SUFFIXES,
    CsvFile,
    find_formula_column,
    json_or_text,
    kind_of,
    no_rows,
    one_name,
    open_text,
    read_formula_table,
    reading,
    shards_of,
)
from matgen.errors import DataError, OptionError, unknown_name
from matgen.io.parquet import CHECKED_READING, check_names

SAMPLE_SIZE = 500_000
"""Compositions in the sample of a reference."""

_LOADED_WHOLE = 1_000_000
"""Rows of Parquet up to which a reference is loaded at once."""

_LOADED_WHOLE_BYTES = 16 * 2**20
"""The same for other files, whose rows are not known before they are read."""

_T = TypeVar("_T")


def iterate_formula_table(
    path: Path | str, column: str | None = None, *, rows_per_chunk: int = 250_000, formula_only: bool = False
) -> Iterator[tuple[pd.DataFrame, str]]:
    """Read a table chunk by chunk: the rows of `read_formula_table`, in the same order, with the same errors.

    Errors come when they are met, so some chunks may come before. Values are the same, types nearly: columns from
    Parquet stay Arrow columns (`pandas.ArrowDtype`: no Python text is made of formulas, and all chunks agree on their
    types), and a column of CSV or JSON lines has in each chunk the type that it has in the whole; CSV and JSON lines of
    more than a chunk are therefore read twice. JSON that is not JSON lines is read whole. In a folder, each chunk has
    the columns of its own file.

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
    path, start = Path(path), 0
    names: list[str] = []
    for shard in shards_of(path) if path.is_dir() else [path]:
        with reading(shard):
            begin = start
            for frame, name in _chunks(shard, column, rows_per_chunk, formula_only):
                if not len(frame):
                    continue
                names = [*names[:1], name]
                one_name(path, names)
                frame.index = pd.RangeIndex(start, start + len(frame))
                start += len(frame)
                yield frame, name
            if start == begin:
                raise no_rows(shard)


def open_reference(name_or_path: str | Path, split: str = "split") -> Reference:
    """Open a set of known compositions: a dataset's name, or a file or folder of formulas of any size.

    Names and tables of less than a million rows are loaded at once, larger files and folders chunk by chunk each time
    they are gone through. Formulas that cannot be read are left out.

    Args:
        name_or_path: what to open.
        split: a name of `splits.SPLITS`; it says which part each composition is in.

    Raises:
        OptionError: an unknown name or split, or an empty name.
        DataError: a missing, damaged or empty table, no formula column, or no formula that can be read. Of a large
            table, some of this is found only while going through it.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if not str(name_or_path).strip():
        raise OptionError("a reference without a name: name a dataset, a file or a folder")
    named = find_row(name_or_path) is not None or str(name_or_path).startswith("matminer:")
    if named or not _is_large(Path(name_or_path)):
        return Reference._of_dataset(load_dataset(name_or_path), split)
    path = Path(name_or_path)
    next(iterate_formula_table(path, rows_per_chunk=1000, formula_only=True))
    return Reference(str(name_or_path), lambda: _read_batches(path), split)


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
        split: which split its parts are of.
    """

    def __init__(self, name: str, read: Callable[[], Iterator[CompositionBatch]], split: str = "split") -> None:
        """Wrap a function that begins to read the compositions, repeated or not."""
        self.name, self.split = name, split
        self._read = read
        self._sample: CompositionBatch | None = None

    @classmethod
    def _of_dataset(cls, dataset: Dataset, split: str) -> Reference:
        return cls(dataset.name, lambda: iter([dataset.batch]), split)

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
        for batch in ahead(self._read()):
            keys = batch.keys()
            if chosen is not None:
                chosen.add(batch, keys)
            yield batch, part_codes(keys if self.split == "split" else batch.chemical_system_keys())
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


def _read_batches(path: Path) -> Iterator[CompositionBatch]:
    """The compositions of a large table, parsed chunk by chunk."""
    read, n_bad, example = 0, 0, None
    for frame, name in ahead(iterate_formula_table(path, formula_only=True)):
        parsed = parse_formulas(frame[name])
        if parsed.bad and example is None:
            one = parsed.bad[0]
            example = BadFormula(int(frame.index[one.row]), one.formula, one.reason)
        read, n_bad = read + len(parsed.batch), n_bad + len(parsed.bad)
        if len(parsed.batch):
            yield parsed.batch
    if not read:
        raise DataError(f"none of the {n_bad:,} formulas in {path} can be read; {example}")


def _is_large(path: Path) -> bool:
    """True where a table should not be loaded at once. A table that is not there or damaged is left to the loader."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        files = shards_of(path) if path.is_dir() else [path]
        tables = [file for file in files if kind_of(file) in PARQUET_SUFFIXES]
        rows = sum(pq.read_metadata(file).num_rows for file in tables)
        size = sum(file.stat().st_size for file in files if file not in set(tables))
    except (OSError, DataError, pa.ArrowException):
        return False
    return rows >= _LOADED_WHOLE or size >= _LOADED_WHOLE_BYTES


def _chunks(
    path: Path, column: str | None, rows_per_chunk: int, formula_only: bool
) -> Iterator[tuple[pd.DataFrame, str]]:
    kind = kind_of(path)
    if kind in PARQUET_SUFFIXES:
        yield from _parquet_chunks(path, column, rows_per_chunk, formula_only)
    elif kind in CSV_SUFFIXES:
        yield from _csv_chunks(path, column, rows_per_chunk, formula_only)
    elif kind in JSON_LINES_SUFFIXES:
        yield from _json_lines_chunks(path, column, rows_per_chunk, formula_only)
    elif kind == ".json":
        frame, name = read_formula_table(path, column)
        for start in range(0, len(frame), rows_per_chunk):
            chunk = frame.iloc[start : start + rows_per_chunk]
            yield chunk[[name]] if formula_only else chunk.copy(), name
    else:
        name = find_formula_column(["formula"], column, path)
        for lines in _blocks(_text_lines(path), rows_per_chunk):
            yield pd.DataFrame({name: lines}, dtype=object), name


def _parquet_chunks(
    path: Path, column: str | None, rows_per_chunk: int, formula_only: bool
) -> Iterator[tuple[pd.DataFrame, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_names(path)
    # A buffer, so that a row group of any size is read piece by piece; without it a column is read whole first.
    with pq.ParquetFile(path, buffer_size=2**20, **CHECKED_READING) as file:
        schema = file.schema_arrow
        # As pandas sees it: columns that were a frame's index are not among them.
        name = find_formula_column(schema.empty_table().to_pandas().columns, column, path)
        columns = [name] if formula_only else None
        for batch in file.iter_batches(batch_size=rows_per_chunk, columns=columns, use_threads=not formula_only):
            table = pa.Table.from_batches([batch])
            yield table.to_pandas(types_mapper=pd.ArrowDtype), name


def _csv_chunks(
    path: Path, column: str | None, rows_per_chunk: int, formula_only: bool
) -> Iterator[tuple[pd.DataFrame, str]]:
    file = CsvFile(path, column)
    done = 0
    try:
        for frame in _csv_pieces(file, None, rows_per_chunk, formula_only):
            yield frame, file.name
            done += len(frame)
        return
    except pd.errors.ParserError:
        pass
    with file.mended() as mended:
        begin = 0
        for frame in _csv_pieces(file, mended, rows_per_chunk, formula_only):
            if begin + len(frame) > done:
                yield frame.iloc[max(0, done - begin) :].copy(), file.name
            begin += len(frame)


def _csv_pieces(
    file: CsvFile, mended: IO[str] | None, rows_per_chunk: int, formula_only: bool
) -> Iterator[pd.DataFrame]:
    """The chunks of a CSV file, or of its mended copy, with the types of the whole."""
    if formula_only:
        for frame in file.chunks(rows_per_chunk, dict.fromkeys(file.columns, str), mended):
            yield frame[[file.name]]
        return
    kinds = _Kinds()
    for frame in file.chunks(rows_per_chunk, None, mended):
        kinds.add(frame)
    if kinds.n_chunks == 1:
        yield frame
    if kinds.n_chunks < 2:
        return
    kind = {name: kinds.of(name) for name in file.columns if name != file.name}
    texts = {name: str for name in kind if kind[name] == "text"}
    rest = {name: kind[name] for name in kind if kind[name] not in ("text", "missing")}
    for frame in file.chunks(rows_per_chunk, texts, mended):
        yield frame.astype(rest)


def _json_lines_chunks(
    path: Path, column: str | None, rows_per_chunk: int, formula_only: bool
) -> Iterator[tuple[pd.DataFrame, str]]:
    def entries() -> Iterator[Any]:
        with open_text(path, "\n") as lines:
            for line in lines:
                if line.strip():
                    yield json_or_text(line.removesuffix("\n"))

    names = list(dict.fromkeys(key for entry in entries() if isinstance(entry, dict) for key in entry))
    name = find_formula_column(names, column, path)
    if formula_only:
        names = [name]

    def records() -> Iterator[list[Any]]:
        return _blocks((e if isinstance(e, dict) else {name: str(e)} for e in entries()), rows_per_chunk)

    kinds = _Kinds()
    for block in records():
        kinds.add(pd.DataFrame.from_records(block, columns=names))
    numbers = {one: kinds.of(one) for one in names if kinds.of(one) not in ("text", "object", "missing")}
    for block in records():
        values = {one: [entry.get(one, np.nan) for entry in block] for one in names}
        frame = pd.DataFrame(values, columns=names, dtype=object)
        yield frame.astype(numbers), name


class _Kinds:
    """What types columns have in the chunks of a table, and so in the whole."""

    def __init__(self) -> None:
        self.n_chunks = 0
        self._met: dict[str, set[str]] = {}

    def add(self, frame: pd.DataFrame) -> None:
        self.n_chunks += 1
        for name, values in frame.items():
            met = self._met.setdefault(str(name), set())
            kind = values.dtype.kind
            if values.isna().all():
                met.add("missing")
            elif kind == "O":
                met.update(("bool", "missing") if pd.api.types.infer_dtype(values, skipna=True) == "boolean" else "O")
            else:
                met.add("bool" if kind == "b" else kind)

    def of(self, name: str) -> str:
        """A numpy type; `object` where no type holds what all chunks have; `text`; or `missing` throughout."""
        met = self._met[name]
        if len(met) == 1:
            return {"i": "int64", "u": "uint64", "f": "float64", "bool": "bool", "O": "text", "missing": "missing"}[
                next(iter(met))
            ]
        if met <= {"i", "f", "missing"}:
            return "float64"
        return "object" if met <= {"bool", "missing"} or met <= {"i", "u"} else "text"


def _text_lines(path: Path) -> Iterator[str]:
    with open_text(path, "") as lines:
        for line in lines:
            yield from (piece.strip() for piece in line.splitlines() if piece.strip())


def _blocks(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    block: list[_T] = []
    for item in items:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
