"""Predicting for the formulas of a table, and for those of energies the distance to the hull."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.datasets import read_formula_table
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.hull import CompetingPhases
from matgen.io.outputs import TableResult, process_table
from matgen.io.own_columns import add_own_columns
from matgen.prediction.stability import stability
from matgen.runtime.progress import ProgressFactory, part_of, silent

if TYPE_CHECKING:
    from matgen.prediction.predictor import Predictor

_CHUNK = 8_192


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
        OptionError: `phases` are of another source.
    """
    parsed = parse_some(frame[column])
    batches = predictor.with_features(parsed.batch, frame.iloc[parsed.rows])
    source = predictor.metadata["source"]
    if not hull:
        phases = None
    elif phases is None and predictor.name == "formation_energy" and source in SOURCES:
        phases = labeled_phases(source)
    parts = []
    with progress(len(parsed.batch), "predict", "formulas") as count:
        for start in range(0, len(parsed.batch), _CHUNK):
            batch: CompositionBatch = batches[start : start + _CHUNK]
            part = predictor.predict(batch)
            if phases is not None:
                placed = stability(batch, part, predictor, phases, progress=part_of(count))
                part = pd.concat([part.drop(columns="in_domain"), placed], axis=1)
            else:
                count.update(len(batch))
            parts.append(part)
    predicted = pd.concat(parts, ignore_index=True)
    summary = {
        "property": predictor.name,
        "source": source,
        "hull": phases.source if phases is not None else None,
        "formulas": len(predicted),
        "out_of_domain": int((~predicted["in_domain"]).sum()),
    }
    if "energy_above_hull" in predicted:
        summary["on_or_below_hull"] = int((predicted["energy_above_hull"] <= 0).sum())
    predicted = predicted.assign(**parsed.note_column())
    predicted.index = pd.Index(parsed.rows)
    whole = predicted.reindex(np.arange(len(frame)))
    joined, _ = add_own_columns(frame.reset_index(drop=True), whole)
    return Predicted(joined, parsed.bad, summary)


def predict_file(
    predictor: Predictor,
    candidates: Path | str,
    out: Path | str,
    *,
    column: str | None = None,
    phases: CompetingPhases | None = None,
    hull: bool = True,
    force: bool = False,
    progress: ProgressFactory = silent,
) -> Predicted:
    """Predict for a file into a CSV or Parquet file with all its columns; the summary goes to `<out>.json`.

    Raises:
        DataError: the input cannot be read, or none of its formulas can.
        OptionError: `out` ends otherwise than in `.csv` or `.parquet`.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    return process_table(
        Path(out),
        partial(read_formula_table, candidates, column),
        partial(predict_table, predictor, phases=phases, hull=hull, progress=progress),
        force=force,
    )
