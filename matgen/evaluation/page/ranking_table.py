"""The ranking as a table to sort, filter and download."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from matgen.evaluation.page.candidates import Candidates, Column
from matgen.evaluation.page.card import Crystal
from matgen.evaluation.page.tables import rarest_state
from matgen.evaluation.ranking import MADE, PROBABILITY
from matgen.validity import RARE

MOST_RANKED = 2_000
"""Rows of the ranking that the page holds; `ranked.csv` has all of them."""

_NUMBERS = (
    ("score", "score", 3, False, "the order: see above"),
    ("energy_above_hull", "hull", 3, True, "predicted energy above the hull of known phases, eV/atom"),
    ("energy_above_hull_std", "±", 3, True, "its standard deviation, eV/atom"),
    (PROBABILITY, "P(near)", 2, False, "probability to be at most 0.1 eV/atom above the hull"),
    (MADE, "P(made)", 2, False, "how much it is like compounds that have been made, 0 to 1"),
    ("oxidation_state_score", "states", 2, False, "how common its oxidation states are, 0 to 1"),
    ("novelty", "novelty", 2, False, "chemical distance from the nearest known composition, 0 to 1"),
    ("cost", "USD/kg", 1, True, "price of the elements"),
)
"""Column, head, decimals, whether low values are the better ones, meaning."""


def ranking_table(
    ranked: pd.DataFrame,
    crystals: Mapping[str, Crystal],
    links: Mapping[str, Sequence[tuple[str, str]]],
) -> Candidates:
    """The columns that a chemist looks at first.

    Args:
        ranked: of `matgen.evaluation.ranking.ranked`, with predictions.
        crystals: relaxed structures by reduced formula.
        links: labels and addresses of files beside the report, likewise.
    """
    frame = ranked.head(MOST_RANKED)
    formulas = frame["formula"].astype(str).tolist()
    columns = [
        Column("rank", "rank", "in ranked.csv", "number", frame["rank"].tolist(), lower=True),
        Column("formula", "formula", "the composition", "formula", formulas),
    ]
    numbers = {
        name: Column(name, title, meaning, "number", _rounded(frame[name], digits), lower=lower, digits=digits)
        for name, title, digits, lower, meaning in _NUMBERS
        if name in frame
    }
    columns += [numbers[name] for name in ("score", "energy_above_hull", "energy_above_hull_std") if name in numbers]
    columns += _relaxed(formulas, crystals)
    columns += [numbers[name] for name in (PROBABILITY, MADE, "oxidation_state_score") if name in numbers]
    columns += [_rarest(frame)] if "rarest_state" in frame else []
    columns += [numbers["novelty"]] if "novelty" in numbers else []
    if "nearest_known" in frame:
        columns.append(_nearest(frame))
    columns += [numbers["cost"]] if "cost" in numbers else []
    columns += _hazards(frame)
    if "in_domain" in frame:
        within = frame["in_domain"].astype(bool).tolist()
        meaning = "like what the predictor learned from"
        columns.append(Column("in_domain", "in domain", meaning, "flag", within, hidden=True))
    if links:
        found = [list(map(list, links[formula])) if formula in links else None for formula in formulas]
        columns.append(Column("files", "files", "structures and DFT inputs beside the report", "links", found))
    return Candidates(columns, len(frame), len(ranked), [])


def _rounded(values: pd.Series, digits: int) -> list[float | None]:
    numbers = pd.to_numeric(values, errors="coerce")
    return [round(float(value), digits) if math.isfinite(value) else None for value in numbers]


def _relaxed(formulas: Sequence[str], crystals: Mapping[str, Crystal]) -> list[Column]:
    """A column for each potential that relaxed some of the rows."""
    names = list(dict.fromkeys(by for crystal in crystals.values() for by in crystal.energies))
    return [
        Column(f"relaxed_{by}", by, f"energy above the hull of the structure relaxed by {by}, eV/atom", "number",
               [_energy(crystals.get(formula), by) for formula in formulas], lower=True, digits=3)
        for by in names
    ]  # fmt: skip


def _energy(crystal: Crystal | None, by: str) -> float | None:
    value: Any = None if crystal is None else crystal.energies.get(by)
    return None if value is None else round(float(value), 3)


def _rarest(frame: pd.DataFrame) -> Column:
    texts = [None if text == "-" else text for text in map(rarest_state, frame.to_dict("records"))]
    rare = (frame["rarest_state_share"] < RARE).tolist()
    meaning = "the oxidation state with the smallest share of its element's reports in the ICSD; below 1 % it is rare"
    return Column("rarest_state", "rarest state", meaning, "state", texts, rare)


def _nearest(frame: pd.DataFrame) -> Column:
    names = [name if isinstance(name, str) else None for name in frame["nearest_known"]]
    meaning = "the known composition at the least chemical distance"
    return Column("nearest_known", "nearest known", meaning, "formula", names)


def _hazards(frame: pd.DataFrame) -> list[Column]:
    """What is marked, and two switches to filter by, which are no columns of their own."""
    signs = {"toxic": "☠ toxic", "radioactive": "☢ radioactive"}
    there = {name: frame[name].astype(bool).tolist() for name in signs if name in frame}
    if not there:
        return []
    texts = [" ".join(signs[name] for name, rows in there.items() if rows[i]) or None for i in range(len(frame))]
    marked = [text is not None for text in texts]
    switches = [
        Column(name, name, f"contains an element of the group {name} of `matgen screen`", "flag", rows, hidden=True)
        for name, rows in there.items()
    ]
    return [Column("hazards", "hazards", "elements that are toxic or radioactive", "state", texts, marked), *switches]
