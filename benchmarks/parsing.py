"""Parsing every bundled formula: matgen's batch against pymatgen's `Composition`, side by side, and equal results.

python -m benchmarks.parsing
"""

from __future__ import annotations

import statistics
import time

from pymatgen.core import Composition, composition

from benchmarks.record import write_result
from matgen.composition.batch import parse_formulas
from matgen.datasets import load_dataset

ROUNDS = 5


def main() -> None:
    formulas = load_dataset("hybrid").frame["formula"].tolist()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        parsed = parse_formulas(formulas)
        ours.append(time.perf_counter() - began)
        composition._parse_formula_cached.cache_clear()  # it would answer later rounds from memory
        began = time.perf_counter()
        objects = [Composition(formula) for formula in formulas]
        theirs.append(time.perf_counter() - began)
    began = time.perf_counter()
    written = parsed.batch.formulas()
    ours_formatting = time.perf_counter() - began
    began = time.perf_counter()
    expected = [one.reduced_formula for one in objects]
    theirs_formatting = time.perf_counter() - began
    content = {
        "formulas": len(formulas),
        "rounds": ROUNDS,
        "matgen_seconds": statistics.median(ours),
        "pymatgen_seconds": statistics.median(theirs),
        "ratio": statistics.median(t / o for t, o in zip(theirs, ours, strict=True)),
        "ratio_reduced_formula": theirs_formatting / ours_formatting,
        "disagreements": sum(a != b for a, b in zip(written, expected, strict=True)) + len(parsed.bad),
    }
    print(content)
    write_result("parsing", content)


if __name__ == "__main__":
    main()
