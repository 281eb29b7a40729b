"""Keeping what predictors accept: a filter for drawing, written as a condition on predicted columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.datasets.where import conditions_mask, parse_where
from matgen.errors import OptionError
from matgen.prediction.columns import PredictedColumns, is_of_hull

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch


class Screen:
    """A filter from compositions to whether to keep them.

    Args:
        text: a condition on columns that `matgen predict` writes: `band_gap > 1.98 and energy_above_hull <= 0.05`.
        predictors: folders to take before the bundled predictors.
        source: whose labels bundled predictors learned; by default OQMD's where there is one of them, else MP's.

    Raises:
        OptionError: a condition that cannot be read, or on a column that no predictor writes.
        CheckpointError: a folder that is no predictor.
    """

    def __init__(self, text: str, predictors: Sequence[Path] = (), source: str | None = None) -> None:
        self.text = text
        conditions = parse_where(text)
        columns = dict.fromkeys(column for condition in conditions for column in condition.columns)
        self._of_hull = [one for one in conditions if any(map(is_of_hull, one.columns))]
        self._others = [one for one in conditions if one not in self._of_hull]
        self.columns = PredictedColumns(list(columns), predictors, source)
        if not self.columns.predictors:
            raise OptionError(f"screen {text!r}: name a predicted property, as band_gap > 1.98")

    def __call__(self, batch: CompositionBatch) -> np.ndarray:
        """Which compositions to keep, bool `(n,)`."""
        if not len(batch):
            return np.zeros(0, dtype=bool)
        predicted = self.columns.predicted(batch)
        keep = conditions_mask(predicted, self._others)
        rows = np.flatnonzero(keep)
        if self._of_hull and len(rows):  # the slow part, for what is left
            energy = predicted.iloc[rows].reset_index(drop=True)
            stabilities = self.columns.placed(batch[rows], energy)
            # An `or` may join a distance to the hull with any other column.
            keep[rows] = conditions_mask(pd.concat([energy, stabilities], axis=1), self._of_hull)
        return keep

    def describe(self) -> str:
        """The condition and what it was judged by."""
        return f"{self.text} (predicted: {self.columns.describe()})"
