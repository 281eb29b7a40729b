"""Columns of a user's table as features beside the formula: numbers, and texts as categories; cells may be missing.

A column is described once, from the rows that are learned from. Rows that come later are read by that description, so
that columns in another order, numbers written as text and missing cells mean the same at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.datasets.column_types import as_texts
from matgen.errors import DataError, MatgenError, OptionError

ALL = "all"
"""Instead of names: every column that can be a feature."""
MOST_CATEGORIES = 64
"""Different texts up to which a column is one of categories."""
_WORDS = {"true": 1.0, "false": 0.0}
_LARGEST = 1e30
"""Numbers beyond which none is meant."""
_WIDER = 0.1
"""Share of the range learned from by which a number may lie beyond it and count as of the same kind."""


@dataclass(frozen=True)
class Feature:
    """One column beside the formula.

    Attributes:
        name: of the column.
        type: `number` or `category`.
        values: of categories, the texts learned from, sorted.
        low, high: of numbers, the least and the largest learned from.
        mean, spread: of numbers, mean and standard deviation.
        missing: share of the rows learned from without it.
    """

    name: str
    type: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    spread: float = 1.0
    missing: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The description as JSON takes it."""
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Feature:
        """The feature that `as_json` described."""
        return cls(**{**content, "values": tuple(content["values"])})

    def __str__(self) -> str:
        holes = f", missing in {100 * self.missing:.0f} %" if self.missing else ""
        if self.type == "number":
            return f"{self.name} (number, {self.low:g} to {self.high:g}{holes})"
        shown = ", ".join(self.values[:6]) + (", ..." if len(self.values) > 6 else "")
        return f"{self.name} (category: {shown}{holes})"


class FeaturedBatch(CompositionBatch):
    """Compositions with further columns; wherever compositions are predicted for, these may be.

    Attributes:
        features: float64 `(n, f)`, numbers and places among a category's `values`, NaN where a cell is missing or holds
            a text that was not learned from.
        schema: what the `f` columns are.
        strange: bool `(n,)`, rows with a text that was not learned from or a number far beyond those that were.
    """

    __slots__ = ("features", "schema", "strange")

    def __init__(
        self, batch: CompositionBatch, features: np.ndarray, schema: Sequence[Feature], strange: np.ndarray
    ) -> None:
        super().__init__(batch.elements, batch.counts)
        self.features, self.schema, self.strange = features, tuple(schema), strange

    def __getitem__(self, rows: slice | np.ndarray) -> FeaturedBatch:
        """The rows picked by a slice, an index array or a boolean mask."""
        return FeaturedBatch(super().__getitem__(rows), self.features[rows], self.schema, self.strange[rows])


def with_features(
    batch: CompositionBatch, frame: pd.DataFrame, schema: Sequence[Feature], *, where: str = "the table"
) -> CompositionBatch:
    """Compositions with the features of their rows; the batch itself where there are none.

    Args:
        batch: `n` compositions.
        frame: `n` rows with a column of each feature, found by its name, of whatever order.
        schema: what was learned from.
        where: name of the table in messages; their rows are those of the frame's index.

    Raises:
        DataError: columns are missing, or a cell of a column of numbers is text or infinite.
    """
    if not schema:
        return batch
    by_name = {str(name): frame[name] for name in frame.columns}
    lacking = [one.name for one in schema if one.name not in by_name]
    if lacking:
        columns = "the column" if len(lacking) == 1 else "the columns"
        raise DataError(
            f"{where} lacks {columns} {', '.join(lacking)} that the predictor needs beside the formula; it has "
            f"{', '.join(list(by_name)[:20])}"
        )
    features = np.full((len(frame), len(schema)), np.nan)
    strange = np.zeros(len(frame), dtype=bool)
    for j, feature in enumerate(schema):
        features[:, j], beyond = _encoded(by_name[feature.name], feature, where)
        strange |= beyond
    return FeaturedBatch(batch, features, schema, strange)


