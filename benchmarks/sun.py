"""Stable, unique and novel: 200 compositions as the bundled model draws them, with structures relaxed by CHGNet.

Nothing is filtered before: what has no structure, is known or is unstable counts against. Each step is the command that
a user would type; the folder is kept, so that an interrupted run goes on.

python -m benchmarks.sun [--folder runs/sun]     (an hour on two cores)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.commands import matgen
from benchmarks.record import write_result
from matgen.io.files import read_json
from matgen.structures.folder import CANDIDATES

N = 200
PER_FORMULA, MOST_ATOMS, MAX_STEPS = 3, 24, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/sun"))
    folder = parser.parse_args().folder
    drawn, structures = folder / "candidates.csv", folder / "structures"
    if not drawn.exists():
        matgen("sample", "-n", N, "--seed", 0, "--out", drawn)
    if not (structures / CANDIDATES).exists():
        matgen("structure", drawn, "--top", 0, "--per-formula", PER_FORMULA, "--max-atoms", MOST_ATOMS, "--max-steps",
               MAX_STEPS, "--out", structures, "--resume")  # fmt: skip
    matgen("evaluate", structures, "--no-baselines", "--out", folder / "report", "--force", "--quiet")
    content = read_json(folder / "report" / "report.json")
    frame = pd.read_parquet(folder / "report" / "structures.parquet")
    results = content["structures"]
    origins = frame["origin"].value_counts().to_dict()
    print(write_result("sun", {
        "settings": {"n": N, "per_formula": PER_FORMULA, "max_atoms": MOST_ATOMS, "max_steps": MAX_STEPS},
        "valid_unique_novel": content["valid_unique_novel"],
        "lowest_from": {str(name): int(count) for name, count in origins.items()},
        **results,
    }), results["counts"])  # fmt: skip


if __name__ == "__main__":
    main()
