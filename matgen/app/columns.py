"""What the table of results shows of a composition: each column's head, meaning, and its value as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from matgen.app.widgets import in_words
from matgen.evaluation.ranking import MADE, PROBABILITY
from matgen.runtime.notebook import formula_html


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: of the frame's column, by which it is sorted.
        head: what stands above it.
        meaning: its definition.
        html: a row's value as HTML.
        wide: text that may take several lines.
        more: it is shown only when all columns are.
    """

    name: str
    head: str
    meaning: str
    html: Callable[[Mapping[str, Any]], str]
    wide: bool = False
    more: bool = False


def _number(name: str, form: str, head: str, meaning: str, *, more: bool = False) -> Column:
    def html(row: Mapping[str, Any]) -> str:
        return "-" if pd.isna(row[name]) else form.format(row[name])

    return Column(name, head, meaning, html, more=more)


def _flag(name: str, head: str, meaning: str, *, more: bool = False) -> Column:
    def html(row: Mapping[str, Any]) -> str:
        return "-" if pd.isna(row[name]) else "yes" if row[name] else "no"

    return Column(name, head, meaning, html, more=more)


def _formula(row: Mapping[str, Any]) -> str:
    name = row["nearest_known"]
    return formula_html(name) if isinstance(name, str) else "-"


def _text(name: str) -> Callable[[Mapping[str, Any]], str]:
    def html(row: Mapping[str, Any]) -> str:
        return escape(row[name]) if isinstance(row[name], str) else "-"

    return html


COLUMNS = (
    _number("score", "{:.2f}", "Score", "P(within 0.1 eV/atom) times the geometric mean of P(made), States, Novelty"),
    _number("energy_above_hull", "{:+.3f}", "Above hull", "predicted energy above the hull of known phases, eV/atom"),
    _number(PROBABILITY, "{:.0%}", "P(within 0.1 eV/atom)", "predicted probability of lying that close to the hull"),
    _number("band_gap", "{:.2f}", "Band gap", "predicted, eV"),
    _number("is_metal_probability", "{:.0%}", "P(metal)", "predicted probability of having no band gap"),
    _flag("valid", "Valid", "charge neutral and balanced by electronegativity (SMACT)"),
    _flag("novel", "Novel", "not among the compositions of OQMD and the Materials Project that matgen knows"),
    Column("oxidation_states", "Oxidation states", "of a balanced assignment, or why there is none",
           lambda row: escape(in_words(dict(row))), wide=True),
    _number("energy_above_hull_std", "{:.3f}", "± hull", "standard deviation of the prediction, eV/atom", more=True),
    _number("formation_energy", "{:.3f}", "Formation energy", "predicted, eV/atom", more=True),
    _number(MADE, "{:.0%}", "P(made)", "how much it is like compounds that have been made; no prediction of synthesis",
            more=True),
    _number("oxidation_state_score", "{:.2f}", "States", "how common its oxidation states are, 0 to 1", more=True),
    Column("rarest_state", "Rarest state", "the state with the smallest share of its element's reports in the ICSD",
           _text("rarest_state"), more=True),
    _flag("balanced_common", "Common states", "balanced by states with at least 10 % of their element's reports",
          more=True),
    _number("novelty", "{:.2f}", "Novelty", "chemical distance from the nearest known composition, 0 to 1", more=True),
    Column("nearest_known", "Nearest known", "the known composition at the least chemical distance", _formula,
           more=True),
    _number("metallicity_score", "{:.2f}", "Metallicity", "SMACT's score; high for intermetallics", more=True),
    _number("cost", "{:,.0f}", "USD/kg", "price of the elements", more=True),
    _flag("toxic", "Toxic", "contains an element of the group toxic of `matgen screen`", more=True),
    _flag("radioactive", "Radioactive", "contains a radioactive element", more=True),
    _flag("in_domain", "In domain", "like what the predictor learned from", more=True),
    _number("log_prob", "{:.1f}", "log P", "logarithm of the probability by the generative model", more=True),
)  # fmt: skip
"""In order; those that a frame lacks are not shown."""


def columns_of(frame: pd.DataFrame, *, more: bool) -> list[Column]:
    """The columns of a frame that are shown."""
    return [one for one in COLUMNS if one.name in frame and (more or not one.more)]
