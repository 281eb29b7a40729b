"""Does matgen's validity say what SMACT says, and, where SMACT gives up, what trying every assignment says?

python -m benchmarks.validity_agreement [--settings N] [--random N]

All bundled compositions under the default and further settings against `smact_validity` (minutes each), random formulas
of 2 to 8 elements with counts to 40 (SMACT where it ends soon, brute force beyond), and mixed valence against brute
force, without SMACT's limit of 10^6 combinations. Each part is written when it is done.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.record import write_result
from benchmarks.smact_verdicts import smact_check
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.runtime.cores import available_cores
from matgen.validity import ValidityRules, check, state_table
from tests.validity import brute

SETTINGS = (
    ValidityRules(),
    ValidityRules("icsd16"),
    ValidityRules("smact14"),
    ValidityRules("pymatgen"),
    ValidityRules("wiki"),
    ValidityRules(include_zero=True),
    ValidityRules(commonality="medium"),
)
SMACT_ENDS = 2_000
"""Combinations of states up to which SMACT judges a random formula; beyond, brute force does."""
SMACT_LONG = 100
"""Random formulas beyond `SMACT_ENDS` that SMACT judges all the same."""
MIXED = 20_000


def random_batch(n: int, seed: int) -> CompositionBatch:
    """`n` formulas of 2 to 8 distinct elements of H to Lr, counts of 1 to 40, all uniform."""
    rng = np.random.default_rng(seed)
    elements = np.argsort(rng.random((n, 103)), axis=1)[:, :8] + 1
    counts = rng.integers(1, 41, size=(n, 8))
    counts[np.arange(8) >= rng.integers(2, 9, size=n)[:, None]] = 0
    return CompositionBatch.from_arrays(elements, counts)


def brute_check(batch: CompositionBatch, rules: ValidityRules) -> np.ndarray:
    """Columns neutral, balanced by brute force, bool `(n, 2)`."""

    def part(rows: np.ndarray) -> list[tuple[bool, bool]]:
        table, chunk = state_table(rules), batch[rows]
        return [brute.verdict(z[z > 0], c[z > 0], table) for z, c in zip(chunk.elements, chunk.counts, strict=True)]

    chunks = np.array_split(np.arange(len(batch)), max(1, len(batch) // 200))
    results = Parallel(available_cores())(delayed(part)(rows) for rows in chunks)
    return np.array([verdict for some in results for verdict in some], dtype=bool)


def disagreements(batch: CompositionBatch, rules: ValidityRules, theirs: np.ndarray, judged: np.ndarray) -> int:
    """Formulas on which either verdict differs."""
    ours = check(batch, rules)
    both = np.stack([ours.charge_neutral, ours.electronegativity_balanced], axis=1)
    return int((both != theirs).any(axis=1)[judged].sum())


def against_smact(batch: CompositionBatch, rules: ValidityRules) -> dict[str, Any]:
    began = time.perf_counter()
    smact = smact_check(batch, rules)
    theirs = np.stack([smact.charge_neutral, smact.electronegativity_balanced], axis=1)
    return {
        "formulas": int(smact.judged.sum()),
        "left_out": int((~smact.judged).sum()),
        "disagreements": disagreements(batch, rules, theirs, smact.judged),
        "smact_seconds": round(time.perf_counter() - began, 1),
    }


def against_brute_force(batch: CompositionBatch, rules: ValidityRules) -> dict[str, Any]:
    table = state_table(rules)
    fits = np.array(
        [
            brute.n_assignments(z[z > 0], c[z > 0], table) <= brute.MAX_ASSIGNMENTS
            for z, c in zip(batch.elements, batch.counts, strict=True)
        ],
        dtype=bool,
    )
    kept = batch[fits]
    return {
        "formulas": len(kept),
        "left_out": int((~fits).sum()),
        "disagreements": disagreements(kept, rules, brute_check(kept, rules), np.ones(len(kept), dtype=bool)),
    }


def combinations(batch: CompositionBatch, rules: ValidityRules) -> np.ndarray:
    table = state_table(rules)
    states = np.where(batch.elements > 0, np.maximum(table.n_states[batch.elements], 1), 1)
    return states.prod(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="how many of the settings")
    parser.add_argument("--bundled", type=int, default=0, help="bundled compositions to take (default: all)")
    parser.add_argument("--random", type=int, default=200_000, help="random formulas")
    arguments = parser.parse_args()
    bundled = load_dataset("hybrid").batch
    if arguments.bundled:
        bundled = bundled[np.random.default_rng(0).choice(len(bundled), arguments.bundled, replace=False)]
    content: dict[str, Any] = {"bundled": [], "random": {}, "mixed_valence": {}}

    random = random_batch(arguments.random, seed=1)
    rules = ValidityRules()
    many = combinations(random, rules) > SMACT_ENDS
    content["random"] = {
        "seed": 1,
        "smact": against_smact(random[~many], rules),
        "brute_force": against_brute_force(random[many], rules),
        "smact_beyond": against_smact(random[many][:SMACT_LONG], rules),
    }
    write_result("validity_agreement", content)

    mixed = ValidityRules(mixed_valence=True)
    some = bundled[np.random.default_rng(2).choice(len(bundled), min(MIXED, len(bundled)), replace=False)]
    content["mixed_valence"] = {
        "bundled_brute_force": against_brute_force(some, mixed),
        "bundled_smact": against_smact(some[:2000], mixed),
        "include_zero_brute_force": against_brute_force(
            some[:5000], ValidityRules(mixed_valence=True, include_zero=True)
        ),
        "wiki_brute_force": against_brute_force(some[:5000], ValidityRules("wiki", mixed_valence=True)),
    }
    write_result("validity_agreement", content)
    for rules in SETTINGS[: arguments.settings]:
        content["bundled"].append({"rules": asdict(rules), **against_smact(bundled, rules)})
        print(content["bundled"][-1], flush=True)
        write_result("validity_agreement", content)
    print(content)


if __name__ == "__main__":
    main()
