"""Crystal structures in a report: shares of stable, unique and novel ones, a table, and a view of each.

What is shown comes as plain data: this package makes no structures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from matgen.composition.batch import CompositionBatch
from matgen.evaluation.labels import Label
from matgen.evaluation.metrics import ratio, wilson
from matgen.evaluation.page.card import Crystal
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
        crystals: structure's id to what a card shows of it.
    """

    content: dict[str, Any]
    frame: pd.DataFrame
    crystals: Mapping[str, Crystal]

    @property
    def potentials(self) -> list[str]:
        """Name of the potential that relaxed all structures, and of the one that finished some, if any."""
        protocol = self.content["protocol"]
        finish = protocol.get("finish")
        return [str(protocol["potential"]), *([] if finish is None else [str(finish["potential"])])]

    def shown(self) -> pd.DataFrame:
        """The rows that have a view, lowest above the hull first, those that were finished before the others."""
        rows = self.frame[self.frame["structure_id"].isin(list(self.crystals))]
        return rows.sort_values(self._columns("energy_above_hull")[::-1], kind="stable").head(MOST_SHOWN)

    def _columns(self, quantity: str) -> list[str]:
        """Names of a quantity's columns, one for each potential."""
        return [f"{quantity}_{name.replace('-', '_')}" for name in self.potentials]

    def rows(self) -> list[list[str]]:
        """Cells of the table, in the order of `heads`; the first is the reduced formula, which leads to its card."""
        shown = self.shown()
        reduced = CompositionBatch.from_formulas(shown["formula"].astype(str).tolist()).formulas().tolist()
        names = list(map(str, shown.columns))
        rows = (dict(zip(names, values, strict=True)) for values in shown.itertuples(index=False, name=None))
        return [
            [
                formula,
                self._novel(row),
                *(_energy(row[name]) for name in self._columns("energy_above_hull")),
                _energy(row.get("energy_above_hull")),
                *(_energy(row[name]) for name in self._columns("formation_energy")),
                *([_spread(row)] if len(self.potentials) == 2 else []),
                _text(row["space_group"]),
                _text(row["n_atoms"]),
                str(row["template"]),
            ]
            for formula, row in zip(reduced, rows, strict=True)
        ]

    def _novel(self, row: Mapping[str, Any]) -> str:
        """Whether it is metastable, unique and novel: by both potentials, where both were asked."""
        by_both = row.get("msun_both")
        if by_both is None or pd.isna(by_both):
            return "yes" if row["msun"] else "no"
        if bool(by_both) or not (row["msun"] or row[self._columns("msun")[1]]):
            return "yes" if by_both else "no"
        return f"by {self.potentials[0 if row['msun'] else 1]} only"

    @property
    def heads(self) -> list[str]:
        """Heads of the table."""
        names = self.potentials
        return [
            "Formula", "Metastable, unique, novel", *(f"Above the hull, {name}" for name in names),
            "The same, predicted", *(f"Formation energy, {name}" for name in names),
            *(["Spread"] if len(names) == 2 else []), "Space group", "Atoms", "Made from",
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


def potential_rows(content: Mapping[str, Any]) -> Table:
    """Verdicts by each potential and by both; no rows where one potential relaxed all there is."""
    groups = content.get("by_potential", {})
    head = ["Verdict", *(f"{name}, of {group['n']:,}" for name, group in groups.items())]
    rows = [
        [
            SHARES[verdict].title,
            *(f"{group['counts'][verdict]:,} ({percent(ratio(group['counts'][verdict], group['n']), 1)})"
              for group in groups.values()),
        ]
        for verdict in SHARES if all(verdict in group["counts"] for group in groups.values())
    ]  # fmt: skip
    return head, rows if groups else []


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
            *_errors(group["bias"], group["mae"]),
        ]
        for name, group in content["by_anion_class"].items()
    ]
    finish = content["protocol"].get("finish")
    if finish:
        head += [f"{title}, {finish['potential']}" for title in head[-2:]]
        for row, group in zip(rows, content["by_anion_class"].values(), strict=True):
            row += _errors(group.get("bias_of_finish"), group.get("mae_of_finish"))
    return head, rows


def _errors(bias: float | None, mae: float | None) -> list[str]:
    return ["-" if bias is None else f"{bias:+.3f}", "-" if mae is None else f"{mae:.3f}"]


def failure_rows(content: Mapping[str, Any]) -> Table:
    """Why structures were not made or not relaxed."""
    return ["Reason", "Structures"], [[reason, f"{count:,}"] for reason, count in content["failures"].items()]


def sentence(content: Mapping[str, Any]) -> str:
    """By which rules structures were judged."""
    rules, matcher, counts = content["protocol"], content["protocol"]["matcher"], content["counts"]
    return (
        f"{content['with_structure']:,} of {content['n']:,} compositions have a structure. {counts['relaxed']:,} "
        f"relaxed to the end, the energies of the others are upper bounds. Energies are of {rules['potential']} "
        f"{rules['potential_version'] or ''}{_finish(content)} against the hull of the Materials Project's labels of "
        f"April 2019 with its corrections of 2020, a known composition's own label among them; a hull of today is "
        f"lower in places. What lies more than {-rules['implausible']:g} eV/atom below it is taken for the potential's "
        f"failure ({counts['implausible']:,}). The same crystal: StructureMatcher, ltol {matcher['ltol']}, stol "
        f"{matcher['stol']}, angle {matcher['angle_tol']:g}; novel: by {rules['novel']}. A potential's energies are no "
        f"DFT: the table by anion says how far they are off for known compounds, many of which it was trained on."
    )


def _finish(content: Mapping[str, Any]) -> str:
    """What a second potential did, as a part of the sentence on energies."""
    finish = content["protocol"].get("finish")
    if finish is None:
        return ""
    agreement = content["agreement"]
    of = f" of the first {finish['top']:,} compositions" if finish["top"] else " of each composition"
    return (
        f" and, of the lowest {finish['lowest']}{of}, which it relaxed further, of {finish['potential']} "
        f"{finish['version'] or ''} (formation energies differ by more than {finish['disagree']:g} eV/atom for "
        f"{agreement['disagree']:,} of {agreement['n']:,}; shares that name no potential are by the former)"
    )


def _spread(row: Mapping[str, Any]) -> str:
    """How far two potentials differ, eV/atom."""
    disagree = row["potentials_disagree"]
    return _energy(row["potential_spread"]) + (", disagree" if not pd.isna(disagree) and disagree else "")


def _energy(value: Any) -> str:
    return "-" if value is None or pd.isna(value) else f"{float(value):.3f}"


def _text(value: Any) -> str:
    return "-" if value is None or pd.isna(value) else f"{int(value):,}"
