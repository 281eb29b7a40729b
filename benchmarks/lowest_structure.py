"""The lowest structure of compositions, found in three ways in the same run: as before, by BFGS, and by a race.

before: FIRE of ASE with its own length for the cell, all proposals to their ends; bfgs: matgen's optimizer, likewise;
race: the same, stopped for lower ones as `matgen structure` does. All with CHGNet on one thread, in turn for each
composition, in seconds of this process. Draws are unfiltered ones of the default checkpoint; known compounds are on the
hull or near it (`hybrid-stable`), each without its own structures among the templates.

python -m benchmarks.lowest_structure [-n 25] [--sets draws known] [--per-formula 5] [--rows FOLDER]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from benchmarks.record import RESULTS, continued, kept
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.errors import StructureError
from matgen.io.files import write_json
from matgen.models.locate import find_checkpoint
from matgen.sampling import Sampler
from matgen.structures.descent import Descent
from matgen.structures.potentials.registry import load_potential
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.relax import Race, Relaxed, relax
from matgen.structures.templates import bundled_templates

WITHIN = 0.002  # eV/atom; nearer energies are the same
WAYS = ("before", "bfgs", "race")


class ByFire(Descent):
    """The same descent by FIRE, whose cell has ASE's length, the number of atoms."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._cell_length = float(len(self.atoms))
        self._optimizer = FIRE(FrechetCellFilter(self.atoms), logfile=None)


def draws(n: int, seed: int) -> list[str]:
    """Different draws of the default checkpoint, in the order drawn."""
    sampler = Sampler(find_checkpoint(None))
    drawn = np.concatenate([block.formulas for block in sampler.sample(4 * n, seed=seed)])
    return list(dict.fromkeys(CompositionBatch.from_formulas(drawn).formulas().tolist()))[: 2 * n]


def known(n: int, seed: int) -> list[str]:
    """Compounds near the hull."""
    formulas = load_dataset("hybrid-stable").batch.formulas()
    return np.random.default_rng(seed).permutation(formulas)[: 2 * n].tolist()


SETS: dict[str, Callable[[int, int], list[str]]] = {"draws": draws, "known": known}


def found(formula: str, proposals: Sequence[Any], way: str, potential: Any) -> dict[str, Any]:
    """One way's lowest energy, eV/atom, with its cost."""
    given = [proposal.structure for proposal in proposals]
    began = time.process_time()
    if way == "before":
        with mock.patch("matgen.structures.relax.Descent", ByFire):
            results: list[Relaxed] = relax(given, potential)
    else:
        results = relax(given, potential, race=Race() if way == "race" else None)
    seconds = time.process_time() - began
    energies = [result.energy for result in results if not result.reason]
    return {
        "lowest": round(min(energies), 5) if energies else None,
        "core_seconds": round(seconds, 2),
        "evaluated_atoms": sum((result.steps + 1) * len(one) for result, one in zip(results, given, strict=True)),
        "failed": sum(bool(result.reason) for result in results),
        "stopped_early": sum(result.stopped_early for result in results),
    }


def measure(formula: str, own: bool, per_formula: int, potential: Any) -> dict[str, Any]:
    """All ways for one composition; without ways where nothing can be proposed.

    Args:
        formula: reduced.
        own: whether its own structures are among the templates.
        per_formula: proposals.
        potential: that relaxes.
    """
    library = bundled_templates() if own else bundled_templates().without((formula,))
    try:
        proposals = Proposer(ProposalSettings(per_formula=per_formula), library).propose(formula)
    except StructureError:
        return {"formula": formula, "proposals": 0}
    ways = {way: found(formula, proposals, way, potential) for way in WAYS}
    return {"formula": formula, "proposals": len(proposals), "ways": ways}


def compared(rows: Sequence[dict[str, Any]], way: str, other: str) -> dict[str, Any]:
    """A way beside another: its costs as a ratio, and its lowest energies less the other's."""
    both = [(row["ways"][way], row["ways"][other]) for row in rows]
    ratios = [theirs["core_seconds"] / ours["core_seconds"] for ours, theirs in both]
    differences = np.array([ours["lowest"] - theirs["lowest"] for ours, theirs in both
                            if ours["lowest"] is not None and theirs["lowest"] is not None])  # fmt: skip
    total = {key: sum(theirs[key] for _, theirs in both) / sum(ours[key] for ours, _ in both)
             for key in ("core_seconds", "evaluated_atoms")}  # fmt: skip
    return {
        "faster": round(total["core_seconds"], 2),
        "faster_median": round(float(np.median(ratios)), 2),
        "fewer_evaluated_atoms": round(total["evaluated_atoms"], 2),
        "same_or_lower": round(float((differences <= WITHIN).mean()), 3),
        "lower": round(float((differences < -WITHIN).mean()), 3),
        "mean_difference_mev": round(1000 * float(differences.mean()), 1),
        "median_difference_mev": round(1000 * float(np.median(differences)), 2),
        "largest_difference_mev": round(1000 * float(differences.max()), 1),
    }


def result(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was measured of one set of compositions."""
    seconds = {way: sum(row["ways"][way]["core_seconds"] for row in rows) for way in WAYS}
    return {
        "compositions": len(rows),
        "proposals": sum(row["proposals"] for row in rows),
        "stopped_early": sum(row["ways"]["race"]["stopped_early"] for row in rows),
        "compositions_per_core_minute": {way: round(60 * len(rows) / taken, 2) for way, taken in seconds.items()},
        "race against before": compared(rows, "race", "before"),
        "bfgs against before": compared(rows, "bfgs", "before"),
        "race against bfgs": compared(rows, "race", "bfgs"),
        "rows": list(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=25, help="compositions of each set")
    parser.add_argument("--per-formula", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--rows", type=Path, default=Path("benchmarks/work/lowest_structure"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    potential = load_potential("chgnet")
    settings = {"per_formula": arguments.per_formula, "potential": "chgnet", "same_within_ev": WITHIN}
    content = continued("lowest_structure", **settings)
    for name in arguments.sets:
        rows: list[dict[str, Any]] = []
        for formula in SETS[name](arguments.n, arguments.seed):
            path = arguments.rows / f"{name}-{arguments.per_formula}-{formula}.json"
            row = kept(path, partial(measure, formula, name == "draws", arguments.per_formula, potential))
            if row["proposals"]:
                rows.append(row)
                print(name, formula, {way: (it["lowest"], it["core_seconds"]) for way, it in row["ways"].items()},
                      flush=True)  # fmt: skip
            if len(rows) == arguments.n:
                break
        content[name] = result(rows)
        print(name, {key: value for key, value in content[name].items() if key != "rows"}, flush=True)
        write_json(RESULTS / "lowest_structure.json", content)


if __name__ == "__main__":
    main()
