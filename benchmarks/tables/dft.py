"""Rows of DFT: energies of known and new compounds, potentials against it, and a campaign on the first of a ranking."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.tables.render import Json, fill
from benchmarks.tables.structures import TITLES


def calculated(content: Json) -> Iterator[Json]:
    """GPAW's formation energies, of known compounds first."""
    for row in sorted(content["compounds"], key=lambda row: not row["known"]):
        done = fill("{formation_energy_dft:.3f}", row) if row["state"] == "done" else row["reason"]
        known = "known" if row["known"] else "new"
        yield row | {"known_or_new": known, "result": done, "took": row["seconds"] or 0}


def agreement(content: Json) -> Iterator[Json]:
    """Potentials minus GPAW, of known compounds first."""
    for row in sorted(content["compounds"], key=lambda row: not row["known"]):
        said = {name: row[name] - row["formation_energy_dft"] for name in TITLES}
        yield row | said | {"known_or_new": "known" if row["known"] else "new"}


def offsets(content: Json) -> str:
    named = (f"{name} {value:.3f}" for name, value in content["reference_offsets_chgnet"].items())
    return ", ".join(named) or "none"


def campaign(content: Json) -> Iterator[Json]:
    """Candidates of the campaign, lowest above the hull by DFT first; what could not be placed comes last."""
    lacking = float("inf")
    rows = [row | {"dft": row.get("energy_above_hull_dft")} for row in content["candidates"]]
    for row in sorted(rows, key=lambda row: lacking if row["dft"] is None else row["dft"]):
        dft = row["reason_dft"] or row["state_dft"] if row["dft"] is None else f"{row['dft']:.3f}"
        if row.get("hull_too_high"):
            dft = f"at least {dft} ({', '.join(row['hull_too_high'])})"
        yield row | {"dft": dft, "decomposition": row.get("decomposition_dft") or ""}


def judges(content: Json) -> str:
    """How far each judge is from DFT, and how many it calls near the hull, of those that DFT could place."""
    titles = {
        "energy_above_hull_chgnet": "CHGNet",
        "energy_above_hull_7net_l3i5": "SevenNet-l3i5",
        "energy_above_hull": "the prediction from the composition",
    }
    cell = " {mean_absolute_difference:.3f} eV/atom, {within_0.1} called near, {within_0.1_by_both} of them rightly"
    found = content["verdicts"]
    return "; ".join(title + fill(cell, found[name]) for name, title in titles.items() if name in found)
