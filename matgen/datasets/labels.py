"""Competing phases of a hull from the labels of the bundled table, or of a user's."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_some
from matgen.datasets.catalog import SOURCES
from matgen.datasets.formula_column import find_formula_column
from matgen.datasets.load import find_row, load_dataset, load_task
from matgen.datasets.opening import table_name
from matgen.datasets.tables import read_formula_table
from matgen.datasets.where import numeric_column
from matgen.errors import DataError, OptionError, unknown_name
from matgen.hull import CompetingPhases
from matgen.runtime.reference_column import reference_column
from matgen.runtime.unreadable import report_unreadable

OUTLIER_ENERGY = 5.0
"""Formation energies beyond this many eV/atom are failed calculations (one of OQMD's is -198.7), 86 of 341,700."""


@lru_cache(maxsize=len(SOURCES))
def labeled_phases(source: str) -> CompetingPhases:
    """The bundled labels of a source, `oqmd` or `mp` (the lowest polymorph of each composition).

    Failed calculations (`OUTLIER_ENERGY`) are left out: one would pull down the hull of its whole system.

    Raises:
        OptionError: an unknown source.
    """
    if source not in SOURCES:
        raise unknown_name("source", source, SOURCES)
    dataset = load_dataset("hybrid")
    energy = without_outliers(dataset.frame[SOURCES[source]].to_numpy(np.float64))
    return CompetingPhases(dataset.batch, energy, source, _labeled_elements(dataset.batch, energy))


def without_outliers(energy: np.ndarray) -> np.ndarray:
    """Formation energies, NaN for those of failed calculations, float64 `(n,)`, eV/atom."""
    return np.where(np.abs(energy) > OUTLIER_ENERGY, np.nan, energy)


def phases_of_table(name_or_path: Path | str, column: str = "formation_energy") -> CompetingPhases:
    """Formation energies (eV/atom) of a table, of a composition that occurs again the lowest.

    Args:
        name_or_path: a file with formulas, or a dataset: `materials-project`, once it was built by API key, holds
            today's corrected energies.
        column: with the energies.

    Raises:
        DataError: the table is missing, has no formulas, more than a fifth that cannot be read (see
            `matgen.runtime.unreadable`), or none with an energy.
            A cell of the column that is no number is an error too.
        OptionError: no such column.
    """
    name = str(name_or_path)
    if find_row(name) is not None:
        frame = load_task(name)
        formulas = find_formula_column(frame.columns, None, name)
    else:
        frame, formulas = read_formula_table(name_or_path, reference_column())
        name = table_name(name_or_path)
    energy = _energies(frame, column, name)
    parsed = parse_some(frame[formulas])
    report_unreadable(name, len(parsed.bad), len(frame), parsed.bad[0] if parsed.bad else None)
    phases = CompetingPhases(
        parsed.batch, energy[parsed.rows], name, _labeled_elements(parsed.batch, energy[parsed.rows])
    )
    if not len(phases):
        raise DataError(f"{name} has no compound with a number in {column}")
    return phases


def _energies(frame: pd.DataFrame, column: str, name: str) -> np.ndarray:
    """The column of energies, float64 `(n,)`, NaN where a cell is empty."""
    here = next((one for one in frame.columns if str(one).casefold() == column.casefold()), None)
    if here is None:
        raise OptionError(f"{name} has no column {column!r}; its columns: {', '.join(map(str, frame.columns[:12]))}")
    numbers = pd.to_numeric(frame[here], errors="coerce")
    odd = np.flatnonzero(numbers.isna() & frame[here].notna())
    if len(odd):
        row = int(odd[0])
        raise DataError(f"{name}, row {row + 1}: {str(frame[here].iloc[row])[:30]!r} in {here} is not a number")
    return numeric_column(frame, str(here)).astype(np.float64)


def _labeled_elements(batch: CompositionBatch, energy: np.ndarray) -> np.ndarray:
    """Atomic numbers of the elements of rows with an energy, ascending, int64 `(k,)`."""
    elements = batch.elements[np.isfinite(energy)]
    return np.unique(elements[elements > 0]).astype(np.int64)
