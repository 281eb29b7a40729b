"""Distance to the hull of 10,000 drawn compositions, beside pymatgen's PhaseDiagram called one by one.

python -m benchmarks.hull
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from benchmarks.record import write_result
from matgen.composition.batch import CompositionBatch
from matgen.hull import SOURCES, CompetingPhases
from matgen.models.locate import find_checkpoint
from matgen.sampling import Sampler


def by_pymatgen(formula: str, phases: CompetingPhases) -> tuple[float, dict[str, float]]:
    """Hull energy at a composition without its own entry (eV/atom), and the fractions of its products."""
    target = Composition(formula)
    rows = phases.phases_within(tuple(sorted(element.Z for element in target)))
    entries = [PDEntry(Composition(element.symbol), 0.0) for element in target]
    for name, energy in zip(phases.batch[rows].formulas(), phases.energy[rows], strict=True):
        composition = Composition(name)
        if composition.reduced_formula != target.reduced_formula:
            entries.append(PDEntry(composition, energy * composition.num_atoms))
    diagram = PhaseDiagram(entries)
    parts = {entry.composition.reduced_formula: share for entry, share in diagram.get_decomposition(target).items()}
    return float(diagram.get_hull_energy_per_atom(target)), parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("--compared", type=int, default=200)
    options = parser.parse_args()
    sampler = Sampler(find_checkpoint(None))
    formulas = np.concatenate([block.formulas for block in sampler.sample(options.n, seed=0)])
    batch = CompositionBatch.from_formulas(formulas)
    results = {}
    for source in SOURCES:
        began = time.perf_counter()
        phases = CompetingPhases.of_source(source)
        opening = time.perf_counter() - began
        began = time.perf_counter()
        energy = phases.decompose(batch).energy
        seconds = time.perf_counter() - began
        chosen = np.random.default_rng(0).choice(len(batch), options.compared, replace=False)
        began = time.perf_counter()
        theirs = np.array([by_pymatgen(formula, phases)[0] for formula in batch[chosen].formulas()])
        pymatgen_seconds = time.perf_counter() - began
        results[source] = {
            "phases": len(phases),
            "seconds_to_open": round(opening, 2),
            "seconds": round(seconds, 2),
            "compared": options.compared,
            "largest_difference": float(np.abs(energy[chosen] - theirs).max()),
            "pymatgen_seconds_each": pymatgen_seconds / options.compared,
            "ratio": pymatgen_seconds / options.compared / (seconds / len(batch)),
        }
        print(source, results[source], flush=True)
    write_result("hull", {"n": len(batch), "sources": results})


if __name__ == "__main__":
    main()
