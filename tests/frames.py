"""Comparing tables: pandas 3 keeps text in a type of its own, with NaN where pandas 2 has None."""

from __future__ import annotations

from typing import Any

import pandas as pd


def listed(column: pd.Series) -> list[Any]:
    """Values, None where there is none."""
    return [None if missing else value for value, missing in zip(column, column.isna(), strict=True)]


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Refuse tables that differ otherwise than in how text is stored."""
    pd.testing.assert_frame_equal(*(_plain(frame) for frame in (one, other)))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    text = [name for name in frame if pd.api.types.is_string_dtype(frame[name]) or frame[name].dtype == object]
    return frame.assign(**{name: pd.Series(listed(frame[name]), frame.index, dtype=object) for name in text})
