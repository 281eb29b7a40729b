"""Which settings give the published random baseline? 10.13 % neutral, 5.91 % balanced (Fu et al. 2023).

python -m benchmarks.published_protocol

The paper states neither its SMACT version (hence table of states) nor its alloy rule, nor how its random formulas
are drawn. So each table, with the alloy rule on and off, judges random formulas of several kinds, and the combinations
are ranked by how far they are from the published pair: the sum of the absolute logarithms of both ratios.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from benchmarks.record import write_result
from matgen.composition.batch import CompositionBatch
from matgen.validity import TABLES, ValidityRules, check

PUBLISHED = {"charge_neutral": 0.1013, "electronegativity_balanced": 0.0591}
N = 50_000
LAST_ELEMENT = {"H to Lr": 103, "H to Pu": 94, "H to Og": 118}
MAX_COUNT = (8, 10, 15, 20, 30)
MAX_ATOMS = {"at most 30 atoms": 30, "any number of atoms": 10**6}


def draw(last: int, max_count: int, max_atoms: int, rng: np.random.Generator) -> CompositionBatch:
    """`N` formulas of 2 to 8 distinct elements, all uniform; too large ones are drawn anew."""
    parts, have = [], 0
    while have < N:
        elements = np.argsort(rng.random((N, last)), axis=1)[:, :8] + 1
        counts = rng.integers(1, max_count + 1, size=(N, 8))
        counts[np.arange(8) >= rng.integers(2, 9, size=N)[:, None]] = 0
        small = counts.sum(axis=1) <= max_atoms
        parts.append(CompositionBatch.from_arrays(elements[small], counts[small]))
        have += len(parts[-1])
    return CompositionBatch.concatenate(parts)[:N]


def main() -> None:
    results = []
    rng = np.random.default_rng(0)
    for (elements, last), max_count, (size, most) in itertools.product(
        LAST_ELEMENT.items(), MAX_COUNT, MAX_ATOMS.items()
    ):
        batch = draw(last, max_count, most, rng)
        for table, alloys in itertools.product(TABLES, (False, True)):
            validity = check(batch, ValidityRules(table, include_alloys=alloys))
            passed = batch.all_metal & alloys
            neutral = float((validity.charge_neutral | passed).mean())
            balanced = float((validity.electronegativity_balanced | passed).mean())
            distance = abs(math.log(neutral / PUBLISHED["charge_neutral"])) + abs(
                math.log(balanced / PUBLISHED["electronegativity_balanced"])
            )
            results.append(
                {
                    "oxidation_states": table,
                    "include_alloys": alloys,
                    "formulas": f"{elements}, counts 1 to {max_count}, {size}",
                    "charge_neutral": round(neutral, 4),
                    "electronegativity_balanced": round(balanced, 4),
                    "distance": round(distance, 3),
                }
            )
    results.sort(key=lambda row: row["distance"])
    best = {
        f"{table}, alloys {'waved through' if alloys else 'tested'}": next(
            row for row in results if (row["oxidation_states"], row["include_alloys"]) == (table, alloys)
        )
        for table, alloys in itertools.product(TABLES, (False, True))
    }
    content = {"published": PUBLISHED, "n": N, "nearest": results[:10], "nearest_of_each_setting": best}
    for row in results[:10]:
        print(row)
    for name, row in best.items():
        print(name, row)
    write_result("published_protocol", content)


if __name__ == "__main__":
    main()
