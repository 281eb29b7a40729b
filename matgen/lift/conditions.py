"""Conditions on the columns of drawn rows, `age >= 40` or `class in a,b`, as the tokens that may be drawn for them.

A condition is kept while a value is decoded, digit by digit, and never by drawing again: what lies outside has no
probability (constrained decoding: Willard and Louf, "Efficient Guided Generation for Large Language Models", 2023).
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from matgen.errors import DataError, OptionError
from matgen.lift.cells import DATES
from matgen.lift.codec import Codec, Places
from matgen.lift.columns import Column, as_numbers, as_source

_OPERATOR = re.compile(r"\s*(<=|>=|!=|==|=|<|>|\bnot\s+in\b|\bin\b)\s*([^\s<>=!].*)", re.DOTALL)
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Interval = tuple[int, int]


@dataclass(frozen=True)
class Condition:
    """One condition on one column.

    Attributes:
        text: as it was given.
        column: on which.
        operator: `<`, `<=`, `>`, `>=`, `in` or `not in` (of one value: `=` or `!=`).
        values: one, or those of a set.
    """

    text: str
    column: Column
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Permitted:
    """What may be drawn for a column.

    Attributes:
        intervals: steps (of numbers) or codes (of categories), the first and the last of each interval, int64 `(k, 2)`.
        numbers: the numbers of a set, one of which a drawn one stands for; empty where there is no set.
    """

    intervals: Tensor
    numbers: tuple[float, ...] = ()

    def exactly(self, drawn: Sequence[float]) -> list[float]:
        """Drawn numbers as the given ones that they stand for, which may have more decimals than the column."""
        if not self.numbers:
            return list(drawn)
        given = np.array(self.numbers)
        return [float(given[np.abs(given - number).argmin()]) for number in drawn]


def parse(text: str, columns: Iterable[Column]) -> Condition:
    """The condition that a text states.

    Raises:
        OptionError: it is none, names no column, or compares what has no order.
    """
    columns = list(columns)
    for column in sorted(columns, key=lambda one: -len(one.name)):
        stripped = text.strip()
        matched = _OPERATOR.fullmatch(stripped[len(column.name) :]) if stripped.startswith(column.name) else None
        if matched is None:
            continue
        sign, listed = " ".join(matched[1].split()), matched[2].strip()
        parts = listed.split(",") if sign.endswith("in") else [listed]
        values = tuple(value for part in parts if (value := part.strip().strip("\"'")))
        if not values:
            break
        sign = {"=": "in", "==": "in", "!=": "not in"}.get(sign, sign)
        if column.type in ("text", "formula"):
            raise OptionError(f"{text!r}: {column.name!r} is {column.type}; conditions are on numbers and categories")
        if column.type == "category" and column.source_type != "number" and sign in _COMPARED:
            raise OptionError(f"{text!r}: the values of {column.name!r} have no order; give {column.name} in A,B")
        return Condition(text.strip(), column, sign, values)
    raise OptionError(
        f"condition {text!r}: give NAME >= NUMBER or NAME in A,B; the columns are "
        + ", ".join(column.name for column in columns[:20])
    )


def permitted(texts: Iterable[str], codec: Codec) -> dict[str, Permitted]:
    """What may be drawn for each column on which there is a condition, by its name.

    Raises:
        OptionError: a text is no condition.
        DataError: no value that was learned from meets a condition, or all of those on a column.
    """
    places_of = {places.column.name: places for places in codec.places}
    by_column: dict[str, list[Condition]] = {}
    for text in texts:
        condition = parse(text, codec.columns)
        by_column.setdefault(condition.column.name, []).append(condition)
    return {name: _permitted(conditions, places_of[name]) for name, conditions in by_column.items()}


def _permitted(conditions: Sequence[Condition], places: Places) -> Permitted:
    column = places.column
    if places.levels == 0:
        raise DataError(f"{conditions[0].text}: no training row has a value in {column.name!r}")
    left: list[Interval] = [(0, places.levels - 1)]
    of_set: tuple[float, ...] = ()
    for condition in conditions:
        if column.type == "number":
            bounds = [_number(condition, value) for value in condition.values]
            own = _steps(condition, bounds, places)
            of_set = of_set or (tuple(bounds) if condition.operator == "in" else ())
        else:
            own = _codes(condition)
        for alone in (own, left := _both(left, own)):
            if not _both(alone, _learned(places)):
                stated = " and ".join(one.text for one in conditions) if alone is left else condition.text
                raise DataError(f"{stated}: no value learned from meets it; {_range_of(column)}")
    return Permitted(torch.tensor(left, dtype=torch.long), of_set)


def _number(condition: Condition, value: str) -> float:
    numbers = as_numbers([value], condition.column)
    if numbers is None or not np.isfinite(numbers[0]):
        raise DataError(f"{condition.text}: {value!r} is not a {_kind(condition.column)}")
    return float(numbers[0])


def _kind(column: Column) -> str:
    return {"duration": "duration"}.get(column.source_type, "date") if column.source_type in DATES else "number"


def _steps(condition: Condition, bounds: Sequence[float], places: Places) -> list[Interval]:
    """Steps of a column of numbers that meet a condition; numbers rise with their steps."""
    steps, last = range(places.levels), places.levels - 1

    def number(step: int) -> float:
        return float(places.unscaled(np.array([places.low + step * places.step]))[0])

    def below(bound: float, *, included: bool) -> Interval:
        return 0, (bisect_right if included else bisect_left)(steps, bound, key=number) - 1

    if condition.operator in ("<", "<="):
        return _filled([below(bounds[0], included=condition.operator == "<=")])
    if condition.operator in (">", ">="):
        return _filled([(below(bounds[0], included=condition.operator == ">")[1] + 1, last)])
    if condition.operator == "in":
        nearest = np.rint((places.scaled(np.array(bounds)) - places.low) / places.step).astype(int)
        off = next((i for i, step in enumerate(nearest) if not 0 <= step <= last), None)
        if off is not None:
            raise DataError(
                f"{condition.text}: no value learned from is {condition.values[off]}; {_range_of(places.column)}"
            )
        return sorted({(int(step), int(step)) for step in nearest})
    left: list[Interval] = [(0, last)]
    for bound in bounds:
        before = below(bound, included=False)
        left = _both(left, _filled([before, (below(bound, included=True)[1] + 1, last)]))
    return left


def _codes(condition: Condition) -> list[Interval]:
    """Codes of categories that meet a condition."""
    column = condition.column
    if condition.operator in _COMPARED:
        bound, compared = _number(condition, condition.values[0]), _COMPARED[condition.operator]
        return [(i, i) for i, value in enumerate(column.values) if compared(float(value), bound)]
    named = {_category(condition, value) for value in condition.values}
    kept = named if condition.operator == "in" else set(range(len(column.values))) - named
    return [(i, i) for i in sorted(kept)]


def _category(condition: Condition, value: str) -> int:
    values = condition.column.values
    if value in values:
        return values.index(value)
    alike = [i for i, known in enumerate(values) if known.casefold() == value.casefold()]
    if len(alike) != 1:
        raise DataError(f"{condition.text}: {value!r} in {condition.column.name!r} is none of {', '.join(values[:20])}")
    return alike[0]


def _learned(places: Places) -> list[Interval]:
    """Steps between the least and the largest number learned from, or all codes."""
    column = places.column
    if column.type == "category":
        return [(0, places.levels - 1)]
    ends = np.rint((places.scaled(np.array([column.low, column.high])) - places.low) / places.step).astype(int)
    return [(max(0, int(ends[0])), min(places.levels - 1, int(ends[1])))]


def _range_of(column: Column) -> str:
    if column.type == "category":
        return f"{column.name!r} is one of {', '.join(column.values[:20])}"
    low, high = as_source([column.low, column.high], column).tolist()
    return f"{column.name!r} goes from {low} to {high}"


def _both(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    return sorted(_filled([(max(a, c), min(b, d)) for a, b in one for c, d in other]))


def _filled(intervals: Iterable[Interval]) -> list[Interval]:
    return [(first, last) for first, last in intervals if first <= last]
