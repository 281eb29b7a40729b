"""What the columns of a table are: numbers with a precision that keeps their information, categories, text, formulas.

A column is described once, from the training rows; rows that come later are read by that description, so
that numbers given as text, columns in another order and missing cells mean the same at any time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from matgen.datasets.column_types import as_texts
from matgen.errors import DataError, MatgenWarning, OptionError, unknown_name
from matgen.lift import cells as cell_numbers
from matgen.lift.cells import BARE, DATES, Numbers
from matgen.lift.number_format import NumberFormat, number_format
from matgen.lift.recognition import are_formulas, recognized_numbers, unit_of

COLUMN_TYPES = ("number", "category", "text", "formula")
_FORMER_KEYS = {"kind": "type", "was": "source_type"}
"""Attributes of a column by their names in files of 0.2."""
_FEW_VALUES = 64
"""Distinct texts up to which a column is a category."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: as in the table.
        type: `number`, `category`, `text` or `formula`.
        unit: written after each value; empty where there is none.
        format: of numbers, how they are written.
        values: of categories, the values seen, sorted.
        low, high: of numbers, the least and the largest seen.
        spread: of numbers, their standard deviation.
        whole: of numbers, all seen were whole.
        source_type: of the cells that were described: `number`, `bool`, `date`, `duration`, `date text` or `text`;
            drawn values are returned as such. Dates are numbers of days since 1970, durations of days.
        pattern: of numbers, how cells are written, such as `{}%`.
        decimal: of numbers, the mark of decimals in cells that are written otherwise than as plain numbers; else empty.
    """

    name: str
    type: str
    unit: str = ""
    format: NumberFormat | None = None
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    spread: float = 1.0
    whole: bool = False
    source_type: str = "text"
    pattern: str = BARE
    decimal: str = ""

    def as_json(self) -> dict[str, Any]:
        """The description as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Column:
        """The column that `as_json` described, here or in 0.2."""
        made = {_FORMER_KEYS.get(key, key): value for key, value in content.items()}
        made["values"] = tuple(made["values"])
        made["format"] = NumberFormat(**made["format"]) if made["format"] else None
        return cls(**made)

    def padded_range(self, padding: float = 0.1) -> tuple[float, float]:
        """The range of the numbers seen, wider by a share of it; what was never below zero stays there."""
        more = padding * ((self.high - self.low) or abs(self.high) or 1.0)
        low = self.low - more
        return (max(0.0, low) if self.low >= 0 else low), self.high + more


def describe(
    frame: pd.DataFrame,
    *,
    units: Mapping[str, str] | None = None,
    precision: Mapping[str, int] | None = None,
    column_types: Mapping[str, str] | None = None,
) -> list[Column]:
    """Describe the columns of a table.

    Numbers get as many decimals as make the step between them at most a hundredth of their standard deviation, or up
    to three more where those write every number exactly; very small or large columns a common exponent, and columns
    whose magnitudes span more than four orders of ten scientific notation. Text that reads as numbers is numbers, with
    one unit in all cells (`45%`, `$1.50`) too, which a `MatgenWarning` says; dates are numbers of days. Codes with
    leading zeros, integers that a number would change, and what pandas holds as a category are not numbers.

    Args:
        frame: `n` rows.
        units: of columns by name.
        precision: decimals of columns by name.
        column_types: of columns by name, where the inferred type is not what is meant.

    Raises:
        DataError: an infinite number, or a name that occurs twice.
        OptionError: a unit, precision or type for a column that is not there, or an unknown type.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the table has more than one column {twice!r}: rename one")
    for option in (units, precision, column_types):
        for name in option or {}:
            if name not in names:
                raise OptionError(f"there is no column {name!r}; the table has {', '.join(names[:20])}")
    for column_type in (column_types or {}).values():
        if column_type not in COLUMN_TYPES:
            raise unknown_name("column type", column_type, COLUMN_TYPES)
    return [
        _described(
            name,
            frame.iloc[:, i],
            (units or {}).get(name, ""),
            (precision or {}).get(name),
            (column_types or {}).get(name),
        )
        for i, name in enumerate(names)
    ]


def types_of_mixed(frame: pd.DataFrame) -> dict[str, str]:
    """Name to type of each column that holds numbers and cells that are none (`>60`), as the whole table shows it.

    A part of the rows, such as those to train on, may hold numbers alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MatgenWarning)
        columns = describe(frame)
    mixed = {}
    for place, column in enumerate(columns):
        if column.type != "number" and column.source_type == "text":
            texts = pd.Series(as_texts(frame.iloc[:, place]), dtype=object)
            if pd.to_numeric(texts, errors="coerce").notna().any():
                mixed[column.name] = column.type
    return mixed


