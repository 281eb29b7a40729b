"""How far proposals reach where no template has a composition's anonymous formula: by shared sites, by closings.

Part of `python -m benchmarks.structures`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.errors import StructureError
from matgen.structures.assignment import ions_of
from matgen.structures.crystals import CLOSEST
from matgen.structures.propose import MATCHER, Proposal, ProposalSettings, Proposer
from matgen.structures.templates import Template, TemplateLibrary, ratio

MAX_ATOMS = 40
ORIGINS = ("ordered", "symmetric")


def known_compositions(most: int = 20) -> CompositionBatch:
    """The Materials Project's compositions of some atoms at most."""
    dataset = load_dataset("hybrid")
    known = dataset.batch[np.flatnonzero(dataset.frame["in_mp"].to_numpy(dtype=bool))]
    return known[np.flatnonzero(known.n_atoms <= most)]


def sane(structure: Structure) -> bool:
    """Whether no atoms are closer than a share of the sum of their radii, and the cell is not too large."""
    (ions,) = ions_of([structure.composition.reduced_formula])
    radii = np.array([ions[site.specie.symbol].radius for site in structure])
    least = CLOSEST * (radii[:, None] + radii[None, :])
    first, second, _, apart = structure.get_neighbor_list(float(max(least.max(), 0.5)))
    return len(structure) <= MAX_ATOMS and bool((apart >= least[first, second] - 1e-6).all())


Asked = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]
"""Gives what was measured of a formula before, or measures it."""


def reach(library: TemplateLibrary, n: int, asked: Asked, seed: int = 0) -> Iterator[dict[str, Any]]:
    """By number of elements: compositions with a template, and of `n` drawn from the others those with a structure."""
    known = known_compositions()
    ratios = {ratio(t.counts.values()) for t in library.templates if t.n_atoms <= MAX_ATOMS}
    held = np.array([ratio([int(c) for c in counts if c]) in ratios for counts in known.counts])
    formulas, n_elements = known.formulas(), known.n_elements
    generator = np.random.default_rng(seed)
    for number in sorted(set(n_elements[n_elements > 1].tolist())):
        of_number = n_elements == number
        others = np.flatnonzero(of_number & ~held)
        drawn = generator.permutation(others)[:n]
        names = [str(formulas[row]) for row in drawn]
        reached = [asked(name, partial(reached_by, name, library))["origins"] for name in names]
        share = float(held[of_number].mean())
        counts = {name: sum(name in one for one in reached) for name in ORIGINS}
        found = sum(bool(one) for one in reached)
        yield {
            "elements": number, "compositions": int(of_number.sum()), "with_template": round(share, 4),
            "drawn_without_template": len(drawn), "with_structure": found, **counts,
            "any": round(share + (1 - share) * found / max(len(drawn), 1), 4),
        }  # fmt: skip


def reached_by(formula: str, library: TemplateLibrary) -> dict[str, Any]:
    """Origins of which a composition gets a sane structure, each asked for alone."""
    found = [name for name in ORIGINS if any(sane(one.structure) for one in proposed_by(name, formula, library, 1))]
    return {"formula": formula, "origins": found}


def proposed_by(origin: str, formula: str, library: TemplateLibrary, n: int) -> list[Proposal]:
    """Proposals of one origin only."""
    settings = ProposalSettings(
        per_formula=n, max_atoms=MAX_ATOMS, templates=origin == "ordered", symmetric=n * (origin == "symmetric"),
        ordered=n * (origin == "ordered"),
    )  # fmt: skip
    try:
        return Proposer(settings, library).propose(formula)
    except StructureError:
        return []


def refound_without_templates(library: TemplateLibrary, left_out: set[str], n: int, asked: Asked, seed: int = 0
                              ) -> dict[str, Any]:  # fmt: skip
    """How often compounds come back when no template of their anonymous formula is there, by origin and elements.

    Compounds of 3 to 6 elements with at most 40 atoms in the cell, not those that other figures ask for.
    """
    own: dict[str, list[Template]] = defaultdict(list)
    for template in library.templates:
        if template.n_atoms <= MAX_ATOMS and 3 <= len(template.counts) <= 6 and template.formula not in left_out:
            own[template.formula].append(template)
    by_number: dict[int, list[str]] = defaultdict(list)
    for formula in np.random.default_rng(seed).permutation(sorted(own)).tolist():
        by_number[len(own[formula][0].counts)].append(formula)
    rows = []
    for number, formulas in sorted(by_number.items()):
        found = [asked(f"{name} again", partial(found_by, own[name], library)) for name in formulas[:n]]
        shares = {origin: sum(origin in one["origins"] for one in found) for origin in ORIGINS}
        rows.append({"elements": number, "compounds": len(found), **shares})
    return {"seed": seed, "proposals": 5, "by_number_of_elements": rows}


def found_by(own: Sequence[Template], library: TemplateLibrary) -> dict[str, Any]:
    """Origins of which five proposals hold a compound's own structure, without templates of its anonymous formula."""
    without = _without_ratio(library, ratio(own[0].counts.values()))
    known, formula = [template.structure() for template in own], own[0].formula
    found = [origin for origin in ORIGINS if _matches(proposed_by(origin, formula, without, 5), known)]
    return {"formula": formula, "origins": found}


def _without_ratio(library: TemplateLibrary, left_out: tuple[int, ...]) -> TemplateLibrary:
    return TemplateLibrary(t for t in library.templates if ratio(t.counts.values()) != left_out)


def _matches(proposals: Sequence[Proposal], known: Sequence[Structure]) -> bool:
    matcher = StructureMatcher(**MATCHER, primitive_cell=True, scale=True, attempt_supercell=False)
    return any(matcher.fit(one.structure, structure) for one in proposals for structure in known)
