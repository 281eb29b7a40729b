"""Formulas as columns of numbers: the fraction of each element, and averages of what elements are like.

Written as letters, the fractions of a steel take 150 tokens, in which the model must first learn to find an element;
with a column an element each fraction has a place of its own. Averages over the atoms (Magpie's features: Ward et al.,
npj Comput. Mater. 2, 16028, 2016) say what elements have in common, which a table of some hundred rows does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, parse_formulas
from matgen.composition.elements import ATOMIC_NUMBER, SYMBOLS
from matgen.lift.columns import Column, describe
from matgen.prediction.magpie import feature_names, magpie_features

AVERAGES = ("MeltingT", "CovalentRadius", "Electronegativity", "NValence")
"""Properties of the elements whose averages over the atoms are columns."""
MOST_ELEMENTS = 24
"""Elements of a table, each with a column of its own, up to which formulas are columns; with more they stay letters."""
_LEVELS = 100
"""About as many different numbers of a column are told apart, between its least and its largest."""


@dataclass(frozen=True)
class FormulaColumns:
    """The columns that stand for the formulas of a table.

    Attributes:
        elements: symbols, by the name of the column of formulas.
        columns: of numbers, by the same: the fractions of these elements, then the averages.
    """

    elements: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, tuple[Column, ...]]

    @classmethod
    def of(cls, columns: Iterable[Column], rows: pd.DataFrame) -> FormulaColumns:
        """Those of the formula columns with few elements.

        Args:
            columns: of the table.
            rows: to train on, as `typed` returns them.
        """
        occurring = {one.name: _elements_of(rows[one.name]) for one in columns if one.type == "formula"}
        elements = {name: symbols for name, symbols in occurring.items() if 0 < len(symbols) <= MOST_ELEMENTS}
        described = {}
        for name, symbols in elements.items():
            frame = _numbers(rows[name], name, symbols)
            types = dict.fromkeys(frame.columns, "number")
            described[name] = tuple(describe(frame, precision=_decimals(frame), column_types=types))
        return cls(elements, described)

    def instead_of(self, columns: Iterable[Column]) -> list[Column]:
        """Columns, those of numbers in place of those of formulas."""
        return [one for column in columns for one in self.columns.get(column.name, (column,))]

    def expanded(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows (as `typed` returns them) with columns of numbers in place of formulas.

        Numbers are missing where a formula is, or cannot be read; an element without a column of its own is left out.
        """
        parts = [
            _numbers(rows[name], name, self.elements[name]) if name in self.elements else rows[[name]]
            for name in rows.columns
        ]
        return pd.concat(parts, axis=1) if self.elements else rows

    def as_json(self) -> dict[str, Any]:
        """JSON that `from_json` reads."""
        return {
            name: {"elements": list(symbols), "columns": [column.as_json() for column in self.columns[name]]}
            for name, symbols in self.elements.items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FormulaColumns:
        """The columns that were written."""
        return cls(
            {name: tuple(one["elements"]) for name, one in content.items()},
            {name: tuple(Column.from_json(column) for column in one["columns"]) for name, one in content.items()},
        )


def _numbers(formulas: pd.Series, name: str, symbols: Sequence[str]) -> pd.DataFrame:
    """Fractions of elements and averages over the atoms, float64, of a column of formulas."""
    averages = [f"mean {what}" for what in AVERAGES]
    texts = [text or "" for text in formulas]
    parsed = parse_formulas(texts)
    out = np.full((len(texts), len(symbols) + len(averages)), np.nan)
    if len(parsed.batch):
        kept = [feature_names().index(what) for what in averages]
        out[parsed.rows, : len(symbols)] = _fractions(parsed.batch, symbols)
        out[parsed.rows, len(symbols) :] = magpie_features(parsed.batch)[:, kept]
    return pd.DataFrame(out, columns=[f"{name} {what}" for what in (*symbols, *averages)], index=formulas.index)


def _elements_of(formulas: pd.Series) -> tuple[str, ...]:
    """Symbols of the elements in formulas, by atomic number."""
    elements = parse_formulas([text or "" for text in formulas]).batch.elements
    return tuple(str(SYMBOLS[number]) for number in np.unique(elements[elements > 0]))


def _fractions(batch: CompositionBatch, symbols: Sequence[str]) -> np.ndarray:
    """Atomic fractions of some elements, float64 `(n, elements)`."""
    share = batch.counts / batch.counts.sum(axis=1, keepdims=True)
    wanted = np.array([ATOMIC_NUMBER[symbol] for symbol in symbols])
    return ((batch.elements[:, :, None] == wanted) * share[:, :, None]).sum(axis=1)


def _decimals(frame: pd.DataFrame) -> dict[str, int]:
    """Decimals with which about `_LEVELS` numbers lie between the least and the largest of each column."""
    span = (frame.max() - frame.min()).to_numpy(np.float64)
    wide = np.where(np.isfinite(span) & (span > 0), span, 1.0)
    return dict(zip(frame.columns, np.ceil(np.log10(_LEVELS / wide)).clip(0, 12).astype(int).tolist(), strict=True))
