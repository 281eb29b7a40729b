"""Keeping candidates that meet conditions, at most so many of a family: `matgen screen`.

The columns it adds say what a composition takes: price and abundance of its elements, who produces them, toxicity,
radioactivity. Figures are of the pure elements that a formula holds, by mass; what making the compound costs is not in
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from matgen.composition.batch import CompositionBatch, ParsedFormulas, parse_some
from matgen.composition.elements import (
    ATOMIC_MASS,
    CRUSTAL_ABUNDANCE,
    HHI_PRODUCTION,
    HHI_RESERVE,
    N_ELEMENTS,
    PRICE,
    SYMBOLS,
)
from matgen.composition.groups import ELEMENT_GROUPS
from matgen.datasets import read_formula_table
from matgen.datasets.where import conditions_mask, parse_where
from matgen.errors import OptionError, unknown_name
from matgen.io.outputs import TableResult, process_table
from matgen.io.own_columns import add_own_columns
from matgen.pareto import on_front, parse_objectives

FAMILIES = ("chemical_system", "anonymous_formula")
"""What makes compositions a family: the same elements, or the same counts whatever the elements."""


COLUMNS = {
    "cost": "price of the elements, US dollars a kilogram (2013)",
    "crustal_abundance": "of the scarcest element, mg/kg of the Earth's crust",
    "scarcest_element": "the element that it is of",
    "hhi_production": "concentration of its elements' production on few countries, 0 to 10,000",
    "hhi_reserve": "the same of the reserves",
    "toxic": "holds an element of the group toxic",
    "radioactive": "holds an element without a stable isotope",
}
"""Column to what it says."""


@dataclass(frozen=True)
class Screened(TableResult):
    """What is left of a table.

    Attributes:
        frame: the rows that are left, in order, with the columns of `COLUMNS` and of `FAMILIES`, under names with
            `_matgen` where the input has its own.
        bad: formulas that cannot be read; such rows are left out.
        summary: `rows`, `unreadable`, `fail` (condition to the rows that do not satisfy it), `beyond_front`,
            `beyond_family`, `kept`.
    """


def screen(
    frame: pd.DataFrame,
    column: str,
    *,
    where: str | None = None,
    max_per_system: int | None = None,
    family: str = "chemical_system",
    pareto: str = "",
) -> Screened:
    """Add columns, keep the rows that satisfy all conditions, of these the Pareto front, and of each family the first.

    Args:
        frame: rows, those to look at first first.
        column: of formulas.
        where: such as `cost < 100 and toxic = 0 and energy_above_hull < 0.1`; see `matgen.datasets.where`. Of a column
            that the input has too, the input's is meant, and `cost_matgen` is the added one.
        max_per_system: most rows of one family.
        family: one of `FAMILIES`.
        pareto: columns to be best in, as `pareto.parse_objectives` reads them; "" for no front.

    Raises:
        DataError: no formula can be read.
        OptionError: a condition or an objective that cannot be read or of no column, an unknown family, fewer than one
            of a family.
    """
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    if max_per_system is not None and max_per_system < 1:
        raise OptionError(f"max_per_system is {max_per_system}, it must be at least 1")
    conditions = [] if where is None else parse_where(where)
    objectives = parse_objectives(pareto) if pareto else ()
    parsed = parse_some(frame[column])
    rows, renamed = _with_columns(frame.iloc[parsed.rows].reset_index(drop=True), parsed)
    holds = {str(condition): conditions_mask(rows, [condition]) for condition in conditions}
    kept = np.logical_and.reduce(list(holds.values())) if holds else np.ones(len(rows), dtype=bool)
    left = rows[kept]
    fulfilling = len(left)
    if objectives:
        left = left[on_front(left, objectives)]
    best = len(left)
    if max_per_system is not None:
        left = left[left.groupby(renamed.get(family, family), sort=False).cumcount() < max_per_system]
    summary = {
        "rows": len(frame),
        "unreadable": len(parsed.bad),
        "fail": {name: int((~mask).sum()) for name, mask in holds.items()},
        "beyond_front": fulfilling - best,
        "beyond_family": best - len(left),
        "kept": len(left),
    }
    return Screened(left.reset_index(drop=True), parsed.bad, summary)


def _with_columns(rows: pd.DataFrame, parsed: ParsedFormulas) -> tuple[pd.DataFrame, dict[str, str]]:
    """`add_own_columns` of what is known of the compositions, and what the formulas say besides."""
    batch = parsed.batch
    families = {"chemical_system": batch.chemical_systems(), "anonymous_formula": batch.anonymous_formulas()}
    ours = pd.concat([supply(batch), pd.DataFrame(families | parsed.note_column())], axis=1)
    return add_own_columns(rows, ours)


def screen_file(
    candidates: Path | str,
    out: Path | str,
    *,
    column: str | None = None,
    where: str | None = None,
    max_per_system: int | None = None,
    family: str = "chemical_system",
    pareto: str = "",
    force: bool = False,
) -> Screened:
    """`screen` of a file into a CSV or Parquet file; the summary goes to `<out>.json`.

    Raises:
        DataError: the input cannot be read, or none of its formulas can.
        OptionError: as `screen`, or `out` ends otherwise than in `.csv` or `.parquet`.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    return process_table(
        Path(out),
        partial(read_formula_table, candidates, column),
        partial(screen, where=where, max_per_system=max_per_system, family=family, pareto=pareto),
        metadata={"where": where, "max_per_system": max_per_system, "family": family, "pareto": pareto},
        force=force,
    )


def supply(batch: CompositionBatch) -> pd.DataFrame:
    """The columns of `COLUMNS` for `n` compositions, numbers missing where a value of one of their elements is.

    * `cost`: sum over elements of mass fraction times price (as pymatgen's `CostAnalyzer` from elements).
    * `hhi_production`, `hhi_reserve`: sums of mass fraction times index (Gaultois et al., Chem. Mater. 25 (2013) 2911).
    * `crustal_abundance`: the least among the elements, since the scarcest one limits the supply.
    """
    masses = ATOMIC_MASS[batch.elements] * batch.counts
    fractions = np.divide(masses, np.nansum(masses, axis=1, keepdims=True))
    present = batch.elements > 0

    def weighted(values: np.ndarray) -> np.ndarray:
        summed: np.ndarray = np.where(present, fractions * values[batch.elements], 0.0).sum(axis=1)
        return summed

    abundance = np.where(present, CRUSTAL_ABUNDANCE[batch.elements], np.inf)
    unknown = np.isnan(abundance).any(axis=1)
    scarcest = np.argmin(np.where(np.isnan(abundance), -1.0, abundance), axis=1)
    rows = np.arange(len(batch))
    return pd.DataFrame(
        {
            "cost": weighted(PRICE),
            "crustal_abundance": np.where(unknown, np.nan, abundance[rows, scarcest]),
            "scarcest_element": SYMBOLS[batch.elements[rows, scarcest]],
            "hhi_production": weighted(HHI_PRODUCTION),
            "hhi_reserve": weighted(HHI_RESERVE),
            "toxic": _holds(batch, "toxic"),
            "radioactive": _holds(batch, "radioactive"),
        }
    )


def _holds(batch: CompositionBatch, group: str) -> np.ndarray:
    members = np.zeros(N_ELEMENTS + 1, dtype=bool)
    members[list(ELEMENT_GROUPS[group])] = True
    contains: np.ndarray = members[batch.elements].any(axis=1)
    return contains
