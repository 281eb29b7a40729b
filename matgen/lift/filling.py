"""What is filled into the holes of a table: typical values of draws, beside the cells that were there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from matgen.lift.codec import Places
from matgen.lift.columns import Column, as_source


def filled_in(cells: pd.Series, rows: pd.Series, holes: pd.Series, column: Column) -> pd.Series:
    """Cells as the table had them, and in its holes what was made, written like the table's.

    Args:
        cells: of the table, `(n,)`.
        rows: values of the column as they were read, and filled in, `(n,)`.
        holes: where a cell was missing, bool `(n,)`.
        column: of both.
    """
    made = as_source(rows, column)
    mixed = cells.astype(object).where(~holes, made.astype(object))
    return mixed.astype(made.dtype) if _fits(mixed, made) else mixed


def has_values(places: Places) -> bool:
    """Whether a training row had a value in the column."""
    return places.column.type != "category" or places.levels > 0


def _fits(cells: pd.Series, made: pd.Series) -> bool:
    """Whether cells that were there, of a column some of whose cells were made, can have the type of those."""
    if made.dtype == object or cells.isna().any():
        return made.dtype.kind == "f" and all(cell is None or isinstance(cell, int | float) for cell in cells)
    kinds: dict[str, Any] = {"b": bool | np.bool_, "i": int | np.integer, "f": int | float | np.number}
    kinds |= {"M": pd.Timestamp, "m": pd.Timedelta}
    kind = kinds.get(made.dtype.kind)
    return kind is not None and all(isinstance(cell, kind) and getattr(cell, "tz", None) is None for cell in cells)


def typical(column: Column, drawn: pd.Series, usable: np.ndarray, draws: int) -> list[Any]:
    """Of draws for each row, the median of numbers and the most frequent of other values; None where none is usable.

    Args:
        column: of numbers or others.
        drawn: `n * draws` values, those of a row one after the other.
        usable: bool `(n * draws,)`.
        draws: for each row.
    """
    if column.type == "number":
        numbers = np.sort(drawn.to_numpy(np.float64).reshape(-1, draws), axis=1)
        return numbers[:, (draws - 1) // 2].tolist()
    values = drawn.where(usable & (drawn.astype(str).str.strip() != ""), None).to_numpy(object).reshape(-1, draws)
    modes = [pd.Series(row).mode() for row in values]
    return [mode.iloc[0] if len(mode) else None for mode in modes]
