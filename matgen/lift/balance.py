"""Rows weighed by how rare their values of one column are, and a word where a column is so uneven that it matters.

Rows drawn for a value follow it only as well as the model knows such rows. Where most rows have one value (most band
gaps are 0), the others are seen seldom; weighed by `matgen.training.balance`, they are drawn more often in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import OptionError
from matgen.lift.columns import Column, as_source
from matgen.models.conditions import PropertyBins
from matgen.training.balance import DEFAULT_EXPONENT, UNEVEN, Balance

BINS = 24
"""Of a column of numbers, at most: with about as many rows each, but for a lowest value that fills one by itself."""


def balance_of(rows: pd.DataFrame, held_out: pd.DataFrame | None, columns: Iterable[Column], name: str) -> Balance:
    """Weights of rows to train on and to validate by, by their values of a column.

    Args:
        rows: `n` rows to train on, as `typed` returns them.
        held_out: `m` rows likewise, or None.
        columns: of the table.
        name: of the column of numbers or categories; a missing value is a value like another.

    Raises:
        OptionError: there is no such column, or it is of text or formulas.
        DataError: a column of numbers has fewer than two different values.
    """
    by_name = {column.name: column for column in columns}
    if name not in by_name:
        raise OptionError(f"balance: there is no column {name!r}; there are {', '.join(list(by_name)[:20])}")
    column = by_name[name]
    if column.type not in ("number", "category"):
        raise OptionError(f"balance: {name!r} is {column.type}; rows are balanced over numbers and categories")
    values = rows[name]
    more = values.iloc[:0] if held_out is None else held_out[name]
    if column.type == "number":
        bins = PropertyBins.of(name, values.to_numpy(np.float64), BINS)
        keys = [bins.bin_of(part.to_numpy(np.float64)) for part in (values, more)]
    else:
        code = {value: i for i, value in enumerate(column.values)}
        keys = [np.array([code.get(value, -1) for value in part], dtype=np.int64) for part in (values, more)]
    return Balance.of_keys(name, DEFAULT_EXPONENT, keys[0][:, None], keys[1][:, None])


def commonest(rows: pd.DataFrame, columns: Iterable[Column]) -> dict[str, dict[str, Any]]:
    """The value that most rows have, of each column of numbers or categories that has one, as JSON.

    Args:
        rows: as `typed` returns them.
        columns: of the table.

    Returns:
        By the column's name: `value`, and the `share` of the rows that have it, from `UNEVEN` on.
    """
    found = {}
    for column in columns:
        if column.type not in ("number", "category") or not len(rows):
            continue
        counts = rows[column.name].value_counts()  # the commonest first, missing values left out
        if len(counts) > 1 and counts.iloc[0] >= UNEVEN * len(rows):
            value = counts.index[0]
            value = float(value) if column.type == "number" else str(value)
            found[column.name] = {"value": value, "share": float(counts.iloc[0] / len(rows))}
    return found


def advice(
    known: pd.DataFrame, columns: Iterable[Column], common: Mapping[str, Mapping[str, Any]], balanced: str | None
) -> str | None:
    """One line where rows are drawn for rare values of a column, None where they are not.

    Args:
        known: the given columns, as `typed` returns them.
        columns: of the table.
        common: what `commonest` gave.
        balanced: name of the column that the rows were balanced over, if any.
    """
    for column in columns:
        one = common.get(column.name)
        if one is None or column.name not in known or column.name == balanced:
            continue
        if (known[column.name].dropna() != one["value"]).any():
            value = as_source([one["value"]], column).iloc[0] if column.type == "number" else one["value"]
            return (
                f"{100 * one['share']:.0f} % of the rows learned from have {column.name}={value}: drawn rows follow "
                f"its other values better with guidance 2, and if it is learned with balance={column.name!r}"
            )
    return None
