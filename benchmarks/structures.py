"""Structures proposed from bundled ones: how far they reach, whether known structures come back, how large cells are.

python -m benchmarks.structures              (coverage, named compounds, volumes; no relaxation)
python -m benchmarks.structures --weights    (the weights of the reasons, into results/structures_weights.json)
python -m benchmarks.structures --relaxed    (named compounds relaxed, into results/structures_relaxed.json; resumable)

A compound that is asked for has all of its own structures left out, so that its prototype is known by others only.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from benchmarks.known_structures import Known, known_structures
from benchmarks.record import command_line, kept, read_result, write_result
from benchmarks.relaxed_structures import relaxed_result
from benchmarks.structure_reach import reach, refound_without_templates
from benchmarks.structure_weights import own_occupation, weights_result
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.errors import StructureError
from matgen.io.files import write_json
from matgen.models.locate import find_checkpoint
from matgen.sampling import Sampler
from matgen.structures import volume
from matgen.structures.assignment import Assignment
from matgen.structures.occupations import occupation
from matgen.structures.propose import MATCHER, Proposal, ProposalSettings, Proposer
from matgen.structures.templates import Template, TemplateLibrary, bundled_templates, ratio

MAX_ATOMS = 40
AT = (1, 3, 5)
SCORE_WEIGHTS = Path(__file__).parent.parent / "matgen" / "structures" / "score_weights.json"


def library_counts(library: TemplateLibrary) -> dict[str, int]:
    """How many structures, prototypes, compounds and anonymous formulas there are."""
    templates = library.templates
    return {
        "structures": len(templates),
        "structures_of_at_most_40_atoms": sum(template.n_atoms <= MAX_ATOMS for template in templates),
        "prototypes": len({template.prototype for template in templates}),
        "compounds": len({template.formula for template in templates}),
        "anonymous_formulas": len({ratio(template.counts.values()) for template in templates}),
    }


def covered(batch: CompositionBatch, library: TemplateLibrary) -> tuple[np.ndarray, np.ndarray]:
    """Whether compositions have a template of their anonymous formula, and whether one of another compound, `(n,)`."""
    compounds: dict[tuple[int, ...], set[str]] = defaultdict(set)
    for template in library.templates:
        if template.n_atoms <= MAX_ATOMS:
            compounds[ratio(template.counts.values())].add(template.formula)
    any_compound, another = np.zeros(len(batch), dtype=bool), np.zeros(len(batch), dtype=bool)
    for row, (formula, counts) in enumerate(zip(batch.formulas().tolist(), batch.counts.tolist(), strict=True)):
        measured = compounds.get(ratio([count for count in counts if count]), set())
        any_compound[row], another[row] = bool(measured), bool(measured - {formula})
    return any_compound, another


def shares(batch: CompositionBatch, library: TemplateLibrary) -> dict[str, Any]:
    """`covered` as shares, of all and by number of elements."""
    any_compound, another = covered(batch, library)
    n_elements = batch.n_elements

    def row(mask: np.ndarray) -> dict[str, Any]:
        held, left_out = float(any_compound[mask].mean()), float(another[mask].mean())
        return {"formulas": int(mask.sum()), "covered": round(held, 4), "own_left_out": round(left_out, 4)}

    by_number = {str(n): row(n_elements == n) for n in sorted(set(n_elements.tolist()))}
    return {"all": row(np.ones(len(batch), dtype=bool)), "by_number_of_elements": by_number}


def coverage(library: TemplateLibrary, draws: int) -> dict[str, Any]:
    """Of the Materials Project's compositions with at most 20 atoms, and of draws of the bundled checkpoint."""
    dataset = load_dataset("hybrid")
    known = dataset.batch[np.flatnonzero(dataset.frame["in_mp"].to_numpy(dtype=bool))]
    known = known[np.flatnonzero(known.n_atoms <= 20)]
    sampler = Sampler(find_checkpoint("hybrid-pure-gptj-small"))
    drawn = CompositionBatch.from_formulas(np.concatenate([b.formulas for b in sampler.sample(draws, seed=0)]))
    small = drawn[np.flatnonzero(drawn.n_atoms <= 20)]
    return {
        "materials_project": shares(known, library),
        "draws": shares(drawn, library) | {"seed": 0, "of_at_most_20_atoms": shares(small, library)["all"]},
    }


def rank_of(proposals: Sequence[Proposal], known: Sequence[Structure]) -> int | None:
    """Place of the first proposal that matches one of the known structures, 1 for the first."""
    matcher = StructureMatcher(**MATCHER, primitive_cell=True, scale=True, attempt_supercell=False)
    for place, proposal in enumerate(proposals, start=1):
        if any(matcher.fit(proposal.structure, structure) for structure in known):
            return place
    return None


def cell_of(template: Template) -> str:
    """Pearson symbol and space group."""
    return " ".join(template.prototype.split("_")[1:3])


