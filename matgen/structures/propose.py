"""Structures that a composition might have: elements on the sites of known structures, or random symmetric ones."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.errors import OptionError, StructureError, require_above_zero
from matgen.structures.assignment import Assignment, Ion, Weights, assign, ions_of
from matgen.structures.symmetric import symmetric_structures
from matgen.structures.templates import TemplateLibrary, bundled_templates
from matgen.structures.volume import scaled

if TYPE_CHECKING:
    from pymatgen.core import Structure

MATCHER = {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}
"""Tolerances of pymatgen's StructureMatcher by which two structures are the same: lengths (share), sites (share of the
free length per atom), angles (degrees). Its defaults, and those of the field's comparisons."""

_OF_A_PROTOTYPE = 2  # crystals of one prototype, or ways to occupy it, before another prototype's turn


@dataclass(frozen=True)
class ProposalSettings:
    """How structures are proposed.

    Attributes:
        per_formula: structures of a composition at most.
        max_atoms: atoms of a primitive cell at most.
        symmetric: random symmetric structures where templates give fewer than this (and none beyond `per_formula`).
        templates: whether to take templates at all.
        seed: of the random structures.
        weights: what makes an assignment likely.
    """

    per_formula: int = 5
    max_atoms: int = 40
    symmetric: int = 2
    templates: bool = True
    seed: int = 0
    weights: Weights = field(default_factory=Weights)

    def __post_init__(self) -> None:
        require_above_zero(self, "per_formula", "max_atoms")
        if self.symmetric < 0:
            raise OptionError(f"symmetric is {self.symmetric}, it must be 0 or more")


@dataclass(frozen=True)
class Proposal:
    """A structure that a composition might have.

    Attributes:
        formula: reduced formula.
        structure: primitive cell, its volume predicted.
        origin: `template` or `symmetric`.
        template: the template's id, or `space group N` of a random structure.
        prototype: AFLOW's label of the template's prototype, empty of a random structure.
        mapping: element of the template to element that took its sites.
        score: of the assignment; None of a random structure.
    """

    formula: str
    structure: Structure
    origin: str
    template: str
    prototype: str
    mapping: dict[str, str]
    score: float | None

    def provenance(self) -> dict[str, Any]:
        """All but the structure, as columns."""
        mapping = " ".join(f"{old}>{new}" for old, new in self.mapping.items())
        return {
            "formula": self.formula, "origin": self.origin, "template": self.template, "prototype": self.prototype,
            "mapping": mapping, "template_score": self.score,
        }  # fmt: skip


class Proposer:
    """Proposes structures for compositions from one library of templates."""

    def __init__(self, settings: ProposalSettings | None = None, library: TemplateLibrary | None = None) -> None:
        self.settings = settings or ProposalSettings()
        self.library = bundled_templates() if library is None else library
        self._members: dict[str, set[str]] = defaultdict(set)
        for template in self.library.templates:
            self._members[template.prototype].add(template.formula)
        self._ions: dict[str, dict[str, Ion]] = {}

    def propose(self, formula: str) -> list[Proposal]:
        """Structures of one composition that differ by StructureMatcher, the likeliest first, random ones last.

        Raises:
            FormulaError: it cannot be read.
            StructureError: no template has its anonymous formula and a random structure cannot be made.
        """
        batch = CompositionBatch.from_formulas([formula])
        (formula,) = batch.formulas()
        counts = {str(SYMBOLS[z]): int(n) for z, n in zip(batch.elements[0], batch.counts[0], strict=True) if z}
        proposals = self._from_templates(formula, counts) if self.settings.templates else []
        wanted = min(self.settings.symmetric, self.settings.per_formula) - len(proposals)
        reason = ""
        if wanted > 0:
            try:
                proposals += self._symmetric(formula, counts, wanted)
            except StructureError as error:
                reason = f", and {error}"
        if not proposals:
            raise StructureError(f"{formula}: no template of its anonymous formula with at most "
                                 f"{self.settings.max_atoms} atoms{reason}")  # fmt: skip
        return proposals

    def assignments(self, formula: str, counts: dict[str, int]) -> list[Assignment]:
        """Every template of the anonymous formula with its best assignments, best first."""
        matching = self.library.matching(counts.values(), self.settings.max_atoms)
        unknown = {template.formula for template in matching} | {formula}
        unknown -= self._ions.keys()
        if unknown:
            names = sorted(unknown)
            self._ions.update(zip(names, ions_of(names), strict=True))
        assignments = [
            assignment
            for template in matching
            for assignment in assign(counts, self._ions[formula], template, self._ions[template.formula],
                                     n_members=len(self._members[template.prototype]), weights=self.settings.weights)
        ]  # fmt: skip
        return sorted(assignments, key=lambda assignment: (-assignment.score, assignment.template.id))

    def _from_templates(self, formula: str, counts: dict[str, int]) -> list[Proposal]:
        proposals: list[Proposal] = []
        for assignment in _spread(self.assignments(formula, counts)):
            structure = scaled(assignment)
            template = assignment.template
            proposal = Proposal(formula, structure, "template", template.id, template.prototype, assignment.mapping,
                                round(assignment.score, 4))  # fmt: skip
            if is_new(structure, [known.structure for known in proposals]):
                proposals.append(proposal)
            if len(proposals) == self.settings.per_formula:
                break
        return sorted(proposals, key=lambda proposal: -(proposal.score or 0.0))

    def _symmetric(self, formula: str, counts: dict[str, int], wanted: int) -> list[Proposal]:
        made = symmetric_structures(counts, wanted, max_atoms=self.settings.max_atoms, seed=self.settings.seed)
        return [
            Proposal(formula, structure, "symmetric", f"space group {group}", "", {}, None) for structure, group in made
        ]


def same_crystals(groups: Iterable[Any], ids: Iterable[Any], structures: Mapping[str, Structure]) -> list[str | None]:
    """Of each structure the id of an earlier one of its group that is the same crystal, None where none is.

    Args:
        groups: within which structures are compared, such as their formulas, `(n,)`.
        ids: of the structures, missing where there is none, `(n,)`.
        structures: by id.
    """
    kept: dict[Any, list[str]] = defaultdict(list)
    matches: list[str | None] = []
    for group, id in zip(groups, ids, strict=True):
        same = None
        if id in structures:
            same = next((other for other in kept[group] if not is_new(structures[id], [structures[other]])), None)
            if same is None:
                kept[group].append(id)
        matches.append(same)
    return matches


def _spread(assignments: Sequence[Assignment]) -> list[Assignment]:
    """Assignments in order, those beyond `_OF_A_PROTOTYPE` of one prototype last: variants of one must not fill all.

    The same prototype: of equal Pearson symbol and space group. Labels also tell the order of the elements apart.
    """
    seen: dict[tuple[str, ...], int] = defaultdict(int)
    first: list[Assignment] = []
    last: list[Assignment] = []
    for assignment in assignments:
        family = tuple(assignment.template.prototype.split("_")[1:3])
        seen[family] += 1
        (first if seen[family] <= _OF_A_PROTOTYPE else last).append(assignment)
    return first + last


def is_new(structure: Structure, known: Sequence[Structure]) -> bool:
    """Whether a structure differs from all of some others by StructureMatcher with the tolerances of `MATCHER`."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(**MATCHER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return not any(matcher.fit(structure, other) for other in known)
