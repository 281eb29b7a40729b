"""A tiny grammar of row conditions: `band_gap > 1.98 and formation_energy_oqmd <= 0`. Nothing is evaluated as code."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from matgen.errors import OptionError

_OPERATORS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CONDITION = re.compile(
    r"""\s*(?P<column>[^<>=!]+?)\s*
    (?P<operator>>=|<=|==|!=|>|<|=)\s*
    (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*""",
    re.VERBOSE,
)
_FORM = "write conditions as 'COLUMN > NUMBER', joined by 'and' (operators > >= < <= == !=)"


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a number."""

    column: str
    operator: str
    number: float


def parse_where(text: str) -> list[Condition]:
    """The comparisons of a condition text, all of which must hold.

    Raises:
        OptionError: the text is not of the form `column op number [and ...]`.
    """
    conditions = []
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise OptionError(f"cannot read the condition {part!r}: {_FORM}")
        conditions.append(Condition(match["column"], match["operator"], float(match["number"])))
    return conditions


def where_mask(
    frame: pd.DataFrame, text: str, aliases: Mapping[str, str | tuple[str, ...]] | None = None
) -> np.ndarray:
    """Rows for which every comparison holds, bool `(n,)`. A missing value fails each comparison, `!=` included.

    Args:
        frame: the rows.
        text: the conditions, see `parse_where`.
        aliases: other names of columns, such as `band_gap` for `band_gap_mp`; a column of that very name goes first. A
            name of several columns is the lowest of the values that a row has.

    Raises:
        OptionError: bad grammar, no such column (the numeric ones are listed), or a column that holds no numbers.
    """
    return conditions_mask(frame, parse_where(text), aliases)


def conditions_mask(
    frame: pd.DataFrame, conditions: Iterable[Condition], aliases: Mapping[str, str | tuple[str, ...]] | None = None
) -> np.ndarray:
    """`where_mask` of comparisons that were read already; all rows where there is none."""
    mask = np.ones(len(frame), dtype=bool)
    for condition in conditions:
        # The number is rounded to the column's own precision: a float32 of 1.98 is not greater than 1.98.
        values = numeric_column(frame, condition.column, aliases)
        mask &= _OPERATORS[condition.operator](values, condition.number) & ~np.isnan(values)
    return mask


def numeric_column(
    frame: pd.DataFrame, name: str, aliases: Mapping[str, str | tuple[str, ...]] | None = None
) -> np.ndarray:
    """A column's numbers in its own precision, float32 or float64 `(n,)`, NaN where there is none.

    Args:
        frame: the rows.
        name: of the column, or another name of it.
        aliases: other names of columns; a column of that very name goes first. A name of several columns is the lowest
            of the values that a row has.

    Raises:
        OptionError: no such column (the numeric ones are listed), or one that holds text.
    """
    column = name if name in frame.columns else (aliases or {}).get(name, name)
    if isinstance(column, tuple):
        several = [numeric_column(frame, one) for one in column]
        return np.asarray(np.fmin.reduce(several))  # a missing value is passed over
    if column not in frame.columns:
        known = [str(one) for one in frame.columns if pd.api.types.is_numeric_dtype(frame[one])]
        raise OptionError(f"no column {name!r} to compare; numeric columns: {', '.join(known) or 'none'}")
    if not pd.api.types.is_numeric_dtype(frame[column]):
        raise OptionError(f"column {column!r} holds text, which cannot be compared with a number")
    precision = np.float32 if frame[column].dtype == np.float32 else np.float64
    return frame[column].to_numpy(dtype=precision, na_value=np.nan)
