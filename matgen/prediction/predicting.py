"""Predicting for the formulas of a table, and for those of energies the distance to the hull."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import BadFormula, CompositionBatch, Remark, parse_formulas
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.errors import DataError, OptionError
from matgen.hull import CompetingPhases
from matgen.io.outputs import TableResult
from matgen.io.own_columns import add_own_columns
from matgen.prediction.stability import stability
from matgen.runtime.progress import ProgressFactory, silent
from matgen.runtime.unreadable import report_remarks

if TYPE_CHECKING:
    from matgen.prediction.predictor import Predictor

ROWS_AT_ONCE = 16_384
"""Rows that are read, predicted and written as one part."""


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
        progress: counts the rows.

    Raises:
        DataError: no formula can be read.
        OptionError: `phases` are of another source, or given for what is no formation energy.
    """
    phases = competing(predictor, phases, hull)
    parts = []
    with progress(len(frame), "predict", "formulas") as count:
        for start in range(0, max(len(frame), 1), ROWS_AT_ONCE):
            parts.append(predict_part(predictor, phases, frame.iloc[start : start + ROWS_AT_ONCE], column, start))
            count.update(parts[-1].n)
    bad, remarks = ([one for part in parts for one in getattr(part, name)] for name in ("bad", "remarks"))
    predicted = pd.concat([part.columns for part in parts if len(part.columns)] or [parts[0].columns])
    if predicted.empty:
        raise none_readable(len(bad), bad[0] if bad else None)
    if remarks:
        report_remarks(len(remarks), remarks[0])
    summary = said_of(predictor, phases) | counted(predicted)
    joined, _ = add_own_columns(frame.reset_index(drop=True), predicted.reindex(np.arange(len(frame))))
    return Predicted(joined, bad, summary)


@dataclass(frozen=True)
class PredictedPart:
    """What was predicted for rows of a table.

    Attributes:
        columns: `m` rows, those of formulas that could be read, by their row in the table; with all columns even where
            none could.
        n: rows, read or not.
        bad: rows that could not be read, with reasons.
        remarks: rows that were read with a remark.
    """

    columns: pd.DataFrame
    n: int
    bad: list[BadFormula]
    remarks: list[Remark]


def predict_part(
    predictor: Predictor, phases: CompetingPhases | None, frame: pd.DataFrame, column: str, start: int = 0
) -> PredictedPart:
    """Predict for consecutive rows of a table, of which any number can be read.

    Args:
        predictor: what predicts.
        phases: what competes, as `competing` says.
        frame: the rows.
        column: the column of formulas.
        start: the number of the first row in the table.

    Returns:
        The columns of `Predictor.predict` and, where phases compete, those of `stability`; and `formula_note` where
        more stands beside a formula.
    """
    parsed = parse_formulas(frame[column])
    n = len(parsed.batch)
    batch, rows = parsed.batch, frame.iloc[parsed.rows]
    if not n:  # for the names of the columns
        batch, rows = CompositionBatch.from_formulas(["NaCl"]), frame.head(0).reindex([0])
    batch = predictor.with_features(batch, rows)
    predicted = predictor.predict(batch)
    if phases is not None:
        placed = stability(batch, predicted, predictor, phases)
        predicted = pd.concat([predicted.drop(columns="in_domain"), placed], axis=1)
    predicted = predicted.iloc[:n].assign(**{name: _or_none(notes) for name, notes in parsed.note_column().items()})
    return PredictedPart(
        predicted.set_axis(pd.Index(parsed.rows + start)),
        len(frame),
        [replace(one, row=one.row + start) for one in parsed.bad],
        [replace(one, row=one.row + start) for one in parsed.remarks],
    )


def _or_none(notes: np.ndarray) -> np.ndarray:
    """Notes with None where there is none, as in a part of a table where no formula has one."""
    return np.array([note or None for note in notes], dtype=object)


def none_readable(n: int, first: BadFormula | str | None, where: str = "") -> DataError:
    """The error of a table of which no formula can be read."""
    return DataError(f"{where}none of the {n:,} formulas can be read" + (f"; {first}" if first else ""))


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
