"""Cells of a column as numbers: plain ones, numbers with a unit or currency, dates and durations.

Python reads `2023_01` as 202301 and `003` as 3; here the first is no number, and the second is one only where the
column is known to hold numbers: a code with leading zeros is text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from matgen.datasets.column_types import as_texts
from matgen.datasets.csv_file import MISSING
from matgen.datasets.number_marks import ColumnMarks, decimal_marks, is_number, number_text

EXACT = 2**53
"""Magnitude up to which all integers are numbers of 64 bits exactly."""
BARE = "{}"
"""How cells that are numbers alone are written."""
DATES = ("date", "duration", "date text")
"""Types of cells that are numbers of days."""

_NUMBER = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf(?:inity)?)", re.IGNORECASE)
_CODE = re.compile(r"[-+]?0\d+")
_INTEGER = re.compile(r"[-+]?\d{16,}")
_PARTS = re.compile(
    r"(?P<before>[$€£¥]\s?)?(?P<number>[-+]?[\d.,'’ \u00a0\u202f]*\d\.?(?:[eE][-+]?\d+)?)"
    r"(?P<after>\s?[%‰]|\s?°[CF]?|\s[^\s\d]{1,12}|[A-Za-zµμΩÅ]{1,6})?"
)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[-+]\d{2}:?\d{2})?)?")
_DAY = pd.Timedelta(days=1)
_EPOCH = pd.Timestamp("1970-01-01", tz="UTC")
_INFERRED = {
    "boolean": "bool",
    "datetime": "date",
    "datetime64": "date",
    "date": "date",
    "timedelta": "duration",
    "timedelta64": "duration",
}


@dataclass(frozen=True)
class Numbers:
    """Cells that were read as numbers.

    Attributes:
        values: float64 `(n,)`, missing ones as nan.
        pattern: how a cell is written, such as `{}%` or `${}`.
        decimal: mark of decimals in cells with units, separators of thousands or decimal commas; empty of plain ones.
        exact: whether all integers among them are these numbers exactly.
    """

    values: np.ndarray
    pattern: str = BARE
    decimal: str = ""
    exact: bool = True


def source_of(cells: pd.Series) -> str:
    """What cells are: `number`, `bool`, `date`, `duration`, `date text` (ISO 8601) or `text`, by all that are there."""
    dtype = cells.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return source_of(pd.Series(dtype.categories)) if len(dtype.categories) else "text"
    if pd.api.types.is_bool_dtype(dtype):
        return "bool"
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "date"
    if pd.api.types.is_timedelta64_dtype(dtype):
        return "duration"
    inferred = _INFERRED.get(pd.api.types.infer_dtype(cells, skipna=True))
    if inferred:
        return inferred
    texts = [text for text in as_texts(cells, stripped=True) if text is not None]
    return "date text" if texts and all(map(_ISO_DATE.fullmatch, texts)) else "text"


def days(cells: pd.Series, source: str) -> np.ndarray | None:
    """Dates as days since 1970 (UTC where they have no time zone), durations as days, float64 `(n,)`, missing as nan.

    None where some cell is neither.
    """
    present = np.array([text is not None for text in as_texts(cells)], dtype=bool)
    there = cells.where(present, None)
    if source == "duration":
        out = (pd.to_timedelta(there, errors="coerce") / _DAY).to_numpy(np.float64)
    else:
        form: dict[str, Any] = {} if pd.api.types.is_datetime64_any_dtype(cells.dtype) else {"format": "ISO8601"}
        dates: Any = pd.to_datetime(there, utc=True, errors="coerce", **form)
        out = ((dates - _EPOCH) / _DAY).to_numpy(np.float64)
    return None if (np.isnan(out) & present).any() else out


def from_days(numbers: Iterable[float], source: str) -> pd.Series:
    """Dates or durations from what `days` made of them, as cells of such a source."""
    series = pd.Series(np.asarray(numbers, dtype=np.float64))
    if source == "duration":
        return pd.to_timedelta(series, unit="D").dt.round("s")
    dates = pd.to_datetime(series, unit="D").dt.round("s")
    if source == "date":
        return dates
    whole = bool((dates.dropna() == dates.dropna().dt.normalize()).all())
    return dates.dt.strftime("%Y-%m-%d" if whole else "%Y-%m-%dT%H:%M:%S").astype(object)


def plain_numbers(cells: pd.Series) -> Numbers | None:
    """Cells without units as numbers, codes such as `003` too; None where some cell is text that is no number."""
    if pd.api.types.is_bool_dtype(cells.dtype):
        return Numbers(cells.to_numpy(np.float64, na_value=np.nan))
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return Numbers(cells.to_numpy(np.float64, na_value=np.nan), exact=_all_exact(cells))
    texts = _present(cells)
    if not all(text is None or _NUMBER.fullmatch(text) for text in texts):
        return None
    values = np.array([math.nan if text is None else float(text) for text in texts])
    return Numbers(values, exact=all(text is None or _is_exact(text) for text in texts))


def has_codes(cells: pd.Series) -> bool:
    """Whether a text among the cells is digits with a zero before them, which a number would lose."""
    if pd.api.types.is_numeric_dtype(cells.dtype):
        return False
    return any(text is not None and _CODE.fullmatch(text) for text in _present(cells))


def marked_numbers(cells: pd.Series) -> Numbers | None:
    """Texts that are numbers with one unit or currency in all cells, decimal commas or separators of thousands.

    None where they are not, or where it is not clear which number is meant (`1,234`).
    """
    texts = _present(cells)
    parts = [None if text is None else _PARTS.fullmatch(text) for text in texts]
    found = [part for part in parts if part is not None]
    if not found or len(found) < sum(text is not None for text in texts):
        return None
    before, after = found[0]["before"] or "", found[0]["after"] or ""
    if any((part["before"] or "", part["after"] or "") != (before, after) for part in found):
        return None
    bodies = [part["number"].strip() for part in found]
    if after[:1].isalpha() and not any("." in body or "," in body for body in bodies):
        return None  # `2D` and `3D` are names, `1.5eV` is a number
    marks = ColumnMarks()
    for body in bodies:
        marks.add(body)
    (mark,), _ = decimal_marks([marks], [""], False)
    if not mark:
        return None
    numbers = iter(float(number_text(body, mark)) for body in bodies)
    values = np.array([math.nan if part is None else next(numbers) for part in parts])
    return Numbers(values, f"{before}{BARE}{after}", mark)


def by_pattern(cells: pd.Series, pattern: str, decimal: str) -> np.ndarray | None:
    """Later cells of a column of numbers, with its unit or without, float64 `(n,)`; None where one is no number."""
    plain = None if decimal == "," and source_of(cells) == "text" else plain_numbers(cells)
    if plain is not None or not decimal:
        return None if plain is None else plain.values
    before, after = (part.strip() for part in pattern.split(BARE))
    out = []
    for text in _present(cells):
        bare = None if text is None else text.removeprefix(before).removesuffix(after).strip()
        if bare is not None and not is_number(bare, decimal):
            return None
        out.append(math.nan if bare is None else float(number_text(bare, decimal)))
    return np.array(out)


def mostly_numbers(cells: Any) -> tuple[int, str] | None:
    """The first cell that is written otherwise than most, where these are numbers (with one unit or none).

    Returns:
        Its 0-based row and its text; None where most cells are no numbers, or all are written alike.
    """
    texts = _present(pd.Series(cells))
    patterns = [None if text is None else _pattern_of(text) for text in texts]
    counts = Counter(pattern for pattern in patterns if pattern is not None)
    most, n = max(counts.items(), key=lambda item: item[1], default=("", 0))
    if not most or n == counts.total() or 2 * n < counts.total():
        return None
    odd = next(row for row, pattern in enumerate(patterns) if pattern not in (None, most))
    return odd, str(texts[odd])


def _pattern_of(text: str) -> str:
    """How a number is written, such as `{}%`; empty of what is none."""
    if _NUMBER.fullmatch(text):
        return BARE
    part = _PARTS.fullmatch(text)
    if part is None:
        return ""
    pattern = f"{part['before'] or ''}{BARE}{part['after'] or ''}"
    return f"{BARE}," if pattern == BARE else pattern


def _present(cells: pd.Series) -> Sequence[str | None]:
    """Texts without blanks around them; what stands for a missing number is None."""
    return [None if text in MISSING else text for text in as_texts(cells, stripped=True)]


def _all_exact(cells: pd.Series) -> bool:
    if not pd.api.types.is_integer_dtype(cells.dtype):
        return True
    large = [int(cell) for cell in cells.dropna() if abs(int(cell)) > EXACT] if _exceeds(cells) else []
    return all(int(float(cell)) == cell for cell in large)


def _exceeds(cells: pd.Series) -> bool:
    there = cells.dropna()
    return bool(len(there)) and (int(there.max()) > EXACT or int(there.min()) < -EXACT)


def _is_exact(text: str) -> bool:
    return not _INTEGER.fullmatch(text) or int(float(text)) == int(text)
