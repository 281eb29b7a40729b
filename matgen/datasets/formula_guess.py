"""The column of formulas where no name says which: by names that formulas often have, or an index, and by cells."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import parse_formulas
from matgen.datasets.formula_column import find_formula_column, folded_name, has_formula_column
from matgen.errors import MatgenWarning
from matgen.runtime.unreadable import MOST_UNREADABLE

if TYPE_CHECKING:
    import pandas as pd

ROWS_LOOKED_AT = 100
"""Rows whose cells say whether a column holds formulas."""

_NAMED_SO = ("_chemical_formula_sum", "formulas")
_PERHAPS = ("material", "alloy")
"""Names of columns that hold formulas, names or numbers of samples."""

_INDEX = ("unnamed:_0", "index", "level_0", "__index_level_0__")
"""What pandas calls a first column without a name, and an index."""


def column_names(header: Iterable[Any]) -> list[str]:
    """The names of a header's columns; those without one are called as pandas calls them, `Unnamed: 0`."""
    return [str(name).strip() or f"Unnamed: {place}" for place, name in enumerate(header)]


def may_hold_formulas(names: Iterable[Any]) -> bool:
    """Whether a column has a name that formulas often have, though others too."""
    return any(folded_name(str(name)) in (*_NAMED_SO, *_PERHAPS) for name in names)


def guessed_column(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str | None:
    """The column that holds formulas by its cells, among those whose names let expect it; None where none does.

    Args:
        names: of the columns. Looked at are those of CIF, `formulas`, `material` and `alloy` in any case, and the first
            one if it has no name or is a pandas index.
        rows: their cells, of which the first `ROWS_LOOKED_AT` count.
    """
    if has_formula_column(names, None):
        return None
    folded = [folded_name(name) for name in names]
    places = [folded.index(known) for known in (*_NAMED_SO, *_PERHAPS) if known in folded]
    if folded and folded[0] in _INDEX:
        places.append(0)
    if not places:
        return None
    some = list(islice(rows, ROWS_LOOKED_AT))
    for place in places:
        cells = [row[place] for row in some if place < len(row)]
        if _are_formulas(cells, several_elements=folded[place] not in _NAMED_SO):
            return names[place]
    return None


def is_read_as_formulas(name: str) -> str:
    """What to tell of a guessed column."""
    return f"column {name!r} holds formulas by its cells; --column (column= in Python) names another"


def with_formula_column(frame: pd.DataFrame, column: str | None, where: str) -> tuple[pd.DataFrame, str]:
    """A frame in memory with its column of formulas, which may be its index, and the name of it.

    A guess by the cells is said (`MatgenWarning`).

    Raises:
        DataError: there is none; the columns are listed.
    """
    frame = with_formulas_of_index(frame, column)
    if column is None and (column := guess_in(frame)) is not None:
        warnings.warn(f"{where}: {is_read_as_formulas(column)}", MatgenWarning, stacklevel=3)
    return frame, find_formula_column(frame.columns, column, where)


def guess_in(frame: pd.DataFrame) -> str | None:
    """`guessed_column` of a frame."""
    names = [str(name) for name in frame.columns]
    return guessed_column(names, frame.head(ROWS_LOOKED_AT).astype(object).itertuples(index=False, name=None))


def with_formulas_of_index(frame: pd.DataFrame, column: str | None) -> pd.DataFrame:
    """A frame whose index, if it is no mere count of rows, is a column where no column is that of the formulas."""
    import pandas as pd

    counts_rows = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    if counts_rows or has_formula_column(frame.columns, column):
        return frame
    if column is None and not has_formula_column(filter(None, frame.index.names), None) and guess_in(frame):
        return frame
    labels = [name for name in frame.index.names if name is not None]
    return frame if set(labels) & set(frame.columns) else frame.reset_index()


def _are_formulas(cells: Iterable[Any], *, several_elements: bool) -> bool:
    """Whether nearly all cells that are not empty read as formulas, most of them of several elements where asked.

    `S1` and `B2` are samples rather than sulfur and boron.
    """
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    if not texts or len(texts) < sum(cell is not None and cell == cell and cell != "" for cell in cells):
        return False
    parsed = parse_formulas(texts)
    if len(parsed.bad) > MOST_UNREADABLE * len(texts) or not len(parsed.batch):
        return False
    return not several_elements or float(np.mean(parsed.batch.n_elements > 1)) > 0.5