def _described(name: str, cells: pd.Series, unit: str, decimals: int | None, column_type: str | None) -> Column:
    source_type = cell_numbers.source_of(cells)
    categorical = isinstance(cells.dtype, pd.CategoricalDtype)
    if column_type == "number" or (column_type is None and source_type != "bool" and not categorical):
        numbers = recognized_numbers(name, cells, source_type, given=column_type == "number")
        if numbers is None and column_type == "number":
            raise DataError(f"column {name!r} has the type number, and {_first_non_number(cells)[1]!r} is none")
        if numbers is not None and (column_type == "number" or np.isfinite(numbers.values).any()):
            unit = unit or unit_of(numbers, source_type)
            return _number_column(name, numbers, unit, decimals, source_type)
    texts = as_texts(cells)
    present = sorted({text for text in texts if text is not None})
    if column_type is None:
        column_type = "formula" if source_type == "text" and are_formulas(name, present) else None
        column_type = column_type or ("category" if categorical or len(present) <= _FEW_VALUES else "text")
    return Column(
        name, column_type, unit, values=tuple(present) if column_type == "category" else (), source_type=source_type
    )


def _number_column(name: str, found: Numbers, unit: str, decimals: int | None, source_type: str) -> Column:
    numbers = found.values
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise DataError(f"column {name!r}, row {row + 1}: an infinite number; clear it or drop the row")
    present = numbers[np.isfinite(numbers)]
    if not len(present):
        return Column(name, "number", unit, NumberFormat(decimals or 0), source_type=source_type)
    return Column(
        name,
        "number",
        unit,
        number_format(present, decimals),
        low=float(present.min()),
        high=float(present.max()),
        spread=float(present.std()) or 1.0,
        whole=bool((present == np.rint(present)).all()),
        source_type=source_type,
        pattern=found.pattern,
        decimal=found.decimal,
    )


def as_numbers(cells: Iterable[Any], column: Column | None = None) -> np.ndarray | None:
    """Cells as float64 `(n,)`, missing ones as nan; None where some cell is no number.

    Args:
        cells: of one column, with one unit in all of them or none.
        column: as which they are read, where it was described; dates and durations are days.
    """
    series = cells if isinstance(cells, pd.Series) else pd.Series(list(cells), dtype=object)
    source = cell_numbers.source_of(series)
    if column is None:
        numbers = cell_numbers.plain_numbers(series) or cell_numbers.marked_numbers(series)
        if numbers is None or source in DATES:
            return None
        # Cells such as `NA` alone are texts, and missing numbers only where others are numbers.
        words_alone = source == "text" and series.notna().any() and np.isnan(numbers.values).all()
        return None if words_alone else numbers.values
    if column.source_type in DATES:
        other = source in ("number", "bool") and series.notna().any()
        return None if other else cell_numbers.days(series, column.source_type)
    return None if source in DATES else cell_numbers.by_pattern(series, column.pattern, column.decimal)


def typed(frame: pd.DataFrame, columns: Iterable[Column], *, where: str = "the table") -> pd.DataFrame:
    """The columns that are described, in their order: numbers as float64 (missing: nan), all else as text or None.

    Raises:
        DataError: a column is missing, or a cell of a column of numbers is text; the message names the row.
    """
    names = {str(name): name for name in frame.columns}
    out: dict[str, Any] = {}
    for column in columns:
        if column.name not in names:
            raise DataError(f"{where} has no column {column.name!r}; it has {', '.join(list(names)[:20])}")
        cells = frame[names[column.name]]
        if column.type != "number":
            out[column.name] = pd.Series(as_texts(cells), dtype=object)
            continue
        numbers = as_numbers(cells, column)
        if numbers is None:
            row, text = _first_non_number(cells, column)
            raise DataError(f"{where}, row {row + 1}: {text!r} in {column.name!r} is not a number")
        if np.isinf(numbers).any():
            row = int(np.flatnonzero(np.isinf(numbers))[0])
            raise DataError(f"{where}, row {row + 1}: an infinite number in {column.name!r}")
        out[column.name] = pd.Series(numbers)
    return pd.DataFrame(out, index=pd.RangeIndex(len(frame)))


def as_source(cells: Iterable[Any], column: Column) -> pd.Series:
    """Values of a typed column, as its cells were: dates, flags and integers as such, numbers with their unit."""
    series = pd.Series(cells)
    there = series.notna()
    if column.type == "number":
        numbers = series.astype(np.float64)
        if column.source_type in DATES:
            return cell_numbers.from_days(numbers, column.source_type)
        if column.decimal and column.format is not None:
            texts = [column.format.text(number) if number == number else None for number in numbers]
            written = [text and column.pattern.replace(BARE, text.replace(".", column.decimal)) for text in texts]
            return pd.Series(written, dtype=object)
        whole = column.whole and there.all() and bool((numbers == np.rint(numbers)).all())
        return numbers.astype(np.int64) if whole else numbers
    if column.type != "category" or column.source_type not in ("bool", "number"):
        return series
    if column.source_type == "bool":
        flags = [cell == "True" if known else None for cell, known in zip(series, there, strict=True)]
        return pd.Series(flags, dtype=bool if there.all() else object)
    try:
        integers = [int(cell) if known else pd.NA for cell, known in zip(series, there, strict=True)]
        return pd.Series(integers, dtype="int64" if there.all() else "Int64")
    except (ValueError, OverflowError):
        return pd.to_numeric(series)


def _first_non_number(cells: pd.Series, column: Column | None = None) -> tuple[int, str]:
    """The 0-based row and the text of the first cell that is no number."""
    for row, text in enumerate(as_texts(cells)):
        if as_numbers([cells.iloc[row]], column) is None:
            return row, str(text)
    return 0, next((text for text in as_texts(cells) if text is not None), "")  # units differ
