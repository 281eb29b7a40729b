"""How fast validity is judged beside SMACT, in how much memory, and how much of the known compounds is valid.

python -m benchmarks.validity

Both judge neutrality and balance of the same compositions in the same run: matgen's `check` of whole sets, on one core
and on all; SMACT, which judges a formula at a time in one process, a random sample of each set. Medians of `ROUNDS`.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.record import write_result
from benchmarks.smact_verdicts import smact_check
from benchmarks.validity_agreement import random_batch
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.runtime.cores import available_cores
from matgen.validity import TABLES, ValidityRules, check, explain

ROUNDS = 5
SAMPLE = 2_000
RANDOM = 200_000
SMACT_RANDOM = 200


def median_seconds(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def speeds(batch: CompositionBatch, sample: int) -> dict[str, Any]:
    """Formulas a second of both, interleaved round by round, and their ratios."""
    picked = batch[np.random.default_rng(0).choice(len(batch), sample, replace=False)]
    one, all_cores, with_reasons, smact = [], [], [], []
    for _ in range(ROUNDS):
        one.append(len(batch) / median_seconds(lambda: check(batch, workers=1), 1))
        all_cores.append(len(batch) / median_seconds(lambda: check(batch), 1))
        with_reasons.append(len(batch) / median_seconds(lambda: explain(batch), 1))
        smact.append(sample / median_seconds(lambda: smact_check(picked, workers=1), 1))
    return {
        "formulas": len(batch),
        "smact_formulas": sample,
        "formulas_per_second_a_core": round(statistics.median(one)),
        "formulas_per_second_all_cores": round(statistics.median(all_cores)),
        "formulas_per_second_with_witness": round(statistics.median(with_reasons)),
        "smact_formulas_per_second": round(statistics.median(smact)),
        "ratio_a_core": round(statistics.median(o / s for o, s in zip(one, smact, strict=True))),
        "ratio_all_cores": round(statistics.median(o / s for o, s in zip(all_cores, smact, strict=True))),
    }


def valid_shares() -> dict[str, dict[str, float]]:
    """Balanced share of the known compounds (2 to 8 elements, at most 30 atoms) under each table."""
    shares: dict[str, dict[str, float]] = {}
    for name in ("mp-mix", "oqmd-mix", "hybrid-mix", "hybrid"):
        batch = load_dataset(name).batch
        shares[name] = {"formulas": len(batch)}
        for table in TABLES:
            results = check(batch, ValidityRules(table))
            mixed = check(batch, ValidityRules(table, mixed_valence=True))
            shares[name][table] = round(float(results.electronegativity_balanced.mean()), 4)
            shares[name][f"{table}_charge_neutral"] = round(float(results.charge_neutral.mean()), 4)
            shares[name][f"{table}_mixed_valence"] = round(float(mixed.electronegativity_balanced.mean()), 4)
            shares[name][f"{table}_with_alloys"] = round(
                float((results.electronegativity_balanced | batch.all_metal).mean()), 4
            )
    return shares


def main() -> None:
    batches = {name: load_dataset(name).batch for name in ("mp-mix", "oqmd-mix", "hybrid")}
    check(batches["hybrid"])  # compiles
    explain(batches["hybrid"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    check(CompositionBatch.concatenate([batches["hybrid"]] * 10))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    content = {
        "rounds": ROUNDS,
        "cores": available_cores(),
        "speed": {
            **{name: speeds(batch, SAMPLE) for name, batch in batches.items()},
            "random": speeds(random_batch(RANDOM, seed=1), SMACT_RANDOM),
        },
        "memory_mib": {
            "before": round(before),
            "peak_judging_ten_times_hybrid": round(after),
            "of_which_the_compositions": round(
                10 * (batches["hybrid"].elements.nbytes + batches["hybrid"].counts.nbytes) / 2**20
            ),
        },
        "valid": valid_shares(),
    }
    print(content)
    write_result("validity", content)


if __name__ == "__main__":
    main()
