"""What is wrong with single rows of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from matgen.datasets.any_table import read_any_table
from matgen.datasets.column_types import as_texts
from matgen.lift.columns import Column, as_numbers, as_source

__all__ = ["not_learned", "read_any_table", "unreadable_rows"]


def unreadable_rows(frame: pd.DataFrame, columns: tuple[Column, ...]) -> dict[int, str]:
    """Rows of which a cell is text (or infinite) in a column of numbers, and why; 0-based.

    Columns that are missing altogether are not looked at.
    """
    bad: dict[int, str] = {}
    for column in columns:
        if column.type != "number" or column.name not in frame.columns:
            continue
        cells = frame[column.name]
        numbers = as_numbers(cells, column)
        if numbers is not None:
            infinite = np.flatnonzero(np.isinf(numbers))
            bad |= {int(row): f"an infinite number in {column.name!r}" for row in infinite}
            continue
        for row, text in enumerate(as_texts(cells)):
            alone = as_numbers(cells.iloc[[row]], column)
            if alone is None:
                bad[row] = f"{text!r} in {column.name!r} is not a number"
            elif np.isinf(alone[0]):
                bad[row] = f"{text!r} in {column.name!r} is not a finite number"
    return bad


def not_learned(rows: pd.DataFrame, columns: tuple[Column, ...] | list[Column]) -> list[str]:
    """Of typed rows, a remark on each column with categories never learned or numbers far outside of those learned."""
    remarks = []
    for column in columns:
        if column.name not in rows.columns:
            continue
        cells = rows[column.name]
        if column.type == "category":
            odd = [text for text in cells if text is not None and text not in column.values]
            if odd:
                remarks.append(f"{_rows(len(odd))} a {column.name} that was never learned, such as {odd[0]!r}")
        elif column.type == "number" and column.high > column.low:
            low, high = column.padded_range()
            far = cells[(cells < low) | (cells > high)]
            if len(far):
                first, low, high = as_source([far.iloc[0], column.low, column.high], column).tolist()
                outside = f"outside of what was learned ({low} to {high}), such as {first}"
                remarks.append(f"{_rows(len(far))} a {column.name} {outside}")
    return remarks


def _rows(n: int) -> str:
    return "1 row holds" if n == 1 else f"{n:,} rows hold"
