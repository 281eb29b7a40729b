"""The candidate table of the page: which columns, how each is shown, and the rows as data for the page's script.

A column of yes and no is a string of `1`, `0` and `-` (one character a row), every other column a list; that keeps ten
thousand candidates below a megabyte.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from matgen.evaluation.candidate_table import name_of_theirs
from matgen.evaluation.labels import COLUMNS, METRICS
from matgen.validity import RARE

MOST_ROWS = 20_000
"""Candidates embedded in the page; the first rows of the table."""

PAGE_ROWS = 50
"""Rows that the page shows at once, and without its script."""

_MOST_INPUT_COLUMNS = 12
_INPUT_COLUMNS_AT_FIRST = 3
_MOST_TEXT = 200
_EXTRA = {
    "charge_neutral",
    "electronegativity_balanced",
    "rarest_state_share",
    "oxidation_state_score",
    "metallicity_score",
    "near_duplicate_of",
    "duplicate_of",
    "all_metal",
    "rare_state",
    "parsed",
    "judged",
}
"""Columns of ours that are shown only where all are asked for: the table is to fit 1280 pixels."""


_FORMULAS = ("reduced_formula", "near_duplicate_of")
_FLAGS = (
    "valid",
    "balanced_common",
    "novel",
    "charge_neutral",
    "electronegativity_balanced",
    "all_metal",
    "parsed",
    "judged",
)
_NUMBERS = ("oxidation_state_score", "rarest_state_share", "metallicity_score")
_LEADING = (
    "reduced_formula",
    "valid",
    "balanced_common",
    "novel",
    "charge_neutral",
    "electronegativity_balanced",
    "oxidation_states",
    "rarest_state",
    "rarest_state_share",
    "oxidation_state_score",
    "metallicity_score",
    "reason",
    "near_duplicate_of",
    "duplicate_of",
    "all_metal",
    "parsed",
    "judged",
)
"""Our columns in the order of the page; the input's stand around them."""


@dataclass(frozen=True)
class Column:
    """A column of the page.

    Attributes:
        name: in the table.
        title: in the head.
        meaning: one sentence, for the pointer.
        kind: `flag` (yes or no), `number`, `row` (a row's number, from 1), `formula`, `ions`, `state`, `links`, `text`.
        values: of the rows on the page: str, float, int, bool or None; of `links` lists of label and address.
        marked: of a `state`, rows whose value stands out; empty for other kinds.
        hidden: whether it is there to filter by alone.
        lower: of a `number`, whether low values are the better ones, which sorting begins with.
        digits: of a `number`, decimals that are shown; None for as many as it has.
        extra: whether it is shown only where all columns are asked for.
    """

    name: str
    title: str
    meaning: str
    kind: str
    values: list[Any]
    marked: list[bool] = field(default_factory=list)
    hidden: bool = False
    lower: bool = False
    digits: int | None = None
    extra: bool = False

    @property
    def style(self) -> str:
        """Class of its cells in the style sheet."""
        return "text reason" if self.name == "reason" else self.kind


@dataclass(frozen=True)
class Candidates:
    """What the page shows of a judged table.

    Attributes:
        columns: in order.
        n: rows on the page.
        total: rows of the table.
        left_out: names of input columns that the page does not show.
    """

    columns: list[Column]
    n: int
    total: int
    left_out: list[str]

    def flags(self) -> list[Column]:
        """Columns of yes and no, each of which gets a filter."""
        return [column for column in self.columns if column.kind == "flag"]

    def shown(self) -> list[Column]:
        """Columns that are shown from the beginning."""
        return [column for column in self.columns if not column.hidden and not column.extra]

    def json(self) -> Markup:
        """The rows as JSON that may stand in a `<script>`: no character of it can end the element or open another."""
        data = {
            "n": self.n,
            "columns": [
                {
                    "name": column.name,
                    "kind": column.kind,
                    "style": column.style,
                    "values": _bits(column.values) if column.kind == "flag" else column.values,
                }
                | ({"marked": _bits(list(column.marked))} if column.marked else {})
                | ({"hidden": True} if column.hidden else {})
                | ({"lower": True} if column.lower else {})
                | ({"extra": True} if column.extra else {})
                | ({} if column.digits is None else {"digits": column.digits})
                for column in self.columns
            ],
        }
        return embedded_json(data)

    def first_rows(self, most: int = PAGE_ROWS) -> list[list[Markup]]:
        """The rows that are there without the script, as HTML cells."""
        shown = min(most, self.n)
        return [[_cell(column, i) for column in self.shown()] for i in range(shown)]


def candidates(frame: pd.DataFrame, total: int) -> Candidates:
    """Choose and convert the columns of a judged table.

    Columns that would say the same in every row (all parsed, all judged, none near a known one) are left out, and so is
    the reduced formula where the input is written that way.

    Args:
        frame: with the columns of `labels.COLUMNS`; only the first `MOST_ROWS` rows are used.
        total: rows of the whole table.
    """
    frame = frame.head(MOST_ROWS)
    inputs = [name for name in frame.columns if name not in COLUMNS]
    formula = [name for name in inputs if str(name) == "formula"]
    others = [name for name in inputs if name not in formula]
    columns = [Column("formula", "formula", "as the input writes it", "text", _texts(frame[name])) for name in formula]
    written = columns[0].values if columns else None
    for name in _LEADING:
        if name not in frame:
            continue
        column = _ours(name, frame)
        if name == "reduced_formula" and column.values == written:
            # The input writes formulas as we do: one column, shown as a formula.
            columns[0] = Column("formula", "formula", columns[0].meaning, "formula", column.values)
        elif not _says_nothing(column):
            columns.append(column)
        if name == "rarest_state":
            columns += [_rare_state(frame)] if any(column.marked) else []
        if name == "novel" and "duplicate_of" in frame and "parsed" in frame:
            columns.append(_first_of_its_kind(frame))
    columns += [_input(_shown(str(name)), frame[name]) for name in others[:_MOST_INPUT_COLUMNS]]
    columns = [replace(column, extra=column.name in _EXTRA) for column in columns]
    at_first = sum(column.name not in COLUMNS and not column.extra for column in columns)
    for place in range(len(columns) - 1, -1, -1):  # the last of the input's own columns go first
        if at_first > _INPUT_COLUMNS_AT_FIRST and columns[place].name not in COLUMNS:
            columns[place], at_first = replace(columns[place], extra=True), at_first - 1
    return Candidates(columns, len(frame), total, [_shown(str(name)) for name in others[_MOST_INPUT_COLUMNS:]])


