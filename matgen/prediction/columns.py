"""Columns that predictors write, by name: only the predictors that the named ones need are opened, each once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.datasets.labels import labeled_phases
from matgen.errors import OptionError
from matgen.hull import CompetingPhases
from matgen.prediction.locate import bundled_name, bundled_predictors
from matgen.prediction.made_model import COLUMN as MADE
from matgen.prediction.predictor import Predictor
from matgen.prediction.stability import probability_column, stability
from matgen.prediction.stability_model import LIMITS

if TYPE_CHECKING:
    from matgen.composition.batch import CompositionBatch

IN_DOMAIN = "in_domain"
HULL_COLUMNS = ("energy_above_hull", "energy_above_hull_std", *map(probability_column, LIMITS), MADE)
"""Numbers that `stability` writes."""

_OF_HULL = ("energy_above_hull", "probability_hull", MADE)
_ENERGY = "formation_energy"


class PredictedColumns:
    """What predictors say of compositions, as far as the named columns need it.

    Args:
        columns: names, in any case; `in_domain` needs no predictor of its own.
        predictors: folders to take before the bundled predictors.
        source: whose labels bundled predictors learned; by default OQMD's where there is one of them, else MP's.

    Attributes:
        predictors: the predictors that are needed, by their property.
        phases: what competes, where a distance to the hull is needed.

    Raises:
        OptionError: a column that no predictor writes.
        CheckpointError: a folder that is no predictor.
    """

    def __init__(self, columns: Sequence[str], predictors: Sequence[Path] = (), source: str | None = None) -> None:
        named = {one.name: one for one in map(Predictor.load, predictors)}
        bundled = bundled_predictors()
        known = [*named, *(one.rpartition("-")[0] for one in bundled)]
        self.predictors: dict[str, Predictor] = {}
        for column in columns:
            if column.lower() == IN_DOMAIN:
                continue
            name = _property(column, known)
            if name not in self.predictors:
                wanted = bundled_name(name, source)
                predictor = named.get(name) or (Predictor.load(bundled[wanted]) if wanted in bundled else None)
                if predictor is None:
                    raise OptionError(f"no predictor of {name} of {source} is bundled: name a folder by --predictor")
                self.predictors[name] = predictor
        self.phases: CompetingPhases | None = None
        if any(map(is_of_hull, columns)):
            self.phases = labeled_phases(self.predictors[_ENERGY].metadata["source"])

    def predicted(self, batch: CompositionBatch) -> pd.DataFrame:
        """What is predicted, distances to the hull apart; `in_domain` where every predictor has it so."""
        parts, inside = [], np.ones(len(batch), dtype=bool)
        for predictor in self.predictors.values():
            prediction = predictor.predict(batch)
            inside &= prediction.pop(IN_DOMAIN).to_numpy()
            parts.append(prediction)
        return pd.concat(parts, axis=1).assign(in_domain=inside)

    def placed(self, batch: CompositionBatch, predicted: pd.DataFrame) -> pd.DataFrame:
        """The columns of `stability`, of what was `predicted`."""
        assert self.phases is not None
        return stability(batch, predicted, self.predictors[_ENERGY], self.phases)

    def of(self, batch: CompositionBatch) -> pd.DataFrame:
        """All that is predicted, with distances to the hull where they are needed, and one `in_domain`."""
        predicted = self.predicted(batch)
        if self.phases is None:
            return predicted
        # That of `stability` starts from the one it is given, so it holds for every predictor.
        return pd.concat([predicted.drop(columns=IN_DOMAIN), self.placed(batch, predicted)], axis=1)

    def describe(self) -> str:
        """Properties and sources: `formation_energy of oqmd, band_gap of mp`."""
        return ", ".join(f"{one.name} of {one.metadata['source']}" for one in self.predictors.values())


def is_of_hull(column: str) -> bool:
    """Whether a column is of a distance to the hull."""
    return column.lower().startswith(_OF_HULL)


def columns_of(name: str) -> tuple[str, ...]:
    """Columns that a predictor of a property may write, those of named classes apart."""
    return (name, f"{name}_std", f"{name}_low", f"{name}_high", f"{name}_probability")


def predicted_names(predictors: Sequence[Path] = ()) -> list[str]:
    """Names of the columns of numbers that there are predictors of.

    Args:
        predictors: folders beside the bundled predictors.

    Raises:
        CheckpointError: a folder that is no predictor.
    """
    named = [Predictor.load(one).name for one in predictors]
    properties = dict.fromkeys([*named, *(one.rpartition("-")[0] for one in bundled_predictors())])
    hull = HULL_COLUMNS if _ENERGY in properties else ()
    return [*(column for name in properties for column in columns_of(name)), *hull, IN_DOMAIN]


def _property(column: str, known: Sequence[str]) -> str:
    """The property that a column belongs to."""
    if is_of_hull(column):
        return _ENERGY
    for name in known:
        if column.lower() in [one.lower() for one in columns_of(name)]:
            return name
    names = ", ".join(dict.fromkeys(known)) or "none: make one with `matgen fit`"
    raise OptionError(f"no predictor writes a column {column}; there are predictors of {names}")
