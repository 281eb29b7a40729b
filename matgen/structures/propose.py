"""Structures that a composition might have.

From files of other programs; elements on the sites of known structures, or sharing them in order; and closings of the
formula on Wyckoff positions.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.errors import OptionError, StructureError, require_above_zero
from matgen.structures.assignment import Assignment, assign, ions_of
from matgen.structures.occupations import occupation
from matgen.structures.ordered import Merger, mergers, ordered_structures
from matgen.structures.proposed import proposed_in
from matgen.structures.reasons import Ion, ScoreWeights, TemplateFacts, family, fitted_weights
from matgen.structures.symmetric import symmetric_structures
from matgen.structures.templates import Template, TemplateLibrary, bundled_templates
from matgen.structures.volume import composition_volume, scaled
from matgen.structures.wyckoff import parse_space_groups

if TYPE_CHECKING:
    from pymatgen.core import Structure

MATCHER = {"ltol": 0.2, "stol": 0.3, "angle_tol": 5.0}
"""Tolerances of pymatgen's StructureMatcher by which two structures are the same: lengths (share), sites (share of the
free length per atom), angles (degrees). Its defaults, and those of the field's comparisons."""

_MOST_MERGED = 60  # ways to merge elements that are looked at, the most alike first
_UNLIKE = 3.0  # of `Merger.distance`, in units of an assignment's score
_TRIED = 6  # merged assignments whose orders are made, for each structure wanted
_OF_A_PROTOTYPE = 2  # crystals of one prototype, or ways to occupy it, before another prototype's turn


