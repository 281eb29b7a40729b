"""Which rows of a user's table are learned from and which test, in units that stay together.

Rows of one composition (or chemical system) are never on both sides, nor are rows of one group where the user names a
column of groups: a paper, a sample, a laboratory. What one composition links is one unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from matgen.composition.batch import CompositionBatch, first_occurrence
from matgen.datasets.splits import PARTS, split_batch, split_keys
from matgen.errors import DataError, OptionError

BY_HASH_FROM = 2_000
"""Rows from which a table without groups is split by the hash of each composition."""
CROSS_BELOW = 800
"""Rows below which intervals are calibrated by all folds in turn: of 800, 40 would be left to calibrate by."""
TESTED_FROM = 100
"""Rows from which a part is set apart to test; a tenth of fewer would tell nothing."""
FOLDS = 10
_MOST_LINKED = 0.3
"""Share of the rows up to which what compositions and groups link stays together as a whole."""
_SMALLEST = 2
"""Rows that a part of a table has at least."""


def units_of(batch: CompositionBatch, split: str, groups: Sequence[str | None] | None = None) -> tuple[np.ndarray, str]:
    """The unit of each row: rows that share a composition or a group, at whatever remove.

    Where compositions link most of the rows to one unit that the groups part, groups alone count.

    Args:
        batch: `n` compositions.
        split: `split` (by composition) or `split_chemsys` (by chemical system).
        groups: of each row; None is a group of its own.

    Returns:
        int64 `(n,)` from 0, and a remark where groups alone count, else "".

    Raises:
        OptionError: an unknown split.
    """
    by_key = np.unique(first_occurrence(split_keys(batch, split)), return_inverse=True)[1]
    if groups is None:
        return by_key, ""
    n = len(batch)
    number: dict[str, int] = {}
    # Rows without a group have one of their own, so that only their composition links them.
    numbers = [n + i if group is None else number.setdefault(group, i) for i, group in enumerate(groups)]
    by_group = np.unique(numbers, return_inverse=True)[1]
    linked = _linked(by_key, by_group)
    if not n or max(np.bincount(linked)) <= max(_MOST_LINKED * n, *np.bincount(by_group)):
        return linked, ""
    what = "compositions" if split == "split" else "chemical systems"
    pairs = np.unique(np.stack([by_key, by_group]), axis=1)
    shared = int((np.bincount(pairs[0]) > 1).sum())
    return by_group, f"{shared:,} {what} occur in several groups, and may be on both sides of the split"


def _linked(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What two partings of `n` rows link together, int64 `(n,)` from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = int(first.max(initial=-1)) + 1
    size = n + int(second.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(first)), (first, n + second)), shape=(size, size))
    component = connected_components(edges, directed=False)[1]
    return np.unique(component[first], return_inverse=True)[1]


def parts_of(batch: CompositionBatch, units: np.ndarray, split: str, *, grouped: bool, test_only: bool) -> np.ndarray:
    """`train`, `valid` or `test` of each row, object `(n,)`; whole units in one part.

    Large tables are split by the hash of the composition (or system), smaller ones and those with groups by drawing
    units until a tenth of the rows is in each of the other parts.

    Args:
        batch: `n` compositions.
        units: int64 `(n,)`, of `units_of`.
        split: `split` or `split_chemsys`.
        grouped: whether the user has named groups.
        test_only: no part to validate by is wanted, since every row takes its turn; and none to test by of fewer than
            `TESTED_FROM` rows.

    Raises:
        DataError: fewer than three units.
    """
    n = len(units)
    if n >= BY_HASH_FROM and not grouped and not test_only:
        part = split_batch(batch, split)
        if len(set(part)) == 3:
            return part
    if test_only and n < TESTED_FROM:
        return np.full(n, "train", dtype=object)
    wanted = ["test"] if test_only else ["valid", "test"]
    sizes = np.bincount(units)
    if len(sizes) < 3:
        raise DataError(f"only {len(sizes)} groups of rows stay together, at least 3 are needed to split the table")
    tenth = max(_SMALLEST, n // 10)
    order = np.random.default_rng(0).permutation(len(sizes))
    part_of_unit = np.full(len(sizes), "train", dtype=object)
    for place, name in enumerate(wanted):
        filled, free = 0, int((part_of_unit == "train").sum())
        needed = len(wanted) - place  # units for the parts after this one and for training
        for unit in order:
            # A unit of a large share of the rows is learned from.
            if part_of_unit[unit] == "train" and filled + sizes[unit] <= 2 * tenth:
                part_of_unit[unit] = name
                filled, free = filled + sizes[unit], free - 1
            if filled >= tenth or free <= needed:
                break
        if not filled:
            learned = np.flatnonzero(part_of_unit == "train")
            part_of_unit[learned[np.argmin(sizes[learned])]] = name
    return part_of_unit[units]


def folds_of(units: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """The fold of each row, int64 `(n,)` from 0: whole units, drawn, the largest first, each to the smallest fold.

    Raises:
        OptionError: fewer than 3 folds, or fewer units than folds and than 3.
    """
    if folds < 3:
        raise OptionError(f"folds is {folds}, it must be 0 or at least 3: one calibrates, one stops, the others train")
    numbers, place, sizes = np.unique(units, return_inverse=True, return_counts=True)
    folds = min(folds, len(numbers))
    if folds < 3:
        raise OptionError(f"only {len(numbers)} groups of rows stay together, at least 3 are needed for folds")
    order = np.random.default_rng(seed).permutation(len(numbers))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of_unit, filled = np.zeros(len(numbers), dtype=np.int64), np.zeros(folds, dtype=np.int64)
    for unit in order:
        smallest = int(np.argmin(filled))
        fold_of_unit[unit] = smallest
        filled[smallest] += sizes[unit]
    return fold_of_unit[place]


def families_held_out(batch: CompositionBatch, split: str) -> np.ndarray:
    """`train`, `valid` or `test` of each row where whole families are held out, object `(n,)`; "" of what is in none.

    Args:
        batch: `n` compositions.
        split: one of `matgen.datasets.splits.SHIFTED_SPLITS`.

    Raises:
        OptionError: an unknown split.
        DataError: a part would have fewer than two rows.
    """
    part = split_batch(batch, split)
    counted = {name: int((part == name).sum()) for name in PARTS}
    if min(counted.values()) < _SMALLEST:
        shown = ", ".join(f"{n:,} {name}" for name, n in counted.items())
        raise DataError(f"--split {split} leaves too few rows of this table in a part ({shown}): take split_chemsys")
    return part
