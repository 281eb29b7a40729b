"""Loading a dataset by name or from a file: distinct compositions, the rows behind them, and a fixed split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import BadFormula, CompositionBatch, first_occurrence, parse_formulas
from matgen.composition.keys import KeySet
from matgen.datasets.catalog import (
    MAX_ATOMS,
    MAX_ELEMENTS,
    MIN_ELEMENTS,
    CatalogueRow,
    catalog_row,
)
from matgen.datasets.formats import TABLE_SUFFIXES
from matgen.datasets.formula_column import find_formula_column
from matgen.datasets.opening import is_standard_input, table_name
from matgen.datasets.places import table_path
from matgen.datasets.sources import matminer_dataset
from matgen.datasets.splits import PARTS, SPLITS, split_batch
from matgen.datasets.storage import checksum_ok, read_metadata, read_table
from matgen.datasets.tables import read_formula_table
from matgen.datasets.where import numeric_column, where_mask
from matgen.errors import DataError, MatgenError, OptionError, unknown_name
from matgen.runtime.reference_column import reference_column
from matgen.runtime.unreadable import Unreadable, report_remarks, report_unreadable


@dataclass(frozen=True)
class Dataset:
    """Distinct compositions and what is known of them.

    Attributes:
        name: as it was asked for.
        batch: the `n` distinct compositions.
        frame: the `n` rows behind them, index 0 to n - 1; of a composition that occurs again, its first row.
        formula_column: the column of `frame` that holds the formulas as the source writes them.
        split: `train`, `valid` or `test` of each, object `(n,)`.
        sha256: hash of the set of compositions, see `KeySet.sha256`.
        bad: rows of the source that could not be read, with reasons.
        unreadable: how many of how many these are; None where there is none.
        rows: of the source, readable or not, that meet the conditions.
    """

    name: str
    batch: CompositionBatch
    frame: pd.DataFrame
    formula_column: str
    split: np.ndarray
    sha256: str
    bad: list[BadFormula]
    unreadable: Unreadable | None = None
    rows: int = 0

    def __len__(self) -> int:
        return len(self.batch)

    def part(self, name: str) -> CompositionBatch:
        """The compositions of one part of the split.

        Raises:
            OptionError: not one of `train`, `valid` and `test`.
        """
        return self.batch[self.part_mask(name)]

    def part_mask(self, name: str) -> np.ndarray:
        """Which rows are in one part of the split, bool `(n,)`."""
        if name not in PARTS:
            raise unknown_name("part", name, PARTS)
        return np.asarray(self.split == name, dtype=bool)

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers, float64 `(n,)`, NaN where there is none; `band_gap` in `mp-*` means `band_gap_mp`.

        Raises:
            OptionError: no such column, or one that holds text.
        """
        row = find_row(self.name)
        return numeric_column(self.frame, column, row.aliases if row else None).astype(np.float64)


