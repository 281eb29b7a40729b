"""A tiny grammar of row conditions: `band_gap > 1.98 and (source == "exp" or in_mp == true)`; no code is evaluated.

Pandas' `query` would also read `@` and method calls, so a text from a web page or a script could run anything.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from matgen.errors import MatgenWarning, OptionError

Aliases = Mapping[str, str | tuple[str, ...]]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_COMPARISON = re.compile(
    r"""\s*(?:`(?P<quoted>[^`]+)`|(?P<column>[^<>=!`"']+?))\s*
    (?P<operator>>=|<=|==|!=|>|<|=)\s*
    (?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    | "(?P<text>[^"]*)" | '(?P<text2>[^']*)'
    | (?P<word>[^\W\d][\w.-]*))\s*""",
    re.VERBOSE,
)
_JOINED = re.compile(r"(?:^|\s)\s*(?:and|or|not)\s", re.IGNORECASE)
_JOINT = re.compile(r"\s*\b(and|or)\b\s+|\s*(&&?|\|\|?)\s*", re.IGNORECASE)
_MISSING = {"nan", "none", "null", "na"}
_FLAGS = {"yes": True, "no": False, "true": True, "false": False}
"""Words for true and false, with which a column of these is compared."""
_MOST_NESTED = 20
_FORM = (
    "write conditions as 'COLUMN > NUMBER' or 'COLUMN == \"TEXT\"', joined by 'and' or 'or' (operators > >= < <= == !=)"
)


@dataclass(frozen=True)
class Condition:
    """One comparison of a column with a number, a text, or true or false."""

    column: str
    operator: str
    value: float | bool | str

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, as it is written."""
        return (self.column,)

    def __str__(self) -> str:
        if isinstance(self.value, bool):
            return f"{self.column} {self.operator} {str(self.value).lower()}"
        value = f'"{self.value}"' if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.column} {self.operator} {value}"


