"""The ranking as a table to sort, filter and download."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from matgen.evaluation.page.candidates import Candidates, Column, plain_column
from matgen.evaluation.page.card import Crystal
from matgen.evaluation.page.tables import rarest_state
from matgen.evaluation.ranking import ABOVE_HULL, MADE, PROBABILITY
from matgen.pareto import COLUMN as PARETO
from matgen.validity import RARE

MOST_RANKED = 2_000
"""Rows of the ranking that the page holds; `ranked.csv` has all of them."""


@dataclass(frozen=True)
class _Number:
    """How a column of numbers is shown: head, decimals, meaning, whether low values are the better ones."""

    title: str
    digits: int
    meaning: str
    lower: bool = False

    def column(self, name: str, values: pd.Series) -> Column:
        rounded = [_rounded(value, self.digits) for value in pd.to_numeric(values, errors="coerce")]
        return Column(name, self.title, self.meaning, "number", rounded, lower=self.lower, digits=self.digits)


_NUMBERS = {
    "score": _Number("score", 3, "what the ranking goes by: the better, the higher"),
    ABOVE_HULL: _Number("above hull, predicted", 3, "predicted energy above the hull of known phases, eV/atom",
                        lower=True),
    f"{ABOVE_HULL}_std": _Number("± above hull", 3, "standard deviation of the predicted one, eV/atom", lower=True),
    PROBABILITY: _Number("P(near hull)", 2, "probability to be at most 0.1 eV/atom above the hull"),
    MADE: _Number("P(made)", 2, "how much it is like compounds that have been made, 0 to 1"),
    "oxidation_state_score": _Number("state score", 2, "how common its oxidation states are, 0 to 1"),
    "novelty": _Number("novelty", 2, "0 to 1, from the chemical distance to the nearest known composition"),
    "chemical_distance": _Number("chemical distance", 2, "of the nearest known, places on Pettifor's scale"),
    "nearest_known_energy_above_hull": _Number("nearest, above hull", 3, "of the nearest known, eV/atom", lower=True),
    "formation_energy": _Number("formation energy", 3, "predicted, eV/atom", lower=True),
    "formation_energy_std": _Number("± formation energy", 3, "its standard deviation, eV/atom", lower=True),
    "metallicity_score": _Number("metallicity", 2, "SMACT's score of how metallic it is, 0 to 1"),
    "cost": _Number("USD/kg", 1, "price of the elements", lower=True),
    "log_prob": _Number("log_prob", 3, "logarithm of the probability by which the model draws it"),
}  # fmt: skip

_OTHERS = {
    PARETO: ("Pareto front", "no other candidate is better in all objectives"),
    "nearest_known_made": ("nearest made", "whether the nearest known composition has been made"),
    "decomposition": ("competing phases", "phases of the hull at this composition, with their shares"),
    "oxidation_states": ("oxidation states", "of the balanced assignment with the commonest states"),
    "balanced_common": ("common states", "balanced by states of at least 10 % of their element's reports"),
    "scarcest_element": ("scarcest element", "its least abundant element in the Earth's crust"),
    "formation_energy_source": ("energies of", "the database that the predictor learned from"),
    "all_metal": ("all metal", "every element is a metal"),
}
"""Further columns, by what is in them: head and meaning."""

_FIRST = (
    "rank",
    "formula",
    "hazards",
    PARETO,
    "score",
    PROBABILITY,
    ABOVE_HULL,
    "relaxed",
    MADE,
    "rarest_state",
    "novelty",
    "nearest_known",
    "cost",
    "files",
)
"""Columns that are shown at first, in order; `relaxed` stands for one of each potential."""

_LATER = (
    f"{ABOVE_HULL}_std",
    "oxidation_states",
    "oxidation_state_score",
    "balanced_common",
    "decomposition",
    "formation_energy",
    "formation_energy_std",
    "formation_energy_source",
    "chemical_distance",
    "nearest_known_made",
    "nearest_known_energy_above_hull",
    "metallicity_score",
    "all_metal",
    "scarcest_element",
    "log_prob",
)
"""Columns that are shown where all are asked for; columns of the user's own come behind them."""

_SIGNS = {"toxic": "☠ toxic", "radioactive": "☢ radioactive"}
_FILTERED = (*_SIGNS, "in_domain")
"""Columns to filter by that are no columns of the table."""

_FROM_OTHERS = ("rarest_state_share",)
"""Columns that are shown as a part of another."""


