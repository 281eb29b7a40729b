"""The type that a column has in a whole table, from those in the table's chunks; and cells of any column as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

_SAME = {"natural": "int64", "signed": "int64", "unsigned": "uint64", "float": "float64", "bool": "bool"}
"""The type of a column that looks alike in all chunks, none of which has a gap."""

_SMALL = {"natural", "signed", "float", "nan", "none"}
"""Kinds of chunks that together make a column of floats, and a column of integers only where there is no gap."""


class ChunkTypes:
    """What the columns of a table look like in each of its chunks.

    pandas gives a column a type by its values. A chunk of integers may be followed by one of floats, or by one in which
    the column is empty, and the whole column is then one of floats: only after the last chunk is its type known.

    Attributes:
        n_chunks: how many there were.
    """

    def __init__(self) -> None:
        self.n_chunks = 0
        self._kinds: dict[str, set[str]] = {}
        self._text_types: dict[str, Any] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Take in a chunk. Columns that it lacks are empty in it (rows of JSON need not have all columns)."""
        for lacking in self._kinds.keys() - set(map(str, frame.columns)):
            self._kinds[lacking].add("nan")
        for name, values in frame.items():
            kinds = self._kinds.setdefault(str(name), {"nan"} if self.n_chunks else set())
            kinds |= _kinds(values)
            if isinstance(values.dtype, pd.StringDtype):
                self._text_types[str(name)] = values.dtype
        self.n_chunks += 1

    def add_text(self, name: str) -> None:
        """Enter that a column holds a text somewhere."""
        self._kinds.setdefault(name, set()).add("text" if name in self._text_types else "object")

    def in_csv(self, name: str) -> Any:
        """The type of a CSV column: a numpy type, `str`, or `object` for flags with gaps.

        Cells are text that is read as numbers or as flags only where all of them can be.
        """
        kinds = {"nan" if kind == "none" else kind for kind in self._kinds[name]}
        if kinds in ({"nan"}, {"bool", "nan"}):
            return "object" if "bool" in kinds else "float64"
        # Beyond 63 bits, pandas makes floats only where one of the column's cells is a float in any case.
        floats = kinds <= _SMALL or ("float" in kinds and kinds <= {"unsigned", *_SMALL})
        return _common_type(kinds) or ("float64" if floats else str)

    def in_json(self, name: str) -> Any:
        """The type of a column of JSON values, each of which has a type of its own: `object` where they differ."""
        kinds = self._kinds[name]
        if kinds == {"none"}:  # null in every row; where a row lacks the key, pandas takes it for a missing number
            return "object"
        if kinds <= {"text", "none", "nan"} and "text" in kinds:
            return self._text_types[name]
        floats = kinds <= _SMALL or kinds <= {"unsigned", "float", "nan", "none"}
        return _common_type(kinds) or ("float64" if floats else "object")


def _common_type(kinds: set[str]) -> str | None:
    """The type that all chunks have, or that of integers; None where there is neither."""
    if kinds == {"natural", "signed"}:
        return "int64"
    if kinds == {"natural", "unsigned"}:
        return "uint64"
    return _SAME.get(next(iter(kinds))) if len(kinds) == 1 else None


def _kinds(values: pd.Series) -> set[str]:
    if values.isna().all():
        return {"none" if values.dtype == object and all(value is None for value in values) else "nan"}
    if values.dtype.kind == "i":
        return {"natural" if values.min() >= 0 else "signed"}
    if values.dtype.kind in "ufb":
        return {{"u": "unsigned", "f": "float", "b": "bool"}[values.dtype.kind]}
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return {"bool", "none"}
    return {"text" if isinstance(values.dtype, pd.StringDtype) else "object"}


def as_texts(cells: Iterable[Any], *, stripped: bool = False) -> list[str | None]:
    """Cells as text, missing ones (None, nan, NaT, empty or blank text) as None; whole numbers without decimal point.

    Args:
        cells: of one column.
        stripped: whether blanks around texts are left out.
    """
    if isinstance(cells, pd.Series) and isinstance(cells.dtype, pd.CategoricalDtype):
        texts = [*as_texts(cells.cat.categories, stripped=stripped), None]  # code -1 is a missing cell
        return [texts[code] for code in cells.cat.codes]
    found: list[str | None] = []
    for cell in cells:
        if pd.isna(cell):
            found.append(None)
            continue
        # 1.0 of a column that lost its integers to a missing cell.
        whole = isinstance(cell, float | np.floating) and float(cell).is_integer() and abs(float(cell)) < 1e15
        text = str(int(cell)) if whole else str(cell)
        found.append((text.strip() if stripped else text) if text.strip() else None)
    return found
