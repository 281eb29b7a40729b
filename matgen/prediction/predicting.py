"""Predicting for the formulas of a table, and for those of energies the distance to the hull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.errors import OptionError
from matgen.hull import CompetingPhases
from matgen.io.outputs import TableResult
from matgen.io.own_columns import add_own_columns
from matgen.prediction.stability import stability
from matgen.runtime.progress import ProgressFactory, part_of, silent

if TYPE_CHECKING:
    from matgen.prediction.predictor import Predictor

ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Predicted(TableResult):
    """A table with predictions.

    Attributes:
        frame: the input's rows in order, with the columns of `Predictor.predict` and, of formation energies, those of
            `stability` (with `_matgen` where the input has columns of these names); empty where a formula could not be
            read.
        bad: rows that could not be read, with reasons.
        summary: numbers of rows predicted and of those outside of what was learned from.
    """


def predict_table(
    predictor: Predictor,
    frame: pd.DataFrame,
    column: str,
    *,
    phases: CompetingPhases | None = None,
    hull: bool = True,
    progress: ProgressFactory = silent,
) -> Predicted:
    """Predict for the formulas of a column.

    Args:
        predictor: what predicts.
        frame: `n` rows; it is not changed.
        column: the column of formulas.
        phases: what competes with predicted formation energies; by default the bundled labels of the same source.
        hull: whether distances to the hull are wanted, of predicted formation energies.
        progress: counts the formulas.

    Raises:
        DataError: no formula can be read.
        OptionError: `phases` are of another source, or given for what is no formation energy.
    """
    parsed = parse_some(frame[column])
    phases = competing(predictor, phases, hull)
    parts = []
    with progress(len(parsed.batch), "predict", "formulas") as count:
        for start in range(0, len(parsed.batch), ROWS_AT_ONCE):
            parts.append(predict_batch(predictor, parsed.batch[start : start + ROWS_AT_ONCE], phases, part_of(count)))
    predicted = pd.concat(parts, ignore_index=True)
    summary = said_of(predictor, phases) | counted(predicted)
    predicted.index = pd.Index(parsed.rows)
    whole = predicted.reindex(np.arange(len(frame)))
    joined, _ = add_own_columns(frame.reset_index(drop=True), whole)
    return Predicted(joined, parsed.bad, summary)


def competing(predictor: Predictor, phases: CompetingPhases | None, hull: bool) -> CompetingPhases | None:
    """What competes with predictions: the phases given, or the bundled labels of the source; None for no hull.

    Raises:
        OptionError: phases are given, and what is predicted is no formation energy.
    """
    if not hull:
        return None
    if predictor.name != "formation_energy":
        if phases is not None:
            raise OptionError(f"phases compete with formation energies, not with {predictor.name}: leave them out")
        return None
    source = predictor.metadata["source"]
    return labeled_phases(source) if phases is None and source in SOURCES else phases


def predict_batch(
    predictor: Predictor,
    batch: CompositionBatch,
    phases: CompetingPhases | None,
    progress: ProgressFactory = silent,
) -> pd.DataFrame:
    """The columns of `Predictor.predict` for `n` compositions and, where phases compete, those of `stability`."""
    predicted = predictor.predict(batch)
    if phases is None:
        with progress(len(batch), "predict", "formulas") as count:
            count.update(len(batch))
        return predicted
    return pd.concat([predicted, stability(batch, predicted, predictor, phases, progress=progress)], axis=1)


def said_of(predictor: Predictor, phases: CompetingPhases | None) -> dict[str, str | None]:
    """What a summary says of the predictor."""
    return {
        "property": predictor.name,
        "source": predictor.metadata["source"],
        "hull": None if phases is None else phases.source,
    }


def counted(predicted: pd.DataFrame) -> dict[str, int]:
    """The numbers of a summary."""
    numbers = {"formulas": len(predicted), "out_of_domain": int((~predicted["in_domain"]).sum())}
    if "energy_above_hull" in predicted:
        numbers["on_or_below_hull"] = int((predicted["energy_above_hull"] <= 0).sum())
    return numbers