def ranking_table(
    ranked: pd.DataFrame,
    crystals: Mapping[str, Crystal],
    links: Mapping[str, Sequence[tuple[str, str]]],
    carded: Collection[str] = (),
) -> Candidates:
    """The columns that a chemist looks at first, and all others for whoever asks for them.

    Args:
        ranked: of `matgen.evaluation.ranking.ranked`, with predictions.
        crystals: relaxed structures by reduced formula.
        links: labels and addresses of files beside the report, likewise.
        carded: formulas that have a card on the page, to which they lead.
    """
    frame = ranked.head(MOST_RANKED)
    there = {column.name: column for column in _columns(frame, links, set(carded))}
    relaxed = list(_relaxed(frame["formula"].astype(str).tolist(), crystals))
    columns: list[Column] = []
    for name in _FIRST:
        columns += relaxed if name == "relaxed" else [there[name]] if name in there else []
    shown = {column.name for column in relaxed}
    own = [name for name in there if name not in (*_FIRST, *_LATER, *_FILTERED) and name not in shown]
    columns += [replace(there[name], extra=True) for name in (*_LATER, *own) if name in there]
    columns += [replace(there[name], hidden=True) for name in _FILTERED if name in there]
    return Candidates(columns, len(frame), len(ranked), [])


def _columns(
    frame: pd.DataFrame, links: Mapping[str, Sequence[tuple[str, str]]], carded: Collection[str]
) -> Iterator[Column]:
    """All columns of a ranking but those of structures, in no order of the page."""
    formulas = frame["formula"].astype(str).tolist()
    places = [f"#card-{formula}" if formula in carded else None for formula in formulas]
    yield Column("rank", "rank", "by the score", "number", frame["rank"].tolist(), lower=True)
    yield Column("formula", "formula", "the composition; leads to its card", "formula", formulas, places=places)
    yield from _hazards(frame)
    if links:
        found = [_short(links[formula]) if formula in links else None for formula in formulas]
        yield Column("files", "files", "structure and DFT inputs beside this page", "links", found)
    for name in map(str, frame.columns):
        if name in ("rank", "formula", *_SIGNS, *_FROM_OTHERS):
            continue
        if name in _NUMBERS:
            yield _NUMBERS[name].column(name, frame[name])
        elif name == "rarest_state":
            yield _rarest(frame)
        elif name == "nearest_known":
            names = [known if isinstance(known, str) else None for known in frame[name]]
            yield Column(
                name, "nearest known", "the known composition at the least chemical distance", "formula", names
            )
        elif name == "in_domain":
            yield Column(
                name, "in domain", "like what the predictor learned from", "flag", frame[name].astype(bool).tolist()
            )
        else:
            title, meaning = _OTHERS.get(name, (name, "a column of the table that was ranked"))
            column = replace(plain_column(name, frame[name], meaning), title=title)
            yield replace(column, kind="ions") if name == "oxidation_states" else column


def _short(files: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Labels in one word."""
    return [[label.split()[0], address] for label, address in files]


def _rounded(value: Any, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _relaxed(formulas: Sequence[str], crystals: Mapping[str, Crystal]) -> Iterator[Column]:
    """A column for each potential that relaxed some of the rows, named as in `structures.parquet`."""
    for by in dict.fromkeys(by for crystal in crystals.values() for by in crystal.energies):
        energies = [crystals[formula].energies.get(by) if formula in crystals else None for formula in formulas]
        kind = _Number(f"above hull, {by}", 3, f"energy above the hull after relaxation by {by}, eV/atom", lower=True)
        yield kind.column(f"{ABOVE_HULL}_{by.replace('-', '_')}", pd.Series(energies, dtype=float))


def _rarest(frame: pd.DataFrame) -> Column:
    texts = [None if text == "-" else text for text in map(rarest_state, frame.to_dict("records"))]
    rare = (frame["rarest_state_share"] < RARE).tolist()
    meaning = "the oxidation state with the smallest share of its element's reports in the ICSD; below 1 % it is rare"
    return Column("rarest_state", "rarest state", meaning, "state", texts, rare)


def _hazards(frame: pd.DataFrame) -> Iterator[Column]:
    """Toxic and radioactive elements: a column of signs and words, and two to filter by."""
    there = {name: frame[name].astype(bool).tolist() for name in _SIGNS if name in frame}
    if not there:
        return
    texts = [" ".join(_SIGNS[name] for name, rows in there.items() if rows[i]) or None for i in range(len(frame))]
    marked = [text is not None for text in texts]
    yield Column("hazards", "hazards", "elements that are toxic or radioactive", "state", texts, marked)
    for name, rows in there.items():
        yield Column(name, name, f"contains an element of the group {name} of `matgen screen`", "flag", rows)
