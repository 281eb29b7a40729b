"""Which element takes which sites of a template, and how likely the result is the structure of the compound."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.structures.reasons import OF_PAIRS, OF_TEMPLATES, Ion, IonTables, ScoreWeights, fitted_weights
from matgen.structures.templates import Template
from matgen.validity import ValidityRules
from matgen.validity.explaining import explain

_ALL_PERMUTATIONS = 6  # elements up to which every assignment is scored; beyond, only the best one is sought


@dataclass(frozen=True)
class Assignment:
    """Elements on a template's sites.

    Attributes:
        template: whose sites.
        mapping: element of the template to element that takes its sites.
        score: the higher, the likelier; compared only among assignments of one composition.
    """

    template: Template
    mapping: dict[str, str]
    score: float


def ions_of(formulas: Sequence[str]) -> list[dict[str, Ion]]:
    """The elements of each formula with the oxidation states of its most common assignment, mixed valence allowed.

    Raises:
        FormulaError: a formula cannot be read.
    """
    batch = CompositionBatch.from_formulas(list(formulas))
    explanation = explain(batch, ValidityRules(mixed_valence=True))
    neutral = explanation.validity.charge_neutral
    total: dict[tuple[int, int], tuple[float, float]] = {}
    ions = explanation.ions
    for row, z, state, count in zip(ions.row.tolist(), ions.element.tolist(), ions.state.tolist(), ions.count.tolist(),
                                    strict=True):  # fmt: skip
        charge, atoms = total.get((row, z), (0.0, 0.0))
        total[row, z] = charge + state * count, atoms + count
    made: list[dict[str, Ion]] = []
    for row, numbers in enumerate(batch.elements.tolist()):
        described = {}
        for z in (z for z in numbers if z):
            known = total.get((row, z)) if neutral[row] else None
            state = None if known is None else known[0] / known[1]
            symbol = str(SYMBOLS[z])
            described[symbol] = Ion(symbol, state, radius(symbol, state))
        made.append(described)
    return made


@lru_cache(maxsize=4096)
def radius(symbol: str, state: float | None) -> float:
    """Shannon's ionic radius nearest in state as pymatgen tabulates it, the atomic radius without a state, angstrom."""
    from pymatgen.core import Element

    element = Element(symbol)
    radii = element.ionic_radii
    if state and radii:  # a state of zero has the atom's radius
        alike = [known for known in radii if known * state > 0] or list(radii)
        return float(radii[min(alike, key=lambda known: abs(known - state))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the heaviest elements nothing is tabulated
        return float(element.atomic_radius or element.atomic_radius_calculated or 1.5)


def assign(
    counts: dict[str, int],
    ions: dict[str, Ion],
    template: Template,
    template_ions: dict[str, Ion],
    *,
    facts: Sequence[float] | None = None,
    weights: ScoreWeights | None = None,
    most: int = 2,
) -> list[Assignment]:
    """The best ways to put a composition's elements on a template's sites, best first.

    Args:
        counts: atoms of each element of the composition, in any multiple.
        ions: its elements.
        template: one of the same anonymous formula.
        template_ions: the elements of the template's own compound.
        facts: the reasons that are of the template alone, as `TemplateFacts` has them; zeros without any.
        weights: what counts how much.
        most: how many to return at most.
    """
    from_template = sorted(template.counts)
    into = sorted(counts)
    scale = sum(template.counts.values()) / sum(counts.values())
    share = np.array([template.counts[symbol] for symbol in from_template]) / template.n_atoms
    allowed = np.array([[abs(template.counts[a] - counts[b] * scale) < 1e-6 for b in into] for a in from_template])
    tables = IonTables.of([template_ions[symbol] for symbol in from_template], [ions[symbol] for symbol in into])
    vector = (weights or fitted_weights()).vector(tables.new)
    of_pairs = tables.pairs @ vector[: len(OF_PAIRS)]
    ways = _ways(allowed, np.where(allowed, of_pairs, -1e6))
    reasons = tables.reasons(np.arange(len(from_template)), np.array(ways), share)
    own = float(np.dot(np.zeros(len(OF_TEMPLATES)) if facts is None else facts, vector[-len(OF_TEMPLATES) :]))
    scores = reasons @ vector[: -len(OF_TEMPLATES)] + own
    scored = sorted(zip(scores.tolist(), ways, strict=True), key=lambda entry: (-entry[0], entry[1]))
    return [
        Assignment(template, {a: into[column] for a, column in zip(from_template, way, strict=True)}, score)
        for score, way in scored[:most]
    ]


def _ways(allowed: NDArray[np.bool_], score: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Allowed one-to-one maps of rows to columns: all of them for few elements, else the one of the best sum."""
    size = len(allowed)
    if size > _ALL_PERMUTATIONS:
        return [tuple(int(column) for column in linear_sum_assignment(-score)[1])]
    columns = [np.flatnonzero(row).tolist() for row in allowed]
    return [way for way in itertools.product(*columns) if len(set(way)) == size]
