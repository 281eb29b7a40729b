"""What a predictor learns from: compositions with a property, in three parts that do not overlap.

Bundled properties keep the official parts of their source where it has them (OQMD_Formation_Enthalpy, and the band gaps
of the same rows); other tables are split by composition. Labels of OQMD and the Materials Project are never mixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, first_occurrence, parse_formulas
from matgen.datasets import load_dataset
from matgen.datasets.labels import OUTLIER_ENERGY
from matgen.datasets.splits import split_batch
from matgen.datasets.tables import read_formula_table
from matgen.errors import DataError, OptionError, unknown_name
from matgen.runtime.unreadable import report_unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

PROPERTIES = {
    ("formation_energy", "oqmd"): "formation_energy_oqmd",
    ("formation_energy", "mp"): "formation_energy_mp_min",
    ("band_gap", "oqmd"): "band_gap_oqmd",
    ("band_gap", "mp"): "band_gap_mp",
    ("is_metal", "oqmd"): "band_gap_oqmd",
    ("is_metal", "mp"): "band_gap_mp",
}
"""Property and source to a column of the bundled table. A metal is what has no band gap (PBE, as the labels are)."""

UNITS = {"formation_energy": "eV/atom", "band_gap": "eV"}
LOWEST = {"band_gap": 0.0}
"""What a property cannot be below."""
_FEWEST = 20
"""Rows with a target that a predictor needs."""


@dataclass(frozen=True)
class PropertyData:
    """Compositions and one property of each.

    Attributes:
        name: of the property.
        source: whose labels they are: `oqmd`, `mp` or a file.
        unit: of the property, empty where it is not known.
        batch: `n` distinct compositions.
        target: float64 `(n,)`.
        part: `train`, `valid` or `test` of each, object `(n,)`.
        left_out: reasons and numbers of rows that are not there.
        task: `regression`, or `classification` of what is (1) or is not (0).
        lowest: what the property cannot be below, None where it can be anything.
    """

    name: str
    source: str
    unit: str
    batch: CompositionBatch
    target: np.ndarray
    part: np.ndarray
    left_out: Mapping[str, int]
    task: str = "regression"
    lowest: float | None = None

    def of(self, part: str) -> tuple[CompositionBatch, np.ndarray]:
        """Compositions and targets of one part."""
        rows = np.flatnonzero(self.part == part)
        return self.batch[rows], self.target[rows]


def bundled_property(name: str, source: str, split: str = "official") -> PropertyData:
    """A property of the bundled table.

    Args:
        name: `formation_energy`, `band_gap` or `is_metal`.
        source: `oqmd` or `mp`.
        split: `official` (OQMD's own parts, its outliers kept in the test part; by composition for `mp`), `split` or
            `split_chemsys`.

    Raises:
        OptionError: an unknown property, source or split.
    """
    if (name, source) not in PROPERTIES:
        known = [f"{name} of {source}" for name, source in PROPERTIES]
        raise unknown_name("property", f"{name} of {source}", known)
    if split not in ("official", "split", "split_chemsys"):
        raise unknown_name("split", split, ("official", "split", "split_chemsys"))
    dataset = load_dataset("hybrid")
    target = dataset.frame[PROPERTIES[name, source]].to_numpy(np.float64)
    official = split == "official" and source == "oqmd"
    if official:
        part = dataset.frame["split_oqmd"].replace({"val": "valid"}).to_numpy(object)
    else:
        part = split_batch(dataset.batch, "split" if split == "official" else split)
    outlier = (np.abs(target) > OUTLIER_ENERGY) & (name == "formation_energy") & (source == "oqmd")
    # What is official to be tested on is tested on; nothing is learned from failed calculations.
    keep = np.isfinite(target) & ~(outlier & (part != "test"))
    rows = np.flatnonzero(keep)
    left_out = {"outliers not learned from": int((outlier & (part != "test")).sum())}
    if name == "is_metal":
        target = (target == 0).astype(np.float64)
    return PropertyData(
        name,
        source,
        UNITS.get(name, ""),
        dataset.batch[rows],
        target[rows],
        part[rows],
        left_out,
        "classification" if name == "is_metal" else "regression",
        LOWEST.get(name),
    )


def table_property(path: Path | str, target: str, column: str | None = None, split: str = "split") -> PropertyData:
    """A column of a user's table: numbers, or true and false (or 0 and 1).

    Of a composition that occurs again the mean counts, or what more of its rows say.

    Args:
        path: a table as `read_formula_table` reads it.
        target: name of its column.
        column: name of the formula column, by default recognized by its name.
        split: `split` or `split_chemsys`.

    Raises:
        DataError: no such column, text in it, more than a fifth of the formulas that cannot be read, fewer than 20
            usable rows, or the same value in all.
        OptionError: unknown split.
    """
    frame, formula_column = read_formula_table(path, column)
    if target not in frame.columns:
        raise DataError(f"{path} has no column {target!r}; it has {', '.join(map(str, frame.columns))}")
    if target == formula_column:
        raise OptionError(f"{target} is the column of formulas, not a property")
    values = _numbers(frame[target], path, target)
    parsed = parse_formulas(frame[formula_column].astype(str))
    report_unreadable(str(path), len(parsed.bad), len(frame), parsed.bad[0] if parsed.bad else None)
    value = values[parsed.rows]
    known = np.isfinite(value)
    batch, value = parsed.batch[np.flatnonzero(known)], value[known]
    first = first_occurrence(batch.keys())
    rows, group = np.unique(first, return_inverse=True)
    mean = np.bincount(group, value) / np.maximum(np.bincount(group), 1)
    classify = bool(np.isin(value, (0.0, 1.0)).all())
    if classify:
        mean = (mean >= 0.5).astype(np.float64)
    batch = batch[rows]
    if len(batch) < _FEWEST:
        raise DataError(
            f"{path} has {len(batch)} compositions with a number in {target}, at least {_FEWEST} are needed"
        )
    if np.ptp(mean) == 0:
        raise DataError(f"{target} is {mean[0]:g} in every row of {path}: there is nothing to learn")
    part = split_batch(batch, split)
    _refill_small_parts(part)
    left_out = {
        "formulas that cannot be read": len(parsed.bad),
        "rows without a target": int((~known).sum()),
        "compositions that occur again (their mean counts)": int(known.sum()) - len(batch),
    }
    task = "classification" if classify else "regression"
    return PropertyData(target, str(path), "", batch, mean, part, {k: n for k, n in left_out.items() if n}, task)


def _numbers(column: pd.Series, path: Path | str, name: str) -> np.ndarray:
    """A column as numbers, true as 1; empty cells are missing, other text is an error."""
    words = {"true": 1.0, "false": 0.0}
    column = column.map(lambda cell: words.get(str(cell).strip().lower(), cell))
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    text = column.notna() & ~np.isfinite(values) & (column.astype(str).str.strip() != "")
    if text.any():
        row = int(np.flatnonzero(text)[0])
        raise DataError(
            f"{path}, row {row + 1}: {column.iloc[row]!r} in {name} is not a number (nor in {int(text.sum()) - 1} more "
            "rows): clear such cells or give another --target"
        )
    return values


def _refill_small_parts(part: np.ndarray) -> None:
    """Of a small table take a tenth each to validate and to test, so that neither part is empty."""
    n = len(part)
    if n >= 2_000:
        return
    order = np.random.default_rng(0).permutation(n)
    tenth = max(2, n // 10)
    part[:] = "train"
    part[order[:tenth]], part[order[tenth : 2 * tenth]] = "valid", "test"
