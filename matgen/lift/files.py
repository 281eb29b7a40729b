"""Tables as files, and what is wrong with single rows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from matgen.datasets.formats import format_of, is_parquet, expected_separator
from matgen.datasets.tables import no_rows, reading
from matgen.errors import DataError
from matgen.io.parquet import read_parquet
from matgen.lift.columns import Column, as_texts


def read_any_table(path: Path | str) -> pd.DataFrame:
    """A CSV (tab-separated, compressed) or Parquet file as it stands, rows numbered from 0.

    Raises:
        DataError: no such file, another kind of file, unreadable, or without rows.
    """
    path = Path(path)
    with reading(path):
        format_of(path)  # refuses what is no table at all
        if is_parquet(path):
            frame = read_parquet(path)
        elif separator := expected_separator(path):
            frame = pd.read_csv(path, sep=separator, skipinitialspace=True, float_precision="round_trip")
        else:
            raise DataError(f"{path}: a table is a CSV or Parquet file")
        if frame.empty:
            raise no_rows(path)
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame.reset_index(drop=True)


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
