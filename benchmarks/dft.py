"""The whole way to DFT: new compositions drawn, predicted, given structures, relaxed by CHGNet, calculated by GPAW.

Five small new candidates and five known compounds, formation energies like for like: PBE without corrections or U, at
the geometry of CHGNet, from elements calculated the same way (at most 4 atoms, spin-polarised oxygen; the manifest says
how far above the ground state a reference lies). CHGNet's energies are shown without the corrections that they were
learned with. Each step is the command that a user would type; the folder is kept, so that an interrupted run goes on.

python -m benchmarks.dft [--folder runs/dft] [--workers 2]     (an hour on two cores; needs Debian's gpaw)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.commands import matgen
from benchmarks.record import write_result
from matgen.composition.batch import CompositionBatch
from matgen.io.files import read_json
from matgen.structures.energies import hull_energies

KNOWN = ("NaCl", "MgO", "LiF", "AlNi", "Mg2Si")
ELEMENTS = "Li-Na-K-Rb-Mg-Ca-Sr-Ba-Sc-Y-Ti-Zr-Cu-Ag-Zn-Cd-Al-Ga-In-Si-Ge-Sn-N-P-As-Sb-O-Se-Te-F-Cl-Br-I"
"""With small references and, in the Materials Project, without U."""

N_NEW = 5
MOST_ATOMS = 8
CUTOFF, KPOINT_DENSITY = 450.0, 3.0


def new_candidates(folder: Path) -> list[str]:
    """Compositions in no reference, with small structures, lowest above the hull by CHGNet."""
    drawn, predicted, first = folder / "drawn.csv", folder / "predicted.csv", folder / "first.csv"
    structures = folder / "tried"
    if not structures.exists():
        matgen("sample", "-n", 300, "--within", ELEMENTS, "--num-elements", "2..3", "--max-atoms", 6, "--valid",
               "--unique", "--novel-to", "hybrid", "--seed", 0, "--out", drawn, "--force")  # fmt: skip
        matgen("predict", drawn, "--out", predicted, "--force")
        order = pd.read_csv(predicted, keep_default_na=False)
        order.sort_values("energy_above_hull", key=pd.to_numeric).head(24).to_csv(first, index=False)
        matgen("structure", first, "--top", 0, "--per-formula", 3, "--max-atoms", MOST_ATOMS, "--symmetric", 0,
               "--out", structures)  # fmt: skip
    measured = pd.read_parquet(structures / "candidates.parquet")
    measured = measured[measured["relaxed"].eq(True) & (measured["n_atoms"] <= MOST_ATOMS)]
    return measured.sort_values("energy_above_hull_chgnet")["formula"].head(N_NEW).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/dft"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    began = time.time()
    calculate(folder, arguments.workers)
    results = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=[""])
    rows = compounds(folder, results[results["role"] == "candidate"])
    content = content_of(folder, results, rows) | {"seconds_of_this_call": round(time.time() - began, 1)}
    print(write_result("dft", content), content["mean_absolute_difference"])


def calculate(folder: Path, workers: int) -> None:
    """Choose compounds, relax and export their structures unless that is done, run GPAW on them, and collect."""
    if not (folder / "dft").exists():
        chosen = new_candidates(folder)
        pd.DataFrame({"formula": [*KNOWN, *chosen]}).to_csv(folder / "chosen.csv", index=False)
        matgen("predict", folder / "chosen.csv", "--out", folder / "chosen-predicted.csv", "--force")
        matgen("structure", folder / "chosen-predicted.csv", "--top", 0, "--per-formula", 3, "--max-atoms", MOST_ATOMS,
               "--symmetric", 0, "--out", folder / "structures", "--force")  # fmt: skip
        how = ("--format", "gpaw", "--cutoff", CUTOFF, "--kpoint-density", KPOINT_DENSITY)
        matgen("export", folder / "structures", *how, "--element-references", "--out", folder / "dft")
        matgen("export", folder / "structures", *how, "--competing", "--out", folder / "competing")
    matgen("dft", "run", folder / "dft", "--engine", "gpaw", "--workers", workers, check=False)
    matgen("dft", "collect", folder / "dft", "--out", folder / "results.csv", "--force")


def compounds(folder: Path, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Energies of each candidate by GPAW, by CHGNet and by the predictor, eV/atom."""
    table = pd.read_parquet(folder / "structures" / "candidates.parquet").set_index("structure_id")
    rows = []
    hull = hull_energies(CompositionBatch.from_formulas(results["formula"]))
    for row, lowest in zip(results.to_dict("records"), hull, strict=True):
        said = table.loc[row["structure_id"]]
        rows.append({
            "formula": row["formula"], "known": row["formula"] in KNOWN, "state": row["state"],
            "reason": _text(row["reason"]), "template": said["template"],
            "space_group": int(said["space_group"]), "n_atoms": int(said["n_atoms"]),
            "formation_energy_dft": _number(row["formation_energy_dft"]),
            "formation_energy_chgnet_uncorrected": _number(row["formation_energy_chgnet_uncorrected"]),
            "formation_energy_chgnet": _number(said["formation_energy_chgnet"]),
            "formation_energy": _number(float(said["formation_energy"])),
            "energy_above_hull_chgnet": _number(said["formation_energy_chgnet"] - lowest),
            "max_force_dft": _number(row["max_force_dft"]), "seconds": row["seconds_dft"],
        })  # fmt: skip
    return rows


def content_of(folder: Path, results: pd.DataFrame, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The compounds with the elements, the settings and the differences."""
    elements = results[results["role"] == "element"]
    done = [row for row in rows if row["state"] == "done" and row["formation_energy_dft"] is not None]
    errors = {
        name: _mean_absolute([row["formation_energy_dft"] - row[name] for row in done])
        for name in ("formation_energy_chgnet_uncorrected", "formation_energy")
    }
    manifest = read_json(folder / "dft" / "manifest.json")
    offsets = {
        job["formula"]: job["provenance"].get("offset", 0.0) for job in manifest["jobs"] if job["role"] == "element"
    }
    return {
        "settings": {"code": "GPAW", "functional": "PBE", "cutoff_ev": CUTOFF, "kpoint_density": KPOINT_DENSITY,
                     "geometry": "relaxed by CHGNet"},
        "compounds": rows,
        "elements": [{"formula": row["formula"], "state": row["state"], "energy": _number(row["energy_per_atom_dft"]),
                      "seconds": row["seconds_dft"]} for row in elements.to_dict("records")],
        "reference_offsets_chgnet": {name: value for name, value in offsets.items() if value},
        "competing_inputs": len(read_json(folder / "competing" / "manifest.json")["jobs"]) - len(rows),
        "mean_absolute_difference": errors,
        "dft_core_seconds": round(float(np.nansum(pd.to_numeric(results["seconds_dft"]))), 1),
    }  # fmt: skip


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: float) -> float | None:
    return None if pd.isna(value) else round(float(value), 4)


def _mean_absolute(values: list[float]) -> float | None:
    return round(float(np.mean(np.abs(values))), 4) if values else None


if __name__ == "__main__":
    main()
