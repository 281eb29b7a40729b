"""Keeping candidates that fulfil conditions, at most so many of a family: `matgen screen`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matgen.composition import BadFormula, CompositionBatch, parse_some
from matgen.datasets import read_formula_table
from matgen.datasets.where import conditions_mask, parse_where
from matgen.errors import OptionError, unknown_name
from matgen.files import one_run
from matgen.outputs import claim, write_with_metadata
from matgen.supply import supply

FAMILIES = ("chemical_system", "anonymous_formula")
"""What makes compositions a family: the same elements, or the same counts whatever the elements."""


@dataclass(frozen=True)
class Screened:
    """What is left of a table.

    Attributes:
        frame: the rows that are left, in order, with the columns of `matgen.supply.COLUMNS` and of `FAMILIES`.
        bad: formulas that cannot be read; such rows are left out.
        summary: `rows`, `unreadable`, `fail` (condition to the rows that do not fulfil it), `beyond_family`, `kept`.
    """

    frame: pd.DataFrame
    bad: list[BadFormula]
    summary: dict[str, Any]


def screen(
    frame: pd.DataFrame,
    column: str,
    *,
    where: str | None = None,
    per_family: int | None = None,
    family: str = "chemical_system",
) -> Screened:
    """Add columns, keep the rows that fulfil all conditions, and of each family the first.

    Args:
        frame: rows, those to look at first first.
        column: of formulas.
        where: such as `cost < 100 and toxic = 0 and energy_above_hull < 0.1`; see `matgen.datasets.where`.
        per_family: rows of one family at most.
        family: one of `FAMILIES`.

    Raises:
        DataError: no formula can be read.
        OptionError: a condition that cannot be read or of no column, an unknown family, fewer than one of a family.
    """
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    if per_family is not None and per_family < 1:
        raise OptionError(f"per_family is {per_family}, it must be at least 1")
    conditions = [] if where is None else parse_where(where)
    parsed = parse_some(frame[column])
    rows = _with_columns(frame.iloc[parsed.rows].reset_index(drop=True), parsed.batch)
    holds = {f"{c.column} {c.operator} {c.number:g}": conditions_mask(rows, [c]) for c in conditions}
    kept = np.logical_and.reduce(list(holds.values())) if holds else np.ones(len(rows), dtype=bool)
    left = rows[kept]
    fulfilling = len(left)
    if per_family is not None:
        left = left[left.groupby(family, sort=False).cumcount() < per_family]
    summary = {
        "rows": len(frame),
        "unreadable": len(parsed.bad),
        "fail": {name: int((~mask).sum()) for name, mask in holds.items()},
        "beyond_family": fulfilling - len(left),
        "kept": len(left),
    }
    return Screened(left.reset_index(drop=True), parsed.bad, summary)


def _with_columns(rows: pd.DataFrame, batch: CompositionBatch) -> pd.DataFrame:
    """The rows with ours behind theirs; those of an earlier screening are made anew."""
    families = {"chemical_system": batch.chemical_systems(), "anonymous_formula": batch.anonymous_formulas()}
    ours = pd.concat([supply(batch), pd.DataFrame(families)], axis=1)
    return pd.concat([rows.drop(columns=[name for name in ours if name in rows]), ours], axis=1)


@one_run("out")
def screen_file(
    candidates: Path | str,
    out: Path | str,
    *,
    column: str | None = None,
    where: str | None = None,
    per_family: int | None = None,
    family: str = "chemical_system",
    force: bool = False,
) -> Screened:
    """`screen` of a file into a CSV or Parquet file; the summary goes to `<out>.json`.

    Raises:
        DataError: the input cannot be read, or none of its formulas can.
        OptionError: as `screen`, or `out` ends otherwise than in `.csv` or `.parquet`.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    out = Path(out)
    claim(out, force=force)
    frame, name = read_formula_table(candidates, column)
    screened = screen(frame, name, where=where, per_family=per_family, family=family)
    told = {"column": name, "where": where, "per_family": per_family, "family": family}
    write_with_metadata(out, screened.frame, told | screened.summary)
    return screened
