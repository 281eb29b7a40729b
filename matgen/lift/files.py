"""What is wrong with single rows of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from matgen.datasets.any_table import read_any_table
from matgen.datasets.column_types import as_texts
from matgen.lift.columns import Column

__all__ = ["read_any_table", "unreadable_rows"]


def unreadable_rows(frame: pd.DataFrame, columns: tuple[Column, ...]) -> dict[int, str]:
    """Rows of which a cell is text (or infinite) in a column of numbers, and why; 0-based.

    Columns that are missing altogether are not looked at.
    """
    bad: dict[int, str] = {}
    for column in columns:
        if column.type != "number" or column.name not in frame.columns:
            continue
        cells = frame[column.name]
        if pd.api.types.is_numeric_dtype(cells.dtype):
            infinite = np.isinf(cells.to_numpy(np.float64, na_value=np.nan))
            bad |= {int(row): f"an infinite number in {column.name!r}" for row in np.flatnonzero(infinite)}
            continue
        for row, text in enumerate(as_texts(cells)):
            if text is None:
                continue
            try:
                if not np.isfinite(float(text)):
                    bad[row] = f"{text!r} in {column.name!r} is not a finite number"
            except ValueError:
                bad[row] = f"{text!r} in {column.name!r} is not a number"
    return bad