def load_dataset(
    name_or_path: str | Path,
    *,
    column: str | None = None,
    published_filter: bool | None = None,
    where: str | None = None,
    split: str = "split",
) -> Dataset:
    """Load a dataset of the catalog, `matminer:NAME`, or a user's table.

    Rows that cannot be read are left out with a warning (`MatgenWarning`). Conditions pick rows first; then, of each
    composition, the first row that is left stays. A name of the catalog goes before a file of the same name (write
    `./hybrid` for the file).

    Args:
        name_or_path: a name, or the path of a CSV, Parquet, JSON lines or text file or of a folder of them.
        column: the formula column of a user's table, found by its name if not given.
        published_filter: keep 2-8 elements and at most 30 atoms. By default on for `hybrid-*`, `mp-mix`, `mp-pure`,
            `oqmd-mix` and `oqmd-pure`, off for `hybrid`, for tables as their source ships them and for users' files.
        where: conditions on columns, such as `band_gap > 1.98 and formation_energy <= 0`. In `mp-*` datasets
            `band_gap` means `band_gap_mp`, in `oqmd-*` `band_gap_oqmd`.
        split: `split` (by composition) or `split_chemsys` (by chemical system).

    Raises:
        OptionError: an unknown name, split or column in a condition.
        DataError: a missing, damaged, empty or unbuilt table, no formula column, more than a fifth of the rows bad
            (see `matgen.runtime.unreadable`), or no row left.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    name = str(name_or_path)
    row = find_row(name_or_path)
    if row is not None:
        if column is not None:
            raise OptionError(f"a formula column is chosen for files only, not for the dataset {name!r}")
        frame, formula_column = _read_row(row)
    elif name.startswith("matminer:"):
        frame = matminer_dataset(name.partition(":")[2])
        formula_column = find_formula_column(frame.columns, column, name)
    else:
        frame, formula_column = read_formula_table(name_or_path, column or reference_column())
        name = table_name(name_or_path)
    if where is not None:
        kept = np.flatnonzero(where_mask(frame, where, row.aliases if row else None))
    else:
        kept = np.arange(len(frame))
    if not len(kept):
        raise DataError(f"no row of {name} meets {where!r}")
    parsed = parse_formulas(frame[formula_column].to_numpy(object)[kept])
    bad = [BadFormula(int(kept[one.row]), one.formula, one.reason) for one in parsed.bad]
    if not len(parsed.batch):
        raise DataError(f"none of the {len(bad):,} formulas in {name} can be read; {bad[0]}")
    if parsed.remarks and row is None:  # the NaN of the bundled table is sodium nitride
        first = parsed.remarks[0]
        report_remarks(len(parsed.remarks), replace(first, row=int(kept[first.row])), name)
    unreadable = report_unreadable(name, len(bad), len(kept), bad[0] if bad else None)
    n_rows = len(kept)
    batch, kept = parsed.batch, kept[parsed.rows]

    if published_filter is None:
        published_filter = row.published_filter if row else False
    if published_filter:
        batch, kept = _take(batch, kept, passes_published_filter(batch))
        if not len(batch):
            raise DataError(
                f"no composition of {name} passes the published filter ({MIN_ELEMENTS}-{MAX_ELEMENTS} elements, "
                f"at most {MAX_ATOMS} atoms): switch it off"
            )
    keys = batch.keys()
    distinct = first_occurrence(keys) == np.arange(len(batch))
    batch, kept = _take(batch, kept, distinct)
    return Dataset(
        name=row.name if row else name,
        batch=batch,
        frame=frame.iloc[kept].reset_index(drop=True),
        formula_column=formula_column,
        split=split_batch(batch, split),
        sha256=KeySet(keys[distinct]).sha256(),
        bad=bad,
        unreadable=unreadable,
        rows=n_rows,
    )


def load_task(name: str) -> pd.DataFrame:
    """The whole table of a dataset, every row in the source's order: what official folds and splits count by.

    Raises:
        OptionError: an unknown name.
        DataError: it is not built yet, or damaged.
    """
    return _read_row(catalog_row(name))[0]


def passes_published_filter(batch: CompositionBatch) -> np.ndarray:
    """Which compositions have 2 to 8 elements and at most 30 atoms, bool `(n,)`."""
    elements = batch.n_elements
    return np.asarray(
        (elements >= MIN_ELEMENTS) & (elements <= MAX_ELEMENTS) & (batch.n_atoms <= MAX_ATOMS), dtype=bool
    )


def describe(name: str, column: str | None = None) -> dict[str, Any]:
    """What `matgen data info NAME` shows of a dataset of the catalog, or of a user's table.

    Keys: `name`, `description`, `sources`, `license`, `filter`, `bundled`, `path`, `built`; and where the table is
    there `rows`, `compositions`, `splits` and `splits_chemsys` (part to number), `columns` (name to number of values),
    `sha256` (of the set of compositions), `checksum_ok` (None where no checksum is stated), `metadata`. Of a user's
    table: `name`, `formula_column`, `unreadable` where some rows are, and `rows` to `sha256` as above.

    Args:
        name: of a dataset, or the path of a table.
        column: the formula column of a user's table, found by its name if not given.

    Raises:
        OptionError: an unknown name.
        DataError: the table is damaged, or as `load_dataset`.
    """
    row = find_row(name)
    if row is None:
        return _describe_table(name, column)
    path = table_path(row)
    facts: dict[str, Any] = {
        "name": row.name,
        "description": row.description,
        "sources": list(row.sources),
        "license": row.license,
        "filter": row.filter,
        "bundled": row.bundled,
        "path": str(path),
        "built": path.is_file(),
    }
    if not facts["built"]:
        return facts | {"hint": f"matgen data build {row.builder}"}
    table = read_table(path)
    dataset = load_dataset(row.name)
    return facts | {
        "rows": int(_selected(table, row).sum()),
        **_describe_content(dataset),
        "checksum_ok": checksum_ok(table, row.file),
        "metadata": read_metadata(path),
    }


def _describe_table(name: str, column: str | None) -> dict[str, Any]:
    dataset = load_dataset(name, column=column)
    facts: dict[str, Any] = {"name": name, "formula_column": dataset.formula_column, "rows": dataset.rows}
    if dataset.unreadable:
        facts["unreadable"] = str(dataset.unreadable)
    return facts | _describe_content(dataset)


def _describe_content(dataset: Dataset) -> dict[str, Any]:
    return {
        "compositions": len(dataset),
        "splits": _counts(dataset.split),
        "splits_chemsys": _counts(split_batch(dataset.batch, "split_chemsys")),
        "columns": {str(column): int(dataset.frame[column].notna().sum()) for column in dataset.frame.columns},
        "sha256": dataset.sha256,
    }


def find_row(name_or_path: str | Path) -> CatalogueRow | None:
    """The catalog row of a name; None for what is read from a path or from matminer."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.startswith("matminer:"):
        return None
    try:
        return catalog_row(name)
    except MatgenError:
        looks_like_path = (
            is_standard_input(name) or "/" in name or "\\" in name or name.lower().endswith((*TABLE_SUFFIXES, ".zip"))
        )
        if looks_like_path or Path(name).exists():
            return None
        raise


