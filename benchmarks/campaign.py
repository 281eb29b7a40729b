"""New candidates judged by DFT: the first of the ranking, with the phases they compete with, by `matgen dft campaign`.

Candidates of cheap elements whose setups and small references GPAW has, at most 6 atoms a formula and a cell, in the
order of the ranking; those without a structure of that size, or with an element that has no small reference, are passed
over by the campaign, which says why. Energies are PBE without corrections at the geometry that the potentials relaxed;
distances are to the hull of the phases that were calculated in the same way. Where a competing phase has only a
structure that both potentials find well above its ground state, such as one of a smaller cell, that hull is too high: a
candidate's distance to it is a lower bound, and nobody is judged by it. The folder is kept, so that an interrupted run
goes on; with a limit of hours, what is not calculated by then counts as waiting.

python -m benchmarks.campaign [--folder runs/campaign] [--hours 4]     (two core-hours; needs gpaw)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.commands import matgen
from benchmarks.record import write_result
from matgen.io.files import read_json

ELEMENTS = "Li-Na-K-Mg-Ca-Sr-Ba-Al-Zn-O-F-Cl"
TOP, MOST_ATOMS = 20, 6
CUTOFF, KPOINT_DENSITY = 450.0, 3.0

TOO_HIGH = 0.05
"""eV/atom above the hull of labels, by both potentials, from which a competing phase has not its right structure."""

COLUMNS = (
    "formula", "state_dft", "reason_dft", "n_atoms", "space_group", "energy_above_hull_dft", "formation_energy_dft",
    "decomposition_dft", "decomposition", "energy_above_hull_chgnet", "energy_above_hull_7net_l3i5",
    "energy_above_hull", "probability_hull_0.1", "formation_energy_chgnet_uncorrected",
    "formation_energy_7net_l3i5_uncorrected", "formation_energy", "max_force_dft", "seconds_dft",
)  # fmt: skip
"""Of the campaign's results, where they are there."""


def calculate(folder: Path, hours: float, workers: int) -> None:
    """Draw and rank candidates unless that is done, and go on with their campaign."""
    if not (folder / "discovery").exists():
        matgen("discover", "-n", 4000, "--within", ELEMENTS, "--max-atoms", MOST_ATOMS, "--structures", 0,
               "--out", folder / "discovery")  # fmt: skip
    matgen("dft", "campaign", folder / "discovery" / "ranked.csv", "--top", TOP, "--engine", "gpaw",
           "--max-atoms", MOST_ATOMS, "--magnetic-orders", 1, "--cutoff", CUTOFF,
           "--kpoint-density", KPOINT_DENSITY, "--hours", hours, "--hours-each", 0.4, "--workers", workers,
           "--out", folder / "campaign", check=False)  # fmt: skip


def candidates(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What DFT, the potentials and the predictor say of each, numbers in eV/atom; None where one says nothing."""
    rows = table[[name for name in COLUMNS if name in table]].astype(object).where(table.notna(), None)
    return [{name: _short(value) for name, value in row.items()} for row in rows.to_dict("records")]


def structures_too_high(competing: pd.DataFrame) -> list[str]:
    """Competing phases whose structure lies `TOO_HIGH` above the hull of labels by both potentials.

    Args:
        competing: candidates of `competing/`, as `matgen structure` writes them.
    """
    above = competing[["energy_above_hull_chgnet", "energy_above_hull_7net_l3i5"]].min(axis=1)
    return [str(formula) for formula in competing.loc[above > TOO_HIGH, "formula"]]


def with_lower_bounds(rows: list[dict[str, Any]], too_high: list[str]) -> list[dict[str, Any]]:
    """The rows, each with `hull_too_high`: which of these phases compete with it, by the labels or by DFT."""
    marked = []
    for row in rows:
        competing = f"{row.get('decomposition')} {row.get('decomposition_dft')}".split()
        marked.append(row | {"hull_too_high": [name for name in too_high if name in competing]})
    return marked


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def verdicts(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the candidates that DFT places above its hull: how many each judge says are near it, and how far it is off."""
    placed = [row for row in rows if row.get("energy_above_hull_dft") is not None]
    judged = [row for row in placed if not row.get("hull_too_high")]
    truth = [row["energy_above_hull_dft"] for row in judged]
    names = ("energy_above_hull_dft", "energy_above_hull_chgnet", "energy_above_hull_7net_l3i5", "energy_above_hull")
    found = {}
    for name in names:
        pairs = [(row[name], dft) for row, dft in zip(judged, truth, strict=True) if row.get(name) is not None]
        if pairs:
            found[name] = {
                "n": len(pairs),
                "stable": sum(value <= 0 for value, _ in pairs),
                "within_0.1": sum(value <= 0.1 for value, _ in pairs),
                "within_0.1_by_both": sum(value <= 0.1 and dft <= 0.1 for value, dft in pairs),
                "mean_absolute_difference": round(sum(abs(value - dft) for value, dft in pairs) / len(pairs), 4),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/campaign"))
    parser.add_argument("--hours", type=float, default=4.0, help="of calculations in this call (default: 4)")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    calculate(arguments.folder, arguments.hours, arguments.workers)
    out = arguments.folder / "campaign"
    rows = candidates(pd.read_csv(out / "results.csv", keep_default_na=False, na_values=[""]))
    too_high = structures_too_high(pd.read_parquet(out / "competing" / "candidates.parquet"))
    rows = with_lower_bounds(rows, too_high)
    report = read_json(out / "report" / "report.json")
    report["protocol"].pop("versions", None)
    print(write_result("campaign", {"candidates": rows, "verdicts": verdicts(rows), "summary": report}))


if __name__ == "__main__":
    main()
