"""The report of a campaign as a page: candidates by DFT beside what potentials and the predictor said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from matgen.evaluation.page import svg
from matgen.evaluation.page.figures import Drawing
from matgen.evaluation.page.html import Card, render
from matgen.evaluation.page.svg import Series
from matgen.evaluation.page.tables import Rows, Table, setting

_UNITS = {"cutoff": " / eV", "kpoint_density": " / angstrom"}

_MOST_DRAWN = 40
"""Candidates in the figures."""


def html(content: Mapping[str, Any], frame: pd.DataFrame, calculations: pd.DataFrame, potentials: Sequence[str]) -> str:
    """The report as one self-contained page; every text is escaped.

    Args:
        content: of `report.json`.
        frame: a row for each candidate, as in `results.csv`.
        calculations: as in `calculations.csv`.
        potentials: names of those that `frame` has energies of.
    """
    told = frame[frame["state_dft"] != "left out"]
    return render(
        "campaign.html",
        content=content,
        headline=_headline(content),
        lead=_lead(content),
        cards=_cards(content),
        candidates=candidate_rows(told, potentials),
        words=3 + has_magnetic_orders(told),
        left_out=_left_out_rows(frame),
        figures=[drawing for drawing in (_hull(told, potentials), _parity(told, potentials)) if drawing is not None],
        calculations=calculation_rows(calculations),
        lacking=[[name, reason] for name, reason in content["lacking_phases"].items()],
        protocol=protocol_rows(content),
    )


def _headline(content: Mapping[str, Any]) -> str:
    n, of = content["stable"], content["with_energy_above_hull"]
    if not of:
        return f"None of {content['candidates']:,} candidates has an energy above the hull by DFT yet"
    return f"{n:,} of {of:,} candidates {'is' if n == 1 else 'are'} on or below the hull by DFT"


def _lead(content: Mapping[str, Any]) -> str:
    calculations = content["calculations"]
    n = content["with_energy_above_hull"]
    near = (f"{content['within_0.1']:,} of {n:,} lie within 0.1 eV/atom of the hull of their competing phases, all "
            f"calculated alike. ") * bool(n)  # fmt: skip
    text = f"{near}{calculations['done']:,} of {sum(calculations.values()):,} calculations are done"
    more = [f"{calculations[state]:,} {word}" for state, word in (("failed", "failed"), ("waiting", "still to be run"))
            if calculations[state]]  # fmt: skip
    return f"{text}{''.join(f', {part}' for part in more)}."


def _cards(content: Mapping[str, Any]) -> list[Card]:
    of = f"of {content['candidates']:,} candidates"
    with_distance = f"of {content['with_energy_above_hull']:,} with a distance to the hull"
    calculations = content["calculations"]
    hours = (f"{content['hours']:.2f} hours of calculation" if content["core_hours"] is None
             else f"{content['core_hours']:.2f} core-hours")  # fmt: skip
    return [
        Card("Stable by DFT", f"{content['stable']:,}", with_distance, [], "At most 0 eV/atom above the hull.",
             gauge=False, chief=True),
        Card("Near the hull", f"{content['within_0.1']:,}", with_distance, [], "At most 0.1 eV/atom above the hull.",
             gauge=False),
        Card("Calculated", f"{content['done']:,}", of,
             [f"{content[name]:,} {name.replace('_', ' ')}" for name in ("failed", "waiting", "left_out")
              if content[name]], "Candidates whose own calculation is done.", gauge=False),
        Card("Calculations", f"{calculations['done']:,}", f"of {sum(calculations.values()):,} done",
             [*(f"{calculations[name]:,} {name}" for name in ("failed", "waiting") if calculations[name]), hours],
             "Candidates, elements and competing phases.", gauge=False),
    ]  # fmt: skip


def _columns(frame: pd.DataFrame, potentials: Sequence[str]) -> list[tuple[str, str]]:
    """Head and column of each number of the candidate table that is there."""
    columns = [("Hull: DFT", "energy_above_hull_dft")]
    columns += [(f"Hull: {name}", f"energy_above_hull_{name}_uncorrected") for name in potentials]
    columns += [(f"Hull of labels: {name}", f"energy_above_hull_{name}") for name in potentials]
    columns += [("Hull of labels: predicted", "energy_above_hull"), ("Formation: DFT", "formation_energy_dft")]
    columns += [(f"Formation: {name}", f"formation_energy_{name}_uncorrected") for name in potentials]
    columns += [("Formation: predicted", "formation_energy")]
    return [(head, name) for head, name in columns if name in frame]


def has_magnetic_orders(frame: pd.DataFrame) -> bool:
    """Whether a candidate is magnetic in the order that counts."""
    return "magnetic_order" in frame and bool((~frame["magnetic_order"].fillna("").isin(["", "nonmagnetic"])).any())


def candidate_rows(frame: pd.DataFrame, potentials: Sequence[str]) -> Table:
    """Candidate by candidate: words first, then numbers."""
    numbers = _columns(frame, potentials)
    order = has_magnetic_orders(frame)
    heads = ["Formula", "Decomposes into", "State", *["Magnetic order"] * order, *(head for head, _ in numbers),
             "Atoms", "Time / min"]  # fmt: skip
    rows = []
    for row in frame.to_dict("records"):
        state = str(row["state_dft"]) + (f": {row['reason_dft']}" if row["reason_dft"] else "")
        seconds = row.get("seconds_dft")
        rows.append([
            str(row["formula"]), _text(row["decomposition_dft"]), state, *[_text(row.get("magnetic_order"))] * order,
            *(_energy(row[name]) for _, name in numbers), _text(row.get("n_atoms")),
            "-" if _missing(seconds) else f"{float(seconds) / 60:.1f}",  # type: ignore[arg-type]
        ])  # fmt: skip
    return heads, rows


def calculation_rows(calculations: pd.DataFrame) -> Table:
    """All calculations in the order of the folder."""
    names = {"candidate": "candidate", "element": "element", "competing": "competing phase"}
    rows = []
    for row in calculations.to_dict("records"):
        seconds = row["seconds_dft"]
        rows.append([
            str(row["structure_id"]), str(row["formula"]), names.get(str(row["role"]), str(row["role"])),
            str(row["state"]), _text(row["reason"]), _text(row["n_atoms"]), _energy(row["energy_per_atom_dft"]),
            "-" if _missing(seconds) else f"{float(seconds):,.0f}",
        ])  # fmt: skip
    return ["Calculation", "Formula", "Role", "State", "Reason", "Atoms", "Energy / eV/atom", "Time / s"], rows


def _left_out_rows(frame: pd.DataFrame) -> Table:
    rows = [[str(row["formula"]), str(row["reason_dft"])] for row in
            frame[frame["state_dft"] == "left out"].to_dict("records")]  # fmt: skip
    return ["Formula", "Reason"], rows


def protocol_rows(content: Mapping[str, Any]) -> Rows:
    """Settings, as name and value."""
    protocol = content["protocol"]
    named = {name: value for name, value in protocol.items() if name not in ("versions", "engine")}
    rows = [[f"{name.replace('_', ' ')}{_UNITS.get(name, '')}", "default" if value is None else setting(value)]
            for name, value in named.items()]  # fmt: skip
    return [*rows, ["versions", ", ".join(f"{name} {value}" for name, value in protocol["versions"].items())]]


def _hull(frame: pd.DataFrame, potentials: Sequence[str]) -> Drawing | None:
    """Distances to the hull of candidates that DFT has one of."""
    frame = frame[frame["energy_above_hull_dft"].notna()].head(_MOST_DRAWN)
    if frame.empty:
        return None
    columns = [("DFT", "energy_above_hull_dft"),
               *((name, f"energy_above_hull_{name}_uncorrected") for name in potentials),
               ("predicted", "energy_above_hull")]  # fmt: skip
    series = [Series(head, _numbers(frame[name])) for head, name in columns if name in frame]
    title = "Energy above the hull"
    drawn = svg.dots(title, [str(formula) for formula in frame["formula"]], series, [[] for _ in series],
                     "energy above the hull / eV/atom")  # fmt: skip
    caption = (
        "DFT and potentials: the same phases, each with its own uncorrected energies. Predicted: the hull of the "
        "labels that the predictor learned from. Below 0 a compound is more stable than what competes with it."
    )
    return Drawing(title, Markup(drawn), caption)


def _parity(frame: pd.DataFrame, potentials: Sequence[str]) -> Drawing | None:
    """Formation energies against DFT's."""
    frame = frame[frame["formation_energy_dft"].notna()]
    columns = [(name, f"formation_energy_{name}_uncorrected") for name in potentials]
    series = [Series(head, _numbers(frame[name])) for head, name in [*columns, ("predicted", "formation_energy")]
              if name in frame]  # fmt: skip
    if frame.empty or not series:
        return None
    title = "Formation energies against DFT"
    drawn = svg.parity(title, [float(value) for value in frame["formation_energy_dft"]], series,
                       "by DFT (PBE) / eV/atom", "otherwise / eV/atom")  # fmt: skip
    caption = ("Potentials without the corrections they were trained with, so that they compare with plain PBE; the "
               "predictor learned energies with fitted references, which lie apart from plain PBE.")  # fmt: skip
    return Drawing(title, Markup(drawn), caption)


def _numbers(values: pd.Series) -> list[float | None]:
    numbers = pd.to_numeric(values, errors="coerce")
    return [None if pd.isna(value) else float(value) for value in numbers]


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _energy(value: Any) -> str:
    try:
        return "-" if _missing(value) else f"{float(value):.3f}"
    except (TypeError, ValueError):  # a user's own column of the name
        return str(value)


def _text(value: Any) -> str:
    if _missing(value) or value == "":
        return "-"
    return f"{int(value):,}" if isinstance(value, float) else str(value)
