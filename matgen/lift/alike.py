"""Columns whose values mean the same in each of them, such as the patches of an image."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from matgen.lift.columns import Column

FEWEST = 16
"""Columns from which on they are taken to be places of one thing."""


def alike_columns(columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of columns that are places of one thing, such as the patches of an image; empty where there are none.

    They are `FEWEST` or more categories whose names differ in their numbers only (`patch 3 5`), the largest such group.

    Args:
        columns: of features, or of whole rows.
    """
    groups: dict[str, list[str]] = {}
    for column in columns:
        if column.type == "category" and re.search(r"\d", column.name):
            groups.setdefault(re.sub(r"\d+", "0", column.name), []).append(column.name)
    largest = max(groups.values(), key=len, default=[])
    return tuple(largest) if len(largest) >= FEWEST else ()


def with_one_range(columns: Sequence[Column], alike: Collection[str]) -> list[Column]:
    """The columns, those that are alike with the values of all of them: what one has may stand in any other."""
    values = sorted({value for column in columns if column.name in alike for value in column.values})
    return [replace(column, values=tuple(values)) if column.name in alike else column for column in columns]
