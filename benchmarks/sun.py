"""Stable, unique and novel: 200 compositions as the checkpoint of matgen 0.2 draws them, with structures relaxed by CHGNet.

Known compositions are relaxed too, and phases: how far off a potential's hull is. Other models, random formulas and
rankings stand in `benchmarks.discovery`, which relaxes what is novel.

Nothing is filtered before: what has no structure, is known or is unstable counts against. The lowest structure of each
novel composition is relaxed further by SevenNet-l3i5, and both potentials' energies are set against the hull of labels
and against the hull of phases that the same potential relaxed. Each step but that one is the command that a user would
type; the folder is kept, so that an interrupted run goes on.

python -m benchmarks.sun [--folder runs/sun] [--finish 7net-l3i5]     (an hour on two cores)
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.commands import matgen
from benchmarks.record import write_result
from benchmarks.relaxed_draws import FINISHING, SCREENING, within
from matgen.composition.batch import CompositionBatch
from matgen.io.files import read_json
from matgen.runtime.progress import TerminalProgress
from matgen.structures.energies import corrected_formation_energies, hull_energies, mp2020_phases, oxide_type
from matgen.structures.folder import CANDIDATES, read_structures
from matgen.structures.phase_energies import PhaseEnergies
from matgen.structures.potentials.registry import shared_potential
from matgen.structures.relax import RelaxSettings, relax
from matgen.structures.relaxed_hull import RelaxedHull
from matgen.structures.templates import bundled_templates

N, MODEL = 200, "hybrid-pure-gptj-small"
PER_FORMULA, MOST_ATOMS, MAX_STEPS = 3, 24, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/sun"))
    parser.add_argument("--finish", default=FINISHING, metavar="POTENTIAL", help="none: by CHGNet alone")
    arguments = parser.parse_args()
    folder = arguments.folder
    drawn, structures = folder / "candidates.csv", folder / "structures"
    if not drawn.exists():
        matgen("sample", "-n", N, "--seed", 0, "--model", MODEL, "--out", drawn)
    if not (structures / CANDIDATES).exists():
        matgen("structure", drawn, "--top", 0, "--per-formula", PER_FORMULA, "--max-atoms", MOST_ATOMS, "--max-steps",
               MAX_STEPS, "--finish", "none", "--out", structures, "--resume")  # fmt: skip
    matgen("evaluate", structures, "--no-baselines", "--out", folder / "report", "--force", "--quiet")
    content = read_json(folder / "report" / "report.json")
    frame = pd.read_parquet(folder / "report" / "structures.parquet")
    results = content["structures"]
    origins = frame["origin"].value_counts().to_dict()
    by_both = {} if arguments.finish == "none" else {"novel_by_potential": finished(folder, frame, arguments.finish)}
    print(write_result("sun", {
        "settings": {"n": N, "per_formula": PER_FORMULA, "max_atoms": MOST_ATOMS, "max_steps": MAX_STEPS},
        "valid_unique_novel": content["valid_unique_novel"],
        "lowest_from": {str(name): int(count) for name, count in origins.items()},
        **results, **by_both,
    }), results["counts"])  # fmt: skip


def finished(folder: Path, frame: pd.DataFrame, finish: str) -> dict[str, Any]:
    """Novel compositions within 0.1 eV/atom by CHGNet, by another potential and by both, on both kinds of hull.

    Args:
        folder: of the run; energies of phases are kept in it.
        frame: a row for each composition with its lowest structure by CHGNet.
        finish: name of the other potential.
    """
    os.environ["MATGEN_CACHE"] = str(folder.resolve() / "cache")
    novel = frame[frame["novel"].astype(bool) & frame["structure_id"].notna()]
    _, crystals = read_structures(folder / "structures")
    potential = shared_potential(finish)
    relaxed = relax([crystals[id] for id in novel["structure_id"]], potential, RelaxSettings(max_steps=MAX_STEPS),
                    progress=TerminalProgress())  # fmt: skip
    batch = CompositionBatch.from_formulas(novel["formula"].tolist())
    energy = np.array([result.energy for result in relaxed])
    formation = {
        SCREENING: novel[f"formation_energy_{SCREENING}"].to_numpy(dtype=float),
        finish: corrected_formation_energies(batch, energy, potential, [oxide_type(r.structure) for r in relaxed]),
    }
    screened = PhaseEnergies(SCREENING, bundled_templates(), progress=TerminalProgress())
    phases = {SCREENING: screened, finish: PhaseEnergies(finish, screened, progress=TerminalProgress())}
    labels = hull_energies(batch)
    own = {
        name: RelaxedHull(mp2020_phases(), energies.formation, energies.names).below(batch).decomposition.energy
        for name, energies in phases.items()
    }
    above = {"labels": {name: values - labels for name, values in formation.items()},
             "relaxed": {name: values - own[name] for name, values in formation.items()}}  # fmt: skip
    rows = [
        {"formula": formula, **{f"{hull}_{name}": None if np.isnan(values[i]) else round(float(values[i]), 4)
                                for hull, by_name in above.items() for name, values in by_name.items()}}
        for i, formula in enumerate(novel["formula"])
    ]  # fmt: skip
    return {"potentials": [SCREENING, finish], "potential_version": potential.version, "n": len(novel),
            "not_converged": sum(not result.converged for result in relaxed),
            **{hull: within(by_name) for hull, by_name in above.items()}, "rows": rows}  # fmt: skip


if __name__ == "__main__":
    main()