def refound(entry: Known, library: TemplateLibrary) -> dict[str, Any]:
    """Where the structure of one named compound comes when all of its own are left out, and why where it does not."""
    own = [t for t in library.templates if t.formula == entry.formula and cell_of(t) in entry.cells]
    settings = ProposalSettings(per_formula=max(AT), max_atoms=MAX_ATOMS, symmetric=0)
    proposer = Proposer(settings, library.without([entry.formula]))
    try:
        proposals = proposer.propose(entry.formula)
    except StructureError:
        proposals = []
    rank = rank_of(proposals, [template.structure() for template in own])
    counts = own[0].counts
    wanted = {own_occupation(template) for template in own}
    occupied = [occupation_of(assignment) for assignment in proposer.assignments(entry.formula, counts)]
    others = len({t.formula for t in proposer.library.templates if t.prototype in {o.prototype for o in own}})
    measured = {
        "formula": entry.formula,
        "name": entry.name,
        "structure_type": entry.structure_type,
        "cells": list(entry.cells),
        "rank": rank,
        "rank_of_its_occupation": place_of(wanted, occupied),
        "others_with_its_label": others,
        "first": proposals[0].prototype if proposals else None,
    }
    if rank is None:
        absent = "no other compound has the prototype with its elements in these places"
        measured["why_not"] = absent if not wanted & set(occupied) else f"ranked below {max(AT)}"
    return measured


def occupation_of(assignment: Assignment) -> str:
    """`matgen.structures.occupations.occupation` of an assignment."""
    return occupation(assignment.template.prototype, list(assignment.template.counts), assignment.mapping)


def place_of(wanted: Iterable[str], occupied: Iterable[str]) -> int | None:
    """Place of the first wanted one among the distinct ones, 1 for the first."""
    distinct = list(dict.fromkeys(occupied))
    places = [distinct.index(name) + 1 for name in wanted if name in distinct]
    return min(places, default=None)


def successes(ranks: Sequence[int | None]) -> dict[str, Any]:
    """How many ranks are within the first 1, 3 and 5, and of how many."""
    return {"compounds": len(ranks)} | {f"at_{k}": sum(rank is not None and rank <= k for rank in ranks) for k in AT}