@dataclass(frozen=True)
class Joined:
    """Conditions of which all (`and`) or at least one (`or`) must hold."""

    joint: str
    parts: tuple[Condition | Joined, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, as they are written."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.columns))

    def __str__(self) -> str:
        return f" {self.joint} ".join(f"({part})" if isinstance(part, Joined) else str(part) for part in self.parts)


def parse_where(text: str) -> list[Condition | Joined]:
    """The conditions of a text, all of which must hold.

    `and` binds closer than `or`, as everywhere; parentheses group. Names of columns may have blanks and parentheses
    (`gap (eV) > 1`); others are written in backticks. Text is written in quotation marks, which a single word needs not
    have.

    Raises:
        OptionError: the text cannot be read.
    """
    reader = _Reader(text)
    found = reader.alternatives(0)
    if reader.position < len(text.rstrip()):
        raise reader.error()
    return list(found.parts) if isinstance(found, Joined) and found.joint == "and" else [found]


class _Reader:
    """Recursive descent through a text."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def alternatives(self, depth: int) -> Condition | Joined:
        """Conditions joined by `or`."""
        return self._joined("or", lambda: self._joined("and", lambda: self._single(depth)))

    def _joined(self, joint: str, part: Callable[[], Condition | Joined]) -> Condition | Joined:
        parts = [part()]
        while (match := _JOINT.match(self.text, self.position)) and _name_of(match) == joint:
            self.position = match.end()
            parts.append(part())
        if len(parts) == 1:
            return parts[0]
        # What was in parentheses of its own, but joined in the same way, is no level of its own.
        inner = (one.parts if isinstance(one, Joined) and one.joint == joint else (one,) for one in parts)
        return Joined(joint, tuple(one for some in inner for one in some))

    def _single(self, depth: int) -> Condition | Joined:
        """A comparison, or conditions in parentheses."""
        opening = re.compile(r"\s*\(").match(self.text, self.position)
        if opening is None:
            return self._comparison()
        if depth == _MOST_NESTED:
            raise OptionError(f"parentheses nested more than {_MOST_NESTED} deep in the condition")
        self.position = opening.end()
        found = self.alternatives(depth + 1)
        closing = re.compile(r"\s*\)").match(self.text, self.position)
        if closing is None:
            raise self.error("a parenthesis is not closed")
        self.position = closing.end()
        return found

    def _comparison(self) -> Condition:
        match = _COMPARISON.match(self.text, self.position)
        if match is None or (match["column"] and _JOINED.search(f"{match['column']} ")):
            raise self.error()
        name, sign, word = match["quoted"] or match["column"], match["operator"], match["word"]
        value: float | bool | str
        if match["number"] is not None:
            value = float(match["number"])
        elif word is None:
            value = match["text"] if match["text"] is not None else match["text2"]
        elif word.lower() in _MISSING:
            raise self.error("a missing value satisfies no condition, so there is nothing to compare with")
        else:
            value = word.lower() == "true" if word.lower() in ("true", "false") else word
        if not isinstance(value, float) and sign not in ("=", "==", "!="):
            raise self.error("only numbers can be compared by > and <")
        self.position = match.end()
        return Condition(name, sign, value)

    def error(self, why: str = "") -> OptionError:
        """Of what begins where the reader stands."""
        rest = self.text[self.position :].strip() or self.text.strip()
        part = rest[: match.start()] if (match := _JOINT.search(rest)) and match.start() else rest
        return OptionError(f"cannot read the condition {part!r}: {why or _FORM}")


def _name_of(joint: re.Match[str]) -> str:
    word: str = (joint[1] or joint[2]).lower()
    return "and" if word in ("and", "&", "&&") else "or"


def where_mask(frame: pd.DataFrame, text: str, aliases: Aliases | None = None) -> np.ndarray:
    """Rows for which the conditions hold, bool `(n,)`. A missing value fails each comparison, `!=` included.

    Args:
        frame: the rows.
        text: the conditions, see `parse_where`.
        aliases: other names of columns, such as `band_gap` for `band_gap_mp`; a column of that very name goes first. A
            name of several columns is the lowest of the values that a row has.

    Raises:
        OptionError: bad grammar, no such column, or a column that does not hold what it is compared with.
    """
    return conditions_mask(frame, parse_where(text), aliases)


def conditions_mask(
    frame: pd.DataFrame, conditions: Iterable[Condition | Joined], aliases: Aliases | None = None
) -> np.ndarray:
    """`where_mask` of conditions that were read already; all rows where there is none."""
    masks = [_mask(frame, condition, aliases) for condition in conditions]
    return np.logical_and.reduce(masks) if masks else np.ones(len(frame), dtype=bool)


def _mask(frame: pd.DataFrame, condition: Condition | Joined, aliases: Aliases | None) -> np.ndarray:
    if isinstance(condition, Joined):
        masks = [_mask(frame, part, aliases) for part in condition.parts]
        return np.asarray((np.logical_or if condition.joint == "or" else np.logical_and).reduce(masks))
    compare = _OPERATORS[condition.operator]
    name = _column_name(frame, condition.column, aliases)
    holds_text = isinstance(name, str) and name in frame.columns and not _is_numeric(frame[name])
    if holds_text and not isinstance(condition.value, float):
        return _text_mask(frame[name], condition)
    value = condition.value
    if isinstance(value, str):
        numeric_column(frame, condition.column, aliases)  # no such column
        flags = isinstance(name, str) and pd.api.types.is_bool_dtype(frame[name])
        if not flags or value.casefold() not in _FLAGS:
            held, other = ("true and false", "true or false") if flags else ("numbers", "a number")
            raise OptionError(f"column {condition.column!r} holds {held}: compare it with {other}, not {value!r}")
        value = _FLAGS[value.casefold()]
    # The number is rounded to the column's own precision: a float32 of 1.98 is not greater than 1.98.
    values = numeric_column(frame, condition.column, aliases)
    return np.asarray(compare(values, float(value)) & ~np.isnan(values))


def _text_mask(column: pd.Series, condition: Condition) -> np.ndarray:
    """Comparison of a column of text; true and false are compared in any case, as CSV files write them."""
    missing = column.isna().to_numpy(dtype=bool)
    texts = column.astype(str).to_numpy(dtype=object)
    wanted = str(condition.value)
    if (flag := _FLAGS.get(wanted.lower())) is not None:
        flags = [_FLAGS.get(text.strip().lower()) for text in texts[~missing]]
        if None not in flags:  # `== true` of a column of yes and no, and the other way around
            mask = np.zeros(len(column), dtype=bool)
            mask[~missing] = _OPERATORS[condition.operator](np.array(flags, dtype=bool), flag)
            return mask
    if isinstance(condition.value, bool):
        texts, wanted = np.array([text.strip().lower() for text in texts], dtype=object), wanted.lower()
    elif condition.operator in ("=", "==", "!="):
        _tell_of_case(condition.column, texts[~missing], wanted)
    return np.asarray(_OPERATORS[condition.operator](texts, wanted), dtype=bool) & ~missing


def _tell_of_case(name: str, texts: np.ndarray, wanted: str) -> None:
    """Warn of texts that differ from the wanted one by case alone, which makes them others."""
    other = [text for text in texts if text != wanted and text.casefold() == wanted.casefold()]
    if other:
        cells, verb = ("1 cell", "differs") if len(other) == 1 else (f"{len(other):,} cells", "differ")
        warnings.warn(
            f"{cells} of {name} {verb} from {wanted!r} by case alone, such as {other[0]!r}: texts are compared as "
            "written",
            MatgenWarning,
            stacklevel=5,
        )


def _is_numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def _column_name(frame: pd.DataFrame, name: str, aliases: Aliases | None) -> str | tuple[str, ...]:
    """The column or columns of a name: exactly written, then of another name, then in any case.

    Raises:
        OptionError: several columns differ from the name by case alone.
    """
    if name in frame.columns:
        return name
    if aliases and name in aliases:
        return aliases[name]
    folded = name.casefold()
    alike = [str(one) for one in frame.columns if str(one).casefold() == folded]
    if len(alike) > 1:
        raise OptionError(f"column {name!r} may be {' or '.join(alike)}: write it as the table does")
    other = next((column for one, column in (aliases or {}).items() if one.casefold() == folded), name)
    return alike[0] if alike else other


def numeric_column(frame: pd.DataFrame, name: str, aliases: Aliases | None = None) -> np.ndarray:
    """A column's numbers in its own precision, float32 or float64 `(n,)`, NaN where there is none.

    Args:
        frame: the rows.
        name: of the column, in any case, or another name of it.
        aliases: other names of columns; a column of that very name goes first. A name of several columns is the lowest
            of the values that a row has.

    Raises:
        OptionError: no such column (the numeric ones are listed), several that differ by case, or one that holds text.
    """
    column = _column_name(frame, name, aliases)
    if isinstance(column, tuple):
        several = [numeric_column(frame, one) for one in column]
        return np.asarray(np.fmin.reduce(several))  # a missing value is passed over
    if column not in frame.columns:
        numeric = [str(one) for one in frame.columns if _is_numeric(frame[one])]
        others = [str(one) for one in frame.columns if not _is_numeric(frame[one])]
        text = f"; of text: {', '.join(others)}" if others else ""
        raise OptionError(f"no column {name!r} to compare; numeric columns: {', '.join(numeric) or 'none'}{text}")
    values = frame[column]
    if not _is_numeric(values):
        raise OptionError(f"column {column!r} holds text, which cannot be compared with a number: write it in quotes")
    precision = np.float32 if values.dtype == np.float32 else np.float64
    return values.to_numpy(dtype=precision, na_value=np.nan)
