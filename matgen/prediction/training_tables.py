"""What a predictor learns from: compositions with a property, in parts that do not overlap.

Bundled properties keep the official parts of their source where it has them (OQMD_Formation_Enthalpy, and the band gaps
of the same rows); other tables are split by composition, by chemical system or by the user's groups, and of few rows
every one takes its turn to calibrate. Labels of OQMD and the Materials Project are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.datasets import load_dataset
from matgen.datasets.column_types import as_texts
from matgen.datasets.labels import OUTLIER_ENERGY
from matgen.datasets.opening import table_name
from matgen.datasets.splits import SPLITS, split_batch
from matgen.datasets.tables import read_formula_table
from matgen.errors import DataError, OptionError, unknown_name
from matgen.prediction.duplicates import distinct_rows
from matgen.prediction.features import Feature, FeaturedBatch, chosen_features, with_features
from matgen.prediction.splitting import CROSS_BELOW, FOLDS, families_held_out, folds_of, parts_of, units_of
from matgen.prediction.targets import Target, read_target
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
        batch: `n` compositions, distinct unless duplicates are kept; a `FeaturedBatch` where there are features.
        target: float64 `(n,)`; of classes their places.
        part: `train`, `valid` or `test` of each, object `(n,)`.
        left_out: reasons and numbers of rows that are not there.
        task: `regression`, or `classification` of what is (1) or is not (0), or is of one of the `classes`.
        lowest: what the property cannot be below, None where it can be anything.
        classes: names of the classes; None where they are true and false, and of numbers.
        fold: int64 `(n,)`, of the rows to learn from the fold that each calibrates in, -1 in the test part; None where
            the part `valid` stops and calibrates.
        remarks: what else is to be known of the table, a line each.
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
    classes: tuple[str, ...] | None = None
    fold: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[Feature, ...]:
        """The columns beside the formula."""
        return self.batch.schema if isinstance(self.batch, FeaturedBatch) else ()

    def of(self, part: str) -> tuple[CompositionBatch, np.ndarray]:
        """Compositions and targets of one part."""
        rows = np.flatnonzero(self.part == part)
        return self.batch[rows], self.target[rows]


def bundled_property(name: str, source: str, split: str = "official") -> PropertyData:
    """A property of the bundled table.

    Args:
        name: `formation_energy`, `band_gap` or `is_metal`.
        source: `oqmd` or `mp`.
        split: `official` (OQMD's own parts, its outliers kept in the test part; by composition for `mp`), or one of
            `matgen.datasets.splits`.

    Raises:
        OptionError: an unknown property, source or split.
    """
    if (name, source) not in PROPERTIES:
        known = [f"{name} of {source}" for name, source in PROPERTIES]
        raise unknown_name("property", f"{name} of {source}", known)
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


@dataclass(frozen=True)
class TableOptions:
    """How a user's table is read.

    Attributes:
        column: name of the formula column, by default recognized by its name.
        split: what stays together: `split` (rows of one composition) or `split_chemsys` (of one chemical system); or
            one of `matgen.datasets.splits.SHIFTED_SPLITS`, which hold whole families out.
        features: columns to learn from beside the formula, or `all` alone.
        group: a column whose rows of one value stay together in the split too.
        duplicates: what is done with rows of one composition and the same features, one of `duplicates.RULES`.
        folds: that calibrate in turn; 0 for none, None for 10 where the table has fewer than 800 rows.
    """

    column: str | None = None
    split: str = "split"
    features: Sequence[str] = ()
    group: str | None = None
    duplicates: str = "mean"
    folds: int | None = None


def table_property(
    path: Path | str, target: str, column: str | None = None, split: str = "split", **options: Any
) -> PropertyData:
    """A column of a user's table: numbers, true and false (or 0 and 1), or names of classes.

    Args:
        path: a table as `read_formula_table` reads it.
        target: name of its column.
        column: name of the formula column, by default recognized by its name.
        split: `split` or `split_chemsys`.
        **options: further attributes of `TableOptions`.

    Raises:
        DataError: no such column, text among numbers, more than a fifth of the formulas that cannot be read, fewer than
            20 usable rows, the same value in all, or columns that cannot be features.
        OptionError: unknown split or rule, or a column named for two purposes.
    """
    return table_properties(path, [target], TableOptions(column, split, **options))[0]


def table_properties(path: Path | str, targets: Sequence[str], options: TableOptions) -> list[PropertyData]:
    """Several columns of one table, each as `table_property`; a row may lack some of them."""
    if len(set(targets)) < len(targets):
        raise OptionError("--target names a column twice")
    frame, formula_column = read_formula_table(path, options.column)
    for name in [*targets, *([options.group] if options.group else [])]:
        if name not in frame.columns:
            raise DataError(f"{table_name(path)} has no column {name!r}; it has {', '.join(map(str, frame.columns))}")
        if name == formula_column:
            raise OptionError(f"{name} is the column of formulas, not a property")
    if options.group in targets:
        raise OptionError(f"{options.group} is a target and cannot be the --group too")
    read = {name: read_target(frame[name], path, name) for name in targets}
    parsed = parse_formulas(frame[formula_column].astype(str))
    report_unreadable(table_name(path), len(parsed.bad), len(frame), parsed.bad[0] if parsed.bad else None)
    taken = [formula_column, *targets, *([options.group] if options.group else [])]
    rows = _Rows(path, frame.iloc[parsed.rows], parsed.batch, len(parsed.bad), taken, options)
    return [rows.property(name, Target(one.values[parsed.rows], one.task, one.classes)) for name, one in read.items()]


@dataclass(frozen=True)
class _Rows:
    """The rows of a table whose formulas can be read, and how they are to be used."""

    path: Path | str
    frame: pd.DataFrame
    batch: CompositionBatch
    unreadable: int
    taken: Sequence[str]
    options: TableOptions

    def property(self, name: str, target: Target) -> PropertyData:
        """One target of the rows."""
        known = np.flatnonzero(np.isfinite(target.values))
        if not len(known):
            raise DataError(f"{self.path} has no value in {name} in a row whose formula can be read")
        frame, values = self.frame.iloc[known], target.values[known]
        batch, unused = self._featured(frame, self.batch[known])
        unit = "rows" if isinstance(batch, FeaturedBatch) else "compositions"
        distinct = distinct_rows(batch, Target(values, target.task, target.classes), self.options.duplicates, unit)
        units, linked = self._units(frame, batch)
        units = units[distinct.rows]
        batch, values = batch[distinct.rows], distinct.values
        if len(batch) < _FEWEST:
            what = "number" if target.classes is None else "class"
            raise DataError(
                f"{self.path} has {len(batch)} {unit} with a {what} in {name}, at least {_FEWEST} are needed"
            )
        classes, values = _used_classes(target.classes, values)
        if np.ptp(values) == 0:
            same = classes[0] if classes else f"{values[0]:g}"
            raise DataError(f"{name} is {same} in every row of {self.path}: there is nothing to learn")
        part, fold = self._parts(batch, units)
        left_out = {
            "formulas that cannot be read": self.unreadable,
            "rows without a target": len(target.values) - len(known),
            **distinct.left_out,
        }
        return PropertyData(
            name, str(self.path), "", batch, values, part, {k: n for k, n in left_out.items() if n}, target.task,
            None, classes, fold, tuple(filter(None, [distinct.remark, linked, *unused])),
        )  # fmt: skip

    def _featured(self, frame: pd.DataFrame, batch: CompositionBatch) -> tuple[CompositionBatch, list[str]]:
        """The rows with their features, and in a line what columns are ignored."""
        schema: list[Feature] = []
        reasons: dict[str, str] = {}
        if self.options.features:
            schema, reasons = chosen_features(frame, self.options.features, self.taken)
        names = {*self.taken, *(one.name for one in schema)}
        ignored = [str(name) for name in frame.columns if name not in names]
        shown = [f"{name} ({reasons[name]})" if name in reasons else name for name in ignored]
        remark = [f"ignored columns: {', '.join(shown)}"] if shown else []
        return with_features(batch, frame, schema, where=str(self.path)), remark

    def _units(self, frame: pd.DataFrame, batch: CompositionBatch) -> tuple[np.ndarray, str]:
        group = self.options.group
        # Shifted splits hold out whole families; what is one row elsewhere is one row there too.
        split = self.options.split if self.options.split in SPLITS else SPLITS[0]
        return units_of(batch, split, as_texts(frame[group], stripped=True) if group else None)

    def _parts(self, batch: CompositionBatch, units: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        folds = self.options.folds
        if self.options.split not in SPLITS:
            if folds or self.options.group is not None:
                raise OptionError(f"--split {self.options.split} goes neither with --folds nor with --group")
            return families_held_out(batch, self.options.split), None
        if folds is None:
            folds = FOLDS if len(batch) < CROSS_BELOW else 0
        grouped = self.options.group is not None
        part = parts_of(batch, units, self.options.split, grouped=grouped, test_only=folds > 0)
        if not folds:
            return part, None
        fold = np.full(len(batch), -1)
        learned = np.flatnonzero(part != "test")
        fold[learned] = folds_of(units[learned], folds)
        return part, fold


def _used_classes(classes: tuple[str, ...] | None, values: np.ndarray) -> tuple[tuple[str, ...] | None, np.ndarray]:
    """Without classes that no row is left of."""
    if classes is None:
        return None, values
    used, places = np.unique(values.astype(np.int64), return_inverse=True)
    return tuple(classes[i] for i in used), places.astype(np.float64)
