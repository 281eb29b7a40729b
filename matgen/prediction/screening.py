"""Keeping what predictors accept: a filter for drawing, written as a condition on predicted columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.datasets.labels import labeled_phases
from matgen.datasets.where import conditions_mask, parse_where
from matgen.errors import OptionError
from matgen.hull import CompetingPhases
from matgen.prediction.locate import bundled_name, bundled_predictors
from matgen.prediction.predictor import Predictor
from matgen.prediction.stability import stability

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

_OF_HULL = ("energy_above_hull", "probability_hull", "probability_made")
_ENERGY = "formation_energy"


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
        self._of_hull = [one for one in conditions if any(map(_is_of_hull, one.columns))]
        self._others = [one for one in conditions if one not in self._of_hull]
        named = {one.name: one for one in map(Predictor.load, predictors)}
        bundled = bundled_predictors()
        self.predictors: dict[str, Predictor] = {}
        for column in columns:
            if column.lower() == "in_domain":
                continue
            name = self._property(column, [*named, *(one.rpartition("-")[0] for one in bundled)])
            if name not in self.predictors:
                wanted = bundled_name(name, source)
                predictor = named.get(name) or (Predictor.load(bundled[wanted]) if wanted in bundled else None)
                if predictor is None:
                    raise OptionError(f"no predictor of {name} of {source} is bundled: name a folder by --predictor")
                self.predictors[name] = predictor
        if not self.predictors:
            raise OptionError(f"screen {text!r}: name a predicted property, as band_gap > 1.98")
        self.phases: CompetingPhases | None = None
        if self._of_hull:
            self.phases = labeled_phases(self.predictors[_ENERGY].metadata["source"])

    def _property(self, column: str, known: Sequence[str]) -> str:
        """The property that a column belongs to."""
        if _is_of_hull(column):
            return _ENERGY
        for name in known:
            columns = (name, f"{name}_std", f"{name}_low", f"{name}_high", f"{name}_probability")
            if column.lower() in [one.lower() for one in columns]:
                return name
        names = ", ".join(dict.fromkeys(known)) or "none: make one with `matgen fit`"
        raise OptionError(f"no predictor writes a column {column}; there are predictors of {names}")

    def __call__(self, batch: CompositionBatch) -> np.ndarray:
        """Which compositions to keep, bool `(n,)`."""
        if not len(batch):
            return np.zeros(0, dtype=bool)
        predicted = self.predicted(batch)
        keep = conditions_mask(predicted, self._others)
        rows = np.flatnonzero(keep)
        if self.phases is not None and len(rows):  # the slow part, for what is left
            energy = predicted.iloc[rows].reset_index(drop=True)
            stabilities = stability(batch[rows], energy, self.predictors[_ENERGY], self.phases)
            # An `or` may join a distance to the hull with any other column.
            keep[rows] = conditions_mask(pd.concat([energy, stabilities], axis=1), self._of_hull)
        return keep

    def predicted(self, batch: CompositionBatch) -> pd.DataFrame:
        """What is predicted, distances to the hull apart; `in_domain` where every predictor has it so."""
        parts, inside = [], np.ones(len(batch), dtype=bool)
        for predictor in self.predictors.values():
            prediction = predictor.predict(batch)
            inside &= prediction.pop("in_domain").to_numpy()
            parts.append(prediction)
        return pd.concat(parts, axis=1).assign(in_domain=inside)

    def describe(self) -> str:
        """The condition and what it was judged by."""
        by = ", ".join(f"{one.name} of {one.metadata['source']}" for one in self.predictors.values())
        return f"{self.text} (predicted: {by})"


def _is_of_hull(column: str) -> bool:
    return column.lower().startswith(_OF_HULL)
