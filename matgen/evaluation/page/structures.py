"""Crystal structures in a report: shares of stable, unique and novel ones, a table, and a view of each.

What is shown comes as plain data: this package makes no structures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from matgen.evaluation.labels import Label
from matgen.evaluation.metrics import ratio, wilson
from matgen.evaluation.page.candidates import embedded_json
from matgen.evaluation.page.tables import Table, interval, percent

SHARES: dict[str, Label] = {
    "sun": Label(
        "Stable, unique and novel", "of compositions", "all three at once, stable at 0 eV/atom above the hull"
    ),
    "msun": Label(
        "Metastable, unique and novel", "of compositions", "all three at once, at most 0.1 eV/atom above the hull"
    ),
    "stable": Label("Stable", "of compositions", "on or below the hull of known phases by the potential's energy"),
    "metastable": Label("Metastable or stable", "of compositions", "at most 0.1 eV/atom above the hull"),
    "unique": Label("Unique", "of compositions", "no earlier structure is the same crystal by StructureMatcher"),
    "novel": Label("Novel", "of compositions", "the composition is in none of the references"),
    "novel_structure": Label(
        "Novel crystal", "of compositions", "the same crystal as none of the reference structures"
    ),
    "sun_structure": Label("Stable, unique and novel crystal", "of compositions", "novel as a crystal"),
    "msun_structure": Label("Metastable, unique and novel crystal", "of compositions", "novel as a crystal"),
    "implausible": Label("Implausible", "of compositions", "so far below the hull that the potential must have failed"),
    "relaxed": Label("Relaxed", "of compositions", "the forces fell below the threshold within the steps allowed"),
}
"""Shares of compositions, in the order of the page."""

MOST_SHOWN = 500
"""Structures embedded in the page."""


@dataclass(frozen=True)
class StructureSection:
    """What a report says of structures.

    Attributes:
        content: into `report.json` as `structures`: `n`, `with_structure`, `counts`, `by_anion_class`, `failures`,
            `protocol`.
        frame: a row for each composition with its lowest structure, into `structures.parquet`.
        scenes: structure's id to what the viewer draws: `elements`, `atoms`, `bonds`, `cell`.
    """

    content: dict[str, Any]
    frame: pd.DataFrame
    scenes: Mapping[str, Mapping[str, Any]]

    @property
    def potential(self) -> str:
        """Name of the potential that gave the energies."""
        return str(self.content["protocol"]["potential"])

    def shown(self) -> pd.DataFrame:
        """The rows that have a view, lowest above the hull first."""
        rows = self.frame[self.frame["structure_id"].isin(list(self.scenes))]
        return rows.sort_values(f"energy_above_hull_{self.potential}", kind="stable").head(MOST_SHOWN)

    def data(self) -> Markup:
        """The views as JSON that may stand in a `<script>`."""
        return embedded_json([{**self.scenes[id], "words": self._words(row)} for id, row in self._rows()])

    def _rows(self) -> list[tuple[str, dict[str, Any]]]:
        names = list(self.frame.columns)
        records = self.shown().itertuples(index=False, name=None)
        return [
            (str(row["structure_id"]), row) for row in (dict(zip(names, values, strict=True)) for values in records)
        ]

    def _words(self, row: Mapping[str, Any]) -> str:
        origins = {"template": "template", "followed": "followed down from"}
        made = f"{origins.get(row['origin'], 'random,')} {row['template']}"
        return (
            f"{row['formula']}, space group {_text(row['space_group'])}, {_text(row['n_atoms'])} atoms a cell; {made}"
        )

    def rows(self) -> list[list[str]]:
        """Cells of the table, in the order of `heads`; the first is on the button that shows the structure."""
        above, formation = f"energy_above_hull_{self.potential}", f"formation_energy_{self.potential}"
        return [
            [
                str(row["formula"]),
                "yes" if row["msun"] else "no",
                _energy(row[above]),
                _energy(row.get("energy_above_hull")),
                _energy(row[formation]),
                _text(row["space_group"]),
                _text(row["n_atoms"]),
                str(row["template"]),
            ]
            for _, row in self._rows()
        ]

    @property
    def heads(self) -> list[str]:
        """Heads of the table."""
        return [
            "Formula", "Metastable, unique, novel", f"Above the hull, {self.potential}", "The same, predicted",
            f"Formation energy, {self.potential}", "Space group", "Atoms", "Made from",
        ]  # fmt: skip


def share_rows(content: Mapping[str, Any]) -> Table:
    """Shares of compositions with their intervals, from `report.json`'s `structures`."""
    n, rows = content["n"], []
    for name, label in SHARES.items():
        if name not in content["counts"]:
            continue
        count = content["counts"][name]
        rows.append([label.title, f"{count:,}", percent(ratio(count, n), 1), interval(wilson(count, n))])
    return ["Structures", "Compositions", f"Of {n:,}", "95 % interval"], rows


def anion_rows(content: Mapping[str, Any]) -> Table:
    """Stability by anion, beside how far the potential is off for known compounds of the class."""
    head = [
        "Anion",
        "Compositions",
        "Stable",
        "Within 0.1 eV/atom",
        "Known compounds",
        "Bias / eV/atom",
        "MAE / eV/atom",
    ]
    rows = [
        [
            name,
            f"{group['n']:,}",
            f"{group['stable']:,}",
            f"{group['metastable']:,}",
            f"{group['known_compounds']:,}",
            "-" if group["bias"] is None else f"{group['bias']:+.3f}",
            "-" if group["mae"] is None else f"{group['mae']:.3f}",
        ]
        for name, group in content["by_anion_class"].items()
    ]
    return head, rows


def failure_rows(content: Mapping[str, Any]) -> Table:
    """Why structures were not made or not relaxed."""
    return ["Reason", "Structures"], [[reason, f"{count:,}"] for reason, count in content["failures"].items()]


def sentence(content: Mapping[str, Any]) -> str:
    """By which rules structures were judged."""
    rules, matcher, counts = content["protocol"], content["protocol"]["matcher"], content["counts"]
    return (
        f"{content['with_structure']:,} of {content['n']:,} compositions have a structure. {counts['relaxed']:,} "
        f"relaxed to the end, the energies of the others are upper bounds. Energies are of {rules['potential']} "
        f"{rules['potential_version'] or ''} against the hull of the Materials Project's labels of April 2019 with its "
        f"corrections of 2020, a known composition's own label among them; a hull of today is lower in places. What "
        f"lies more than {-rules['implausible']:g} eV/atom below it is taken for the potential's failure "
        f"({counts['implausible']:,}). The same crystal: StructureMatcher, ltol {matcher['ltol']}, stol "
        f"{matcher['stol']}, angle {matcher['angle_tol']:g}; novel: by {rules['novel']}. A potential's energies are no "
        f"DFT: the table by anion says how far they are off for known compounds, many of which it was trained on."
    )


def _energy(value: Any) -> str:
    return "-" if value is None or pd.isna(value) else f"{float(value):.3f}"


def _text(value: Any) -> str:
    return "-" if value is None or pd.isna(value) else f"{int(value):,}"
