"""The column that is to be predicted: numbers, true and false, or names of classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError
from matgen.prediction.features import as_numbers

MOST_CLASSES = 20
"""Different texts up to which a column is one of classes."""


@dataclass(frozen=True)
class Target:
    """A target's column as numbers.

    Attributes:
        values: float64 `(n,)`: numbers, or the place of each class; NaN where the cell is missing.
        task: `regression` or `classification`.
        classes: names of the classes, sorted; None where they are true (1) and false (0).
    """

    values: np.ndarray
    task: str
    classes: tuple[str, ...] | None = None


def read_target(cells: pd.Series, path: Path | str, name: str) -> Target:
    """Read a target's column.

    Numbers are numbers, save 0 and 1 alone, which are false and true. Text is classes where no cell is a number.

    Raises:
        DataError: texts among numbers, or as good as all different texts.
    """
    values, is_text = as_numbers(cells)
    if not is_text.any():
        both = np.isin(values[np.isfinite(values)], (0.0, 1.0)).all()
        return Target(values, "classification" if both else "regression")
    row = int(np.flatnonzero(is_text)[0])
    if np.isfinite(values).any():
        raise DataError(
            f"{path}, row {row + 1}: {cells.iloc[row]!r} in {name} is not a number (nor in {int(is_text.sum()) - 1} "
            "more rows): clear such cells or give another --target"
        )
    texts = as_texts(cells, stripped=True)
    classes = tuple(sorted({text for text in texts if text is not None}))
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{path}, row {row + 1}: {cells.iloc[row]!r} in {name} is not a number, and {len(classes):,} different "
            f"texts are no classes (at most {MOST_CLASSES}): give another --target"
        )
    place = {text: float(i) for i, text in enumerate(classes)}
    codes = np.array([np.nan if text is None else place[text] for text in texts])
    return Target(codes, "classification", classes)