def embedded_json(data: Any) -> Markup:
    """JSON for a `<script type="application/json">`: `<`, `>`, `&`, U+2028 and U+2029 are written as escapes."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone surrogate cannot be written as UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return Markup(re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text))


def _ours(name: str, frame: pd.DataFrame) -> Column:
    label, values = COLUMNS[name], frame[name]
    if name in _FLAGS:
        return Column(name, label.title, label.meaning, "flag", _flags(values))
    if name == "duplicate_of":
        rows = [None if pd.isna(value) else int(value) + 1 for value in values]
        return Column(name, "duplicate of row", f"{label.meaning}, rows numbered from 1", "row", rows)
    if name in _NUMBERS:
        return Column(name, label.title, label.meaning, "number", [_number(value) for value in values.tolist()])
    if name == "rarest_state":
        return Column(name, label.title, label.meaning, "state", _texts(values), _is_rare(frame))
    kind = "formula" if name in _FORMULAS else "ions" if name == "oxidation_states" else "text"
    return Column(name, label.title, label.meaning, kind, _texts(values))


def _is_rare(frame: pd.DataFrame) -> list[bool]:
    rare: list[bool] = (frame["rarest_state_share"] < RARE).tolist()
    return rare


def _rare_state(frame: pd.DataFrame) -> Column:
    """A column to filter by, where there are rare states at all."""
    return Column("rare_state", "rare state", METRICS["rare_state"].meaning, "flag", _is_rare(frame))


def _first_of_its_kind(frame: pd.DataFrame) -> Column:
    unique = frame["duplicate_of"].isna().to_numpy(bool) & frame["parsed"].to_numpy(bool)
    return Column("unique", "unique", "the first row with its composition", "flag", unique.tolist())


def _input(name: str, values: pd.Series) -> Column:
    """A column of the input, by what is in it."""
    meaning = "a column of the input"
    if pd.api.types.is_bool_dtype(values.dtype):
        return Column(name, name, meaning, "flag", _flags(values))
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_complex_dtype(values.dtype):
        return Column(name, name, meaning, "number", [_number(value) for value in values.tolist()])
    return Column(name, name, meaning, "text", _texts(values))


def _shown(name: str) -> str:
    """The name of a column of the input; one that is called like one of ours is told apart."""
    theirs = name_of_theirs(name)
    return name if theirs == name else f"{theirs} (input)"


def _says_nothing(column: Column) -> bool:
    if column.kind == "flag":
        return column.name in ("parsed", "judged") and all(column.values)
    return all(value is None for value in column.values)


def _flags(values: pd.Series) -> list[bool | None]:
    return [None if missing else bool(value) for value, missing in zip(values, values.isna(), strict=True)]


def _texts(values: pd.Series) -> list[str | None]:
    return [None if _missing(value) else _clip(str(value)) for value in values]


def _number(value: Any) -> float | int | None:
    """Six digits are enough to look at; infinities are no JSON."""
    if _missing(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return float(f"{value:.6g}") if isinstance(value, float) else int(value)


def _missing(value: Any) -> bool:
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return value is None or value is pd.NA or value is pd.NaT


def _clip(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def _bits(values: list[bool | None]) -> str:
    return "".join("-" if value is None else "1" if value else "0" for value in values)


def _cell(column: Column, i: int) -> Markup:
    """A value as the page's script would show it; the script's `show` does the same."""
    kind, value, marked = column.kind, column.values[i], any(column.marked[i : i + 1])
    if kind == "number" and value is not None and column.digits is not None:
        return escape(f"{value:.{column.digits}f}")
    if value is None:
        return Markup("")
    if kind == "flag":
        return Markup('<span class="{}">{}</span>').format(*(("yes", "yes") if value else ("no", "no")))
    if kind in ("number", "row"):
        return escape(f"{value:,}" if kind == "row" else repr(value))
    if kind == "formula":
        return Markup(re.sub(r"(\d+)", r"<sub>\1</sub>", str(escape(value)))) if _plain(value) else escape(value)
    if kind == "state" and marked:
        return Markup('<strong class="rare">{}</strong>').format(value)
    if kind == "links":
        return Markup(" ").join(Markup('<a href="{}">{}</a>').format(address, label) for label, address in value)
    if kind == "ions":
        return Markup(" ").join(_ion(word) for word in value.split(" "))
    return escape(value)


def _plain(formula: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9()]+", formula) is not None


def _ion(word: str) -> Markup:
    match = re.fullmatch(r"(\d*[A-Z][a-z]?)(\d*[+-])", word)
    return Markup("{}<sup>{}</sup>").format(match[1], match[2]) if match else escape(word)