@dataclass(frozen=True)
class ProposalSettings:
    """How structures are proposed.

    Attributes:
        per_formula: structures of a composition at most.
        max_atoms: atoms of a primitive cell at most.
        symmetric: structures from closings of the formula where templates, shared in order or not, give fewer than this
            (and none beyond `per_formula`).
        templates: whether to take templates at all.
        seed: of the structures that are drawn.
        weights: what makes an assignment likely.
        ordered: structures in which elements share a template's sites in order, where templates of the composition's
            anonymous formula give fewer than this.
        space_groups: numbers of those that templates and closings may have; all without any.
        folder: of structures that other programs propose, which come first and beyond `per_formula`; none if empty.
    """

    per_formula: int = 5
    max_atoms: int = 40
    symmetric: int = 2
    templates: bool = True
    seed: int = 0
    weights: ScoreWeights = field(default_factory=fitted_weights)
    ordered: int = 3
    space_groups: tuple[int, ...] = ()
    folder: str = ""

    def __post_init__(self) -> None:
        require_above_zero(self, "per_formula", "max_atoms")
        for name in ("symmetric", "ordered"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is {getattr(self, name)}, it must be 0 or more")
        parse_space_groups(map(str, self.space_groups))


@dataclass(frozen=True)
class Proposal:
    """A structure that a composition might have.

    Attributes:
        formula: reduced formula.
        structure: primitive cell, its volume predicted unless it is from a file.
        origin: `proposed` (from a file), `template`, `ordered` (elements share sites of a template) or `symmetric`.
        template: the file, the template's id, or the closing, such as `space group 62, 4a 4c 8d`.
        prototype: AFLOW's label of the template's prototype, empty without a template.
        mapping: element of the template to element that took its sites, or to elements, joined by `+`.
        score: of the assignment; None without a template.
        probability: of the closing among all of the composition; None of other structures.
    """

    formula: str
    structure: Structure
    origin: str
    template: str
    prototype: str
    mapping: dict[str, str]
    score: float | None
    probability: float | None = None

    def provenance(self) -> dict[str, Any]:
        """All but the structure, as columns."""
        mapping = " ".join(f"{old}>{new}" for old, new in self.mapping.items())
        return {
            "formula": self.formula, "origin": self.origin, "template": self.template, "prototype": self.prototype,
            "mapping": mapping, "template_score": self.score,
            "closing_probability": self.probability,
        }  # fmt: skip


class Proposer:
    """Proposes structures for compositions from one library of templates."""

    def __init__(self, settings: ProposalSettings | None = None, library: TemplateLibrary | None = None) -> None:
        self.settings = settings or ProposalSettings()
        self.library = bundled_templates() if library is None else library
        self._facts = TemplateFacts(self.library, composition_volume)
        self._ions: dict[str, dict[str, Ion]] = {}

    def propose(self, formula: str) -> list[Proposal]:
        """Structures of one composition that differ by StructureMatcher, the likeliest first.

        Those from files come first, then those of templates, those that share sites of templates, and closings.

        Raises:
            FormulaError: it cannot be read.
            DataError: the folder of structures cannot be read.
        StructureError: no template has its anonymous formula and no closing of it could be made.
        """
        batch = CompositionBatch.from_formulas([formula])
        (formula,) = batch.formulas()
        counts = {str(SYMBOLS[z]): int(n) for z, n in zip(batch.elements[0], batch.counts[0], strict=True) if z}
        settings = self.settings
        proposals = self._from_files(formula) if settings.folder else []
        beyond = len(proposals)
        if settings.templates:
            proposals += self._from_templates(formula, counts, proposals)
            wanted = min(settings.ordered, settings.per_formula) - len(proposals) + beyond
            if wanted > 0:
                proposals += self._ordered(formula, counts, wanted, proposals)
        wanted = min(settings.symmetric, settings.per_formula) - len(proposals) + beyond
        reason = ""
        if wanted > 0:
            try:
                proposals += self._symmetric(formula, counts, wanted, proposals)
            except StructureError as error:
                reason = f", and {error}"
        if not proposals:
            asked = " in the space groups asked for" if settings.space_groups else ""
            raise StructureError(f"{formula}: no template of its anonymous formula with at most "
                                 f"{settings.max_atoms} atoms{asked}{reason}")  # fmt: skip
        return proposals

    def assignments(self, formula: str, counts: dict[str, int]) -> list[Assignment]:
        """Every template of the anonymous formula with its best assignments, best first.

        The best assignment of those that put each element on the same Wyckoff positions has the score of them all: the
        logarithm of the sum of their exponentials.
        """
        matching = self._matching(counts)
        if self.settings.space_groups:
            matching = [template for template in matching if template.space_group in self.settings.space_groups]
        self._describe({formula})
        assignments = [
            assignment for template in matching for assignment in self._assign(counts, self._ions[formula], template)
        ]
        return sorted(_pooled(assignments), key=lambda assignment: (-assignment.score, assignment.template.id))

    def _matching(self, counts: dict[str, int]) -> list[Template]:
        """Templates of an anonymous formula, whose ions are then known."""
        matching = self.library.matching(counts.values(), self.settings.max_atoms)
        self._describe({template.formula for template in matching})
        return matching

    def _describe(self, formulas: set[str]) -> None:
        names = sorted(formulas - self._ions.keys())
        if names:
            self._ions.update(zip(names, ions_of(names), strict=True))

    def _assign(self, counts: dict[str, int], ions: dict[str, Ion], template: Template) -> list[Assignment]:
        return assign(counts, ions, template, self._ions[template.formula],
                      facts=self._facts.of(template), weights=self.settings.weights)  # fmt: skip

    def _from_files(self, formula: str) -> list[Proposal]:
        read, _ = proposed_in(self.settings.folder, self.settings.max_atoms)
        return [Proposal(formula, one.structure.copy(), "proposed", one.name, "", {}, None)
                for one in read if one.formula == formula]  # fmt: skip

    def _from_templates(self, formula: str, counts: dict[str, int], known: Sequence[Proposal]) -> list[Proposal]:
        proposals: list[Proposal] = []
        for assignment in _spread(self.assignments(formula, counts)):
            structure = scaled(assignment)
            template = assignment.template
            proposal = Proposal(formula, structure, "template", template.id, template.prototype, assignment.mapping,
                                round(assignment.score, 4))  # fmt: skip
            if is_new(structure, [other.structure for other in (*known, *proposals)]):
                proposals.append(proposal)
            if len(proposals) == self.settings.per_formula:
                break
        return sorted(proposals, key=lambda proposal: -(proposal.score or 0.0))

    def merged_assignments(self, formula: str, counts: dict[str, int]) -> list[tuple[float, Assignment, Merger]]:
        """Templates of fewer elements with the composition's, some of which share sites, best first; with scores."""
        self._describe({formula})
        found = []
        for merger in mergers(counts, self._ions[formula])[:_MOST_MERGED]:
            for template in self._matching(merger.counts):
                for assignment in self._assign(merger.counts, merger.ions, template):
                    score = assignment.score - _UNLIKE * merger.distance
                    found.append((score, assignment, merger))
        return sorted(found, key=lambda entry: (-entry[0], entry[1].template.id))

    def _ordered(self, formula: str, counts: dict[str, int], wanted: int, known: Sequence[Proposal]) -> list[Proposal]:
        proposals: list[Proposal] = []
        for score, assignment, merger in self.merged_assignments(formula, counts)[: _TRIED * wanted]:
            shared = {group[0]: "+".join(group) for group in merger.groups}
            mapping = {old: shared[new] for old, new in assignment.mapping.items()}
            template = assignment.template
            for structure in ordered_structures(assignment, merger, counts, self.settings.max_atoms,
                                                self.settings.seed):  # fmt: skip
                others = [other.structure for other in (*known, *proposals)]
                if self._allowed(structure) and is_new(structure, others):
                    proposals.append(Proposal(formula, structure, "ordered", template.id, template.prototype, mapping,
                                              round(score, 4)))  # fmt: skip
            if len(proposals) >= wanted:
                break
        return proposals[:wanted]

    def _allowed(self, structure: Structure) -> bool:
        """Whether a structure has one of the space groups asked for."""
        from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

        groups = self.settings.space_groups
        return not groups or SpacegroupAnalyzer(structure, symprec=0.01).get_space_group_number() in groups

    def _symmetric(self, formula: str, counts: dict[str, int], wanted: int, known: Sequence[Proposal]
                   ) -> list[Proposal]:  # fmt: skip
        settings = self.settings
        made = symmetric_structures(counts, wanted, max_atoms=settings.max_atoms, seed=settings.seed,
                                    space_groups=settings.space_groups)  # fmt: skip
        return [
            Proposal(formula, one.structure, "symmetric", one.closing, "", {}, None, float(f"{one.probability:.3g}"))
            for one in made
            if is_new(one.structure, [other.structure for other in known])
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


def _pooled(assignments: Sequence[Assignment]) -> list[Assignment]:
    """Assignments, the best of each occupation with the score of all of it."""
    alike: dict[str, list[Assignment]] = defaultdict(list)
    for one in sorted(assignments, key=lambda assignment: (-assignment.score, assignment.template.id)):
        alike[occupation(one.template.prototype, list(one.template.counts), one.mapping)].append(one)
    pooled = []
    for first, *others in alike.values():
        total = float(np.logaddexp.reduce([one.score for one in (first, *others)]))
        pooled += [replace(first, score=total), *others]
    return pooled


def _spread(assignments: Sequence[Assignment]) -> list[Assignment]:
    """Assignments in order, those beyond `_OF_A_PROTOTYPE` of one prototype last: variants of one must not fill all.

    The same prototype: of equal Pearson symbol and space group. Labels also tell the order of the elements apart.
    """
    seen: dict[tuple[str, ...], int] = defaultdict(int)
    first: list[Assignment] = []
    last: list[Assignment] = []
    for assignment in assignments:
        of_template = family(assignment.template)
        seen[of_template] += 1
        (first if seen[of_template] <= _OF_A_PROTOTYPE else last).append(assignment)
    return first + last


def is_new(structure: Structure, known: Sequence[Structure]) -> bool:
    """Whether a structure differs from all of some others by StructureMatcher with the tolerances of `MATCHER`."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(**MATCHER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return not any(matcher.fit(structure, other) for other in known)