def by_type(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`successes` of each structure type."""
    types = dict.fromkeys(row["structure_type"] for row in rows)
    return {name: successes([row["rank"] for row in rows if row["structure_type"] == name]) for name in types}


ESTIMATES = ("atomic volumes", "the template's, scaled by atomic volumes", "bond lengths")


def estimates_of(assignment: Assignment) -> dict[str, float]:
    """The three estimates of `matgen.structures.volume.scaled`, and what it makes of them, angstrom^3 an atom."""
    template = assignment.template
    structure = template.structure()
    own = structure.volume
    structure.replace_species(assignment.mapping)
    counts = {assignment.mapping[symbol]: count for symbol, count in template.counts.items()}
    summed = volume.composition_volume(counts)
    three = (summed, own * summed / volume.composition_volume(template.counts), volume.bond_length_volume(structure))
    measured = dict(zip(ESTIMATES, three, strict=True)) | {"geometric mean": volume.scaled(assignment).volume}
    return {name: value / template.n_atoms for name, value in measured.items()}


class FittedWithout:
    """Inside it, atomic volumes are fitted to the bundled structures of other compounds than some."""

    def __init__(self, formulas: Iterable[str]) -> None:
        self._library = bundled_templates().without(formulas)

    def __enter__(self) -> None:
        volume.atomic_volumes.cache_clear()
        self._patch = mock.patch.object(volume, "bundled_templates", lambda: self._library)
        self._patch.start()

    def __exit__(self, *error: object) -> None:
        self._patch.stop()
        volume.atomic_volumes.cache_clear()


def volume_errors(measured: Sequence[float], known: Sequence[float]) -> dict[str, Any]:
    """Median and mean of the absolute relative error, and the share within a tenth."""
    off = np.abs(np.asarray(measured) / np.asarray(known) - 1)
    return {
        "median": round(float(np.median(off)), 4),
        "mean": round(float(off.mean()), 4),
        "within_a_tenth": round(float((off <= 0.1).mean()), 4),
        "bias_of_the_median": round(float(np.median(np.asarray(measured) / np.asarray(known)) - 1), 4),
    }


def volumes(library: TemplateLibrary, n: int, seed: int = 0) -> dict[str, Any]:
    """Errors of the volumes of proposals of a compound's own prototype, made from other compounds' structures.

    Atomic volumes are fitted twice, each time without the half of the compounds that they are then judged on.
    """
    own: dict[str, list[Template]] = defaultdict(list)
    for template in library.templates:
        if template.n_atoms <= MAX_ATOMS and len(template.counts) > 1:
            own[template.formula].append(template)
    rng = np.random.default_rng(seed)
    formulas = rng.permutation(sorted(own)).tolist()
    halves = [set(formulas[::2]), set(formulas[1::2])]
    chosen = formulas[:n]
    settings = ProposalSettings(max_atoms=MAX_ATOMS)
    measured: dict[str, list[float]] = defaultdict(list)
    known: list[float] = []
    kinds: Counter[str] = Counter()
    for half in halves:
        with FittedWithout(half):
            for formula in sorted(half.intersection(chosen)):
                proposer = Proposer(settings, library.without([formula]))
                by_occupation = {own_occupation(template): template for template in own[formula]}
                assignments = proposer.assignments(formula, own[formula][0].counts)
                right = next((a for a in assignments if occupation_of(a) in by_occupation), None)
                if right is None:
                    kinds["prototype_of_no_other"] += 1
                    continue
                kinds["judged"] += 1
                template = by_occupation[occupation_of(right)]
                known.append(abs(np.linalg.det(template.lattice)) / template.n_atoms)
                for name, value in estimates_of(right).items():
                    measured[name].append(value)
    return {
        "seed": seed,
        "compounds_drawn": len(chosen),
        "compounds_judged": kinds["judged"],
        "without_another_of_their_prototype": kinds["prototype_of_no_other"],
        "note": (
            "Atomic volumes are fitted without the half of the compounds under test. The bond lengths are pymatgen's "
            "table, mined from a database that holds many of these compounds: in that much its errors are in-sample."
        ),
        "estimates": {name: volume_errors(values, known) for name, values in measured.items()},
    }


PARTS = ("coverage", "volumes", "refound", "reach")


def refound_result(named: Sequence[Known], library: TemplateLibrary, options: argparse.Namespace) -> dict[str, Any]:
    """`refound` of all; raises SystemExit when the time is over."""
    rows = []
    for entry in named:
        _in_time(options)
        rows.append(kept(options.rows / "refound" / f"{entry.formula}.json", partial(refound, entry, library)))
        print(rows[-1], flush=True)
    return {
        "matcher": MATCHER | {"scale": True, "attempt_supercell": False, "primitive_cell": True},
        "all": successes([row["rank"] for row in rows]),
        "by_type": by_type(rows),
        "compounds": rows,
    }


def reach_result(named: Sequence[Known], library: TemplateLibrary, options: argparse.Namespace) -> dict[str, Any]:
    """`reach` and `refound_without_templates`; raises SystemExit when the time is over."""

    def asked(name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        _in_time(options)
        return kept(options.rows / "reach" / f"{name}.json", measure)

    left_out = {entry.formula for entry in named}
    return {
        "by_number_of_elements": list(reach(library, options.reach, asked)),
        "refound_without_templates": refound_without_templates(library, left_out, options.reach, asked),
    }


def _in_time(options: argparse.Namespace) -> None:
    if time.monotonic() > options.end:
        raise SystemExit(f"{options.minutes} minutes are over; the same command goes on from {options.rows}")


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", action="append", choices=PARTS, help="measure this part; others stay as they are")
    made.add_argument("--weights", action="store_true", help="fit the weights of the reasons instead")
    made.add_argument("--draws", type=int, default=2_000)
    made.add_argument("--volumes", type=int, default=1_000, help="compounds whose volumes are compared")
    made.add_argument("--reach", type=int, default=25, help="compositions of each number of elements")
    made.add_argument("--relaxed", action="store_true", help="relax proposals of the named compounds instead")
    made.add_argument("--potential", default="chgnet", help="that --relaxed relaxes by")
    made.add_argument("--finish", default="none", help="potential that relaxes the lowest two of --relaxed further")
    made.add_argument("--max-atoms", type=int, default=MAX_ATOMS, help="of a cell that --relaxed relaxes")
    made.add_argument("--minutes", type=float, default=1e6, help="after which nothing else is begun")
    made.add_argument("--rows", type=Path, default=Path(__file__).parent / "work" / "structures",
                      help="folder that keeps what was measured, to go on from")  # fmt: skip
    return made


def main() -> None:
    options = parser().parse_args()
    options.end = time.monotonic() + 60 * options.minutes
    warnings.simplefilter("ignore")
    library = bundled_templates()
    named = known_structures()
    if options.weights:
        found = weights_result(library, {entry.formula for entry in named})
        write_result("structures_weights", found)
        write_json(SCORE_WEIGHTS, {"command": command_line(), **found["weights"]})
        return
    if options.relaxed:
        write_result(
            "structures_relaxed",
            relaxed_result(named, library, options.rows, potential=options.potential, finish=options.finish,
                           max_atoms=options.max_atoms, minutes=options.minutes),
        )  # fmt: skip
        return
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "coverage": lambda: coverage(library, options.draws),
        "volumes": lambda: volumes(library, options.volumes),
        "refound": lambda: refound_result(named, library, options),
        "reach": lambda: reach_result(named, library, options),
    }
    content = {name: part for name, part in read_result("structures").items() if options.only and name in PARTS}
    content |= {"library": library_counts(library), "max_atoms": MAX_ATOMS}
    for name in options.only or PARTS:
        content[name] = measures[name]()
        write_result("structures", content)


if __name__ == "__main__":
    main()