def _read_row(row: CatalogueRow) -> tuple[pd.DataFrame, str]:
    path = table_path(row)
    if not path.is_file():
        where = "is missing from the bundled data" if row.bundled else "is not built yet"
        raise DataError(f"the dataset {row.name} {where}: run `matgen data build {row.builder}`")
    frame = read_table(path)
    if row.file == catalog_row("hybrid").file:
        frame["made"] = _made(frame)
    return frame[_selected(frame, row)].reset_index(drop=True), "formula"


def _made(frame: pd.DataFrame) -> np.ndarray:
    """Which compositions of the hybrid table have been made, bool `(n,)`.

    A table of its own says so, which is built from this one, so that it cannot be a column of the file.
    """
    path = table_path(catalog_row("experimental"))
    if not path.is_file():
        return np.zeros(len(frame), dtype=bool)
    made = read_table(path)["formula"]
    return frame["formula"].isin(made).to_numpy(dtype=bool)


def _selected(frame: pd.DataFrame, row: CatalogueRow) -> np.ndarray:
    mask = np.ones(len(frame), dtype=bool)
    for flag in row.requires:
        mask &= frame[flag].to_numpy(dtype=bool)
    return mask if row.where is None else mask & where_mask(frame, row.where, row.aliases)


def _take(batch: CompositionBatch, rows: np.ndarray, mask: np.ndarray) -> tuple[CompositionBatch, np.ndarray]:
    return batch[mask], rows[mask]


def _counts(split: np.ndarray) -> Mapping[str, int]:
    return {part: int((split == part).sum()) for part in PARTS}
