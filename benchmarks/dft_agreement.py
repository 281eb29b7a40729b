"""Potentials against DFT: formation energies of small compounds by GPAW, by CHGNet and by others at the same geometry.

Known compounds of cheap elements and the new ones of `benchmarks.dft`, like for like: PBE without corrections or U, at
the geometry of CHGNet, from elements calculated the same way. GPAW's elements are small cells, which may lie above the
ground states that the potentials' formation energies refer to; by how much CHGNet says (the manifest's offsets), and so
much is added. Potentials other than CHGNet are evaluated at CHGNet's geometry. The folder is kept, so that an
interrupted run goes on; what is not calculated yet is left out.

python -m benchmarks.dft_agreement [--folder runs/dft-agreement] [--workers 1]     (an hour on a core; needs gpaw)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.commands import matgen
from benchmarks.dft import CUTOFF, KNOWN, KPOINT_DENSITY, MOST_ATOMS
from benchmarks.record import write_result
from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.io.files import read_json
from matgen.structures.energies import formation_energies, mp2020_correction, oxide_type
from matgen.structures.folder import bare_atoms, read_structures
from matgen.structures.potentials.registry import load_potential

FURTHER = (
    "KCl", "CaO", "CaF2", "Li2O", "Li3N", "AlN", "ScN", "TiN", "TiC", "SiC", "AlP", "GaAs", "InP", "CaSe", "ZnO",
    "ZnTe", "Mg2Ge", "NaBr", "KI",
)  # fmt: skip
"""Known compounds whose own structures are bundled, with at most 4 atoms; calculated without U at the Project."""

NEW = ("Sr2CaP2", "LiScSe", "BaSrP", "RbInO2", "Sr2MgP2")
"""In no reference when `benchmarks.dft` drew them."""

POTENTIALS = ("chgnet", "7net-l3i5", "7net-0")


def calculate(folder: Path, workers: int) -> None:
    """Relax and export structures unless that is done, run GPAW on them, and collect."""
    if not (folder / "dft").exists():
        pd.DataFrame({"formula": [*KNOWN, *FURTHER, *NEW]}).to_csv(folder / "chosen.csv", index=False)
        matgen("structure", folder / "chosen.csv", "--top", 0, "--per-formula", 3, "--max-atoms", MOST_ATOMS,
               "--symmetric", 0, "--workers", workers, "--out", folder / "structures", "--force")  # fmt: skip
        matgen("export", folder / "structures", "--format", "gpaw", "--cutoff", CUTOFF, "--kpoint-density",
               KPOINT_DENSITY, "--element-references", "--out", folder / "dft")  # fmt: skip
    matgen("dft", "run", folder / "dft", "--engine", "gpaw", "--workers", workers, check=False)


def compounds(folder: Path) -> list[dict[str, Any]]:
    """Formation energies of each compound by GPAW and by the potentials, eV/atom, without corrections."""
    matgen("dft", "collect", folder / "dft", "--out", folder / "results.csv", "--force")
    results = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=[""])
    offset = {next(iter(_counts(row["formula"]))): row["reference_offset"]
              for row in results[results["role"] == "element"].to_dict("records")}  # fmt: skip
    done = results[(results["role"] == "candidate") & results["formation_energy_dft"].notna()]
    _, structures = read_structures(folder / "structures")
    crystals = [structures[id] for id in done["structure_id"]]
    said = {name: uncorrected(name, done["formula"].tolist(), crystals) for name in POTENTIALS}
    rows = []
    for place, row in enumerate(done.to_dict("records")):
        counts = _counts(row["formula"])
        above = sum(offset[symbol] * count for symbol, count in counts.items()) / sum(counts.values())
        rows.append({
            "formula": row["formula"], "known": row["formula"] not in NEW, "n_atoms": len(crystals[place]),
            "formation_energy_dft": round(row["formation_energy_dft"] + above, 4), "offset": round(above, 4),
            **{name: round(float(energies[place]), 4) for name, energies in said.items()},
            "seconds": row["seconds_dft"],
        })  # fmt: skip
    return rows


def uncorrected(name: str, formulas: list[str], crystals: list[Any]) -> np.ndarray:
    """Formation energies by a potential without the corrections of 2020, eV/atom, of crystals as they are."""
    potential = load_potential(name)
    evaluations = potential.evaluate([bare_atoms(crystal) for crystal in crystals])
    energy = np.array([entry.energy / len(entry.forces) for entry in evaluations])
    batch = CompositionBatch.from_formulas(formulas)
    formation = formation_energies(batch, energy)
    types = [oxide_type(crystal) for crystal in crystals]
    return formation - mp2020_correction(batch, types) if potential.corrected else formation


def _counts(formula: str) -> dict[str, int]:
    batch = CompositionBatch.from_formulas([formula])
    return {str(SYMBOLS[z]): int(n) for z, n in zip(batch.elements[0], batch.counts[0], strict=True) if z}


def differences(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each potential minus GPAW, eV/atom: mean, mean absolute, median absolute and the largest."""
    content = {}
    for name in POTENTIALS:
        error = np.array([row[name] - row["formation_energy_dft"] for row in rows])
        size = np.abs(error)
        content[name] = {
            "n": len(rows), "bias": round(float(error.mean()), 4), "mae": round(float(size.mean()), 4),
            "median": round(float(np.median(size)), 4), "largest": round(float(size.max()), 4),
            "largest_of": rows[int(size.argmax())]["formula"],
        }  # fmt: skip
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/dft-agreement"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--collect", action="store_true", help="calculate nothing further")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not arguments.collect:
        calculate(arguments.folder, arguments.workers)
    rows = compounds(arguments.folder)
    jobs = read_json(arguments.folder / "dft" / "manifest.json")["jobs"]
    content = {
        "settings": {"code": "GPAW", "functional": "PBE", "cutoff_ev": CUTOFF, "kpoint_density": KPOINT_DENSITY,
                     "geometry": "relaxed by CHGNet"},
        "compounds": rows, "chosen": sum(job["role"] == "candidate" for job in jobs),
        "potentials": differences(rows),
    }  # fmt: skip
    print(write_result("dft_agreement", content), content["potentials"])


if __name__ == "__main__":
    main()
