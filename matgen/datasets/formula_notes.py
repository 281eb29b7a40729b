"""The column of what stands beside compositions in the cells of formulas, in every table that matgen writes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from matgen.composition.batch import NOTE, ParsedFormulas
from matgen.io.own_columns import SUFFIX, put_own_columns, report_renamed


def with_formula_notes(frame: pd.DataFrame, parsed: ParsedFormulas, *, tell: bool = True) -> pd.DataFrame:
    """A table with `formula_note` behind its columns, as it is where no formula has a note.

    A column of an earlier run that says the same stays, and so does a user's own: matgen's then gets a suffix.

    Args:
        frame: `n` rows, which are not changed.
        parsed: what `parse_formulas` made of them.
        tell: warn (`MatgenWarning`) where the column gets a suffix.
    """
    notes = parsed.note_column()
    if not notes:
        return frame
    column = pd.Series(None, index=frame.index, dtype=object)
    column.iloc[parsed.rows] = [note or None for note in notes[NOTE]]
    for name in (NOTE, f"{NOTE}{SUFFIX}"):
        if name in frame and np.array_equal(_plain(frame[name]), _plain(column)):
            return frame
    if f"{NOTE}{SUFFIX}" in frame:
        return frame.assign(**{f"{NOTE}{SUFFIX}": column})
    joined, renamed = put_own_columns(frame, pd.DataFrame({NOTE: column}))
    if tell:
        report_renamed(renamed)
    return joined


def _plain(column: pd.Series) -> np.ndarray:
    return np.array(["" if pd.isna(cell) else str(cell) for cell in column], dtype=object)
