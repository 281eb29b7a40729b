"""Distance to the hull of drawn compositions, beside pymatgen's PhaseDiagram called one by one.

Timed on one core, phases opened and functions compiled before; each of `--rounds` times PhaseDiagram on some of the
compositions and matgen on all of them. Energies and products are compared for all of `-n`: where the products differ,
both mixtures must have the same energy, and the composition is listed as a tie.

python -m benchmarks.hull     (five minutes)
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from benchmarks.record import write_result
from matgen.composition.batch import CompositionBatch
from matgen.datasets.labels import SOURCES, labeled_phases
from matgen.hull import CompetingPhases
from matgen.hull.linear_program import NEGLIGIBLE
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


def seconds_each(call: Callable[[], object], n: int) -> float:
    """Processor seconds an item: other work on the machine counts less so."""
    began = time.process_time()
    call()
    return (time.process_time() - began) / n


def compared(batch: CompositionBatch, phases: CompetingPhases) -> dict[str, Any]:
    """Largest difference of energies, and compositions whose products differ."""
    found = phases.decompose(batch)
    largest, same, ties, unknown = 0.0, 0, [], 0
    words = phases.in_words(found, len(batch))
    for i, formula in enumerate(batch.formulas()):
        if np.isnan(found.energy[i]):
            unknown += 1
            continue
        energy, parts = by_pymatgen(formula, phases)
        largest = max(largest, abs(energy - found.energy[i]))
        mine = {Composition(part.split(" ")[1]).reduced_formula for part in words[i].split(" + ")}
        theirs = {name for name, share in parts.items() if share > NEGLIGIBLE}
        same += mine == theirs
        if mine != theirs:
            ties.append({"formula": formula, "matgen": sorted(mine), "pymatgen": sorted(theirs)})
    return {
        "compared": len(batch) - unknown,
        "with_an_unknown_element": unknown,
        "largest_difference": largest,
        "same_products": same,
        "ties": ties,
    }


def timings(batch: CompositionBatch, source: str, rounds: int, by_pymatgen_each: int) -> dict[str, Any]:
    """Seconds of both on one core, medians of some rounds."""
    began = time.perf_counter()
    phases = labeled_phases(source)
    opening = time.perf_counter() - began
    measured = []
    with mock.patch("matgen.hull.phases.available_cores", lambda: 1):
        phases.decompose(batch[:100])
        for seed in range(rounds):
            names = batch[np.random.default_rng(seed).choice(len(batch), by_pymatgen_each, replace=False)].formulas()
            theirs = seconds_each(lambda names=names: [by_pymatgen(name, phases) for name in names], len(names))
            measured.append((seconds_each(lambda: phases.decompose(batch), len(batch)), theirs))
    ours, theirs = (float(np.median(column)) for column in zip(*measured, strict=True))
    return {
        "phases": len(phases),
        "seconds_to_open": round(opening, 2),
        "seconds": round(ours * len(batch), 4),
        "pymatgen_seconds_each": theirs,
        "ratio": round(float(np.median([b / a for a, b in measured])), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=20_000)
    parser.add_argument("--timed", type=int, default=10_000)
    parser.add_argument("--by-pymatgen", type=int, default=200, help="compositions of a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sampler = Sampler(find_checkpoint(None))
    formulas = np.concatenate([block.formulas for block in sampler.sample(options.n, seed=0)])
    batch = CompositionBatch.from_formulas(formulas)
    timed = batch[: options.timed]
    results = {}
    for source in SOURCES:
        results[source] = timings(timed, source, options.rounds, options.by_pymatgen)
        results[source] |= compared(batch, labeled_phases(source))
        print(source, {key: value for key, value in results[source].items() if key != "ties"}, flush=True)
    write_result("hull", {"n": options.n, "timed": len(timed), "cores": 1, "sources": results})


if __name__ == "__main__":
    main()
