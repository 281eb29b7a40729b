"""Constraints: how many of 100,000 samples break them (none may), and what keeping them costs.

python -m benchmarks.constraints [--n 100000] [--model CHECKPOINT]

Ten sets, each drawn by masking; every row is checked by `Constraints.satisfied`, which knows nothing of the masks, and
where neutrality is promised by `matgen.validity.check` besides. Rates are without writing a file, beside unconstrained
drawing in the same run. For each set also what free drawing keeps (`--rejection`), of 20,000 draws.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.record import write_result
from matgen.composition.batch import parse_formulas
from matgen.models.locate import find_checkpoint
from matgen.sampling import Constraints, Sampler
from matgen.validity import check

SETS: tuple[dict[str, Any], ...] = (
    {"chemsys": "Li-Fe-P-O"},
    {"within": "Li-Na-K-Mg-Ca-Al-Si-O-F-Cl-S"},
    {"contains": "Li-O"},
    {"exclude": "lanthanides,actinides,toxic,radioactive,noble_gases"},
    {"num_elements": "4..5"},
    {"max_atoms": 8},
    {"anonymous_formula": "ABC3"},
    {"stoichiometry": "A2 B O4"},
    {"valid": True},
    {
        "contains": "O",
        "exclude": "toxic,radioactive",
        "num_elements": "3..4",
        "count": "O:2..6",
        "max_atoms": 14,
        "valid": True,
    },
)
FREE = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--model", help="checkpoint (default: the bundled one)")
    arguments = parser.parse_args()
    folder = find_checkpoint(arguments.model)
    sampler = Sampler(folder)
    list(sampler.sample(2_000, seed=9))
    began = time.perf_counter()
    list(sampler.sample(arguments.n, seed=0))
    free_rate = arguments.n / (time.perf_counter() - began)
    free = np.concatenate([block.formulas for block in sampler.sample(FREE, seed=1)])
    free_batch = parse_formulas(free).batch
    rows = []
    for options in SETS:
        constraints = Constraints.from_options(**options)
        began = time.perf_counter()
        formulas = np.concatenate([b.formulas for b in sampler.sample(arguments.n, seed=0, constraints=constraints)])
        seconds = time.perf_counter() - began
        parsed = parse_formulas(formulas)
        broken = len(parsed.bad) + int((~constraints.satisfied(parsed.batch)).sum())
        if options.get("valid"):
            broken += int((~check(parsed.batch).valid).sum())
        rows.append(
            {
                "constraints": constraints.describe(),
                "n": len(formulas),
                "violations": broken,
                "distinct": len(set(formulas)),
                "formulas_per_second": round(len(formulas) / seconds),
                "cost": round(free_rate * seconds / len(formulas), 2),
                "kept_of_free_draws": round(float(constraints.satisfied(free_batch).sum()) / FREE, 5),
            }
        )
        print(rows[-1], flush=True)
    content = {
        "model": folder.name,
        "precision": sampler.precision,
        "unconstrained_formulas_per_second": round(free_rate),
        "violations": sum(row["violations"] for row in rows),
        "sets": rows,
    }
    write_result("constraints", content)


if __name__ == "__main__":
    main()