def chosen_features(
    frame: pd.DataFrame, wanted: Sequence[str], taken: Iterable[str]
) -> tuple[list[Feature], dict[str, str]]:
    """Describe the columns that a user wants as features.

    Args:
        frame: the rows to learn from.
        wanted: names of columns, or `all` alone.
        taken: columns that serve as something else: formulas, targets, groups.

    Returns:
        The features in the order of the table's columns or of the names, and of the columns that `all` leaves out the
        reasons.

    Raises:
        DataError: no such column, or one that can be no feature; the message says why.
        OptionError: a column that serves as something else, or one named twice.
    """
    taken = set(taken)
    columns = {str(name): frame[name] for name in frame.columns}
    if list(wanted) == [ALL] and ALL not in columns:
        features, left_out = [], {}
        for name, cells in columns.items():
            if name in taken:
                continue
            try:
                features.append(described(name, cells))
            except DataError as error:
                left_out[name] = str(error).partition(": ")[2] or str(error)
        return features, left_out
    for name in wanted:
        if name not in columns:
            raise DataError(f"there is no column {name!r} for --features; the table has {', '.join(columns)}")
        if name in taken:
            raise OptionError(f"{name} is the formula, a target or the group, and cannot be one of --features too")
    if len(set(wanted)) < len(wanted):
        raise OptionError("--features names a column twice")
    return [described(name, columns[name]) for name in wanted], {}


def described(name: str, cells: pd.Series) -> Feature:
    """What a column is.

    Raises:
        DataError: it is empty, the same everywhere, mostly numbers with texts between, or of as good as all different
            texts.
    """
    numbers, is_text = as_numbers(cells)
    present = int(is_text.sum() + np.isfinite(numbers).sum())
    missing = 1 - present / max(1, len(cells))
    if not present:
        raise DataError(f"column {name}: empty")
    if is_text.sum() <= 0.5 * present:
        if is_text.any():
            row = int(np.flatnonzero(is_text)[0])
            raise DataError(
                f"column {name}: {str(cells.iloc[row])!r} in row {int(cells.index[row]) + 1} is not a number, as most "
                "of its cells are (clear such cells)"
            )
        values = numbers[np.isfinite(numbers)]
        if np.ptp(values) == 0:
            raise DataError(f"column {name}: {values[0]:g} in every row")
        return Feature(
            name,
            "number",
            low=float(values.min()),
            high=float(values.max()),
            mean=float(values.mean()),
            spread=float(values.std()),
            missing=missing,
        )
    texts = as_texts(cells, stripped=True)
    values = sorted({text for text in texts if text is not None})
    if len(values) == 1:
        raise DataError(f"column {name}: {values[0]!r} in every row")
    if len(values) > MOST_CATEGORIES or len(values) == present:
        raise DataError(
            f"column {name}: {len(values):,} different texts in {present:,} rows are no categories (at most "
            f"{MOST_CATEGORIES}, each in several rows)"
        )
    return Feature(name, "category", tuple(values), missing=missing)


def as_numbers(cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Cells as numbers, true as 1; missing and blank cells, and text, as NaN.

    Returns:
        float64 `(n,)`, and which cells are text, infinite or beyond 1e30, bool `(n,)`.
    """
    if pd.api.types.is_bool_dtype(cells.dtype) or not pd.api.types.is_numeric_dtype(cells.dtype):
        cells = cells.astype(object).map(lambda cell: _WORDS.get(str(cell).strip().lower(), cell))
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    is_text = (
        cells.notna().to_numpy() & ~(np.abs(values) <= _LARGEST) & (cells.astype(str).str.strip() != "").to_numpy()
    )
    return np.where(is_text, np.nan, values), is_text


def require_features(predictor: str, schema: Sequence[Any], batch: CompositionBatch) -> None:
    """Raise an `OptionError` where a predictor needs columns and is given compositions alone."""
    if schema and not isinstance(batch, FeaturedBatch):
        names = ", ".join(one["name"] for one in schema)
        raise OptionError(
            f"the predictor of {predictor} needs {names} beside the formula, which is not known here: `matgen predict` "
            "takes them from a table"
        )


def _encoded(cells: pd.Series, feature: Feature, where: str) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers `(n,)`, and which rows are unlike what was learned from."""
    if feature.type == "number":
        numbers, is_text = as_numbers(cells)
        if is_text.any():
            row = int(np.flatnonzero(is_text)[0])
            raise _cell_error(where, cells.index[row], cells.iloc[row], feature.name, int(is_text.sum()) - 1)
        room = _WIDER * (feature.high - feature.low)
        return numbers, (numbers < feature.low - room) | (numbers > feature.high + room)
    place = {text: i for i, text in enumerate(feature.values)}
    texts = as_texts(cells, stripped=True)
    codes = np.array([np.nan if text is None else place.get(text, np.nan) for text in texts], dtype=np.float64)
    return codes, np.isnan(codes) & np.array([text is not None for text in texts], dtype=bool)


def _cell_error(where: str, row: Any, cell: Any, name: str, more: int) -> MatgenError:
    others = f" (nor in {more} more rows)" if more else ""
    return DataError(f"{where}, row {row + 1}: {str(cell)!r} in {name} is not a number{others}: clear such cells")
