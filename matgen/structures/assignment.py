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
from matgen.composition.elements import ATOMIC_NUMBER, ELECTRONEGATIVITY, SYMBOLS
from matgen.structures.templates import Template
from matgen.validity import ValidityRules
from matgen.validity.explaining import explain

UNKNOWN_SUBSTITUTION = -5.0
"""Weight of a substitution that was never observed (Hautier et al., Inorg. Chem. 50, 656, 2011)."""

SAME = 5.0
"""Weight of an ion that stands for itself; about what the table gives the common ones."""

_ALL_PERMUTATIONS = 6  # elements up to which every assignment is scored; beyond, only the best one is sought


@dataclass(frozen=True)
class Weights:
    """How much each reason counts in the score of an assignment.

    A search by `python -m benchmarks.structures --weights` on half of the bundled compounds finds nothing clearly
    better on the other half, judged by how often the compound's own prototype comes among the first five when its own
    structure is left out.

    Attributes:
        substitution: of the mean data-mined weight of the substitutions.
        radius: of the spread of the logarithms of the radii's ratios; the cell is scaled, so only the spread matters.
        state: of the mean difference of oxidation states.
        electronegativity: of the mean difference of Pauling electronegativities.
        members: of the logarithm of how many known compounds the prototype has.
    """

    substitution: float = 2.0
    radius: float = 8.0
    state: float = 0.3
    electronegativity: float = 2.0
    members: float = 0.25


@dataclass(frozen=True)
class Ion:
    """An element as it stands in a compound.

    Attributes:
        symbol: of the element.
        state: mean oxidation state, None where the compound is not charge neutral by any assignment.
        radius: ionic radius for that state, atomic radius without one, angstrom.
    """

    symbol: str
    state: float | None
    radius: float


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


@lru_cache(maxsize=1)
def _substitutions() -> dict[frozenset[str], float]:
    """Data-mined weights of substitutions between species such as `Sr2+`, from pymatgen's table."""
    from pymatgen.core.structure_prediction.substitution_probability import SubstitutionProbability

    table = SubstitutionProbability()
    return {frozenset(str(species) for species in pair): weight for pair, weight in table._l.items()}


@lru_cache(maxsize=100_000)
def substitution(one: Ion, other: Ion) -> float:
    """The data-mined weight of one ion standing where another stood; the logarithm of a relative probability."""
    if one.symbol == other.symbol and one.state == other.state:
        return SAME
    if one.state is None or other.state is None:
        return UNKNOWN_SUBSTITUTION
    pair = frozenset(_species(ion) for ion in (one, other))
    return _substitutions().get(pair, UNKNOWN_SUBSTITUTION)


def _species(ion: Ion) -> str:
    state = round(ion.state or 0)
    return f"{ion.symbol}{abs(state)}{'+' if state >= 0 else '-'}"


def assign(
    counts: dict[str, int],
    ions: dict[str, Ion],
    template: Template,
    template_ions: dict[str, Ion],
    *,
    n_members: int = 1,
    weights: Weights | None = None,
    most: int = 2,
) -> list[Assignment]:
    """The best ways to put a composition's elements on a template's sites, best first.

    Args:
        counts: atoms of each element of the composition, in any multiple.
        ions: its elements.
        template: one of the same anonymous formula.
        template_ions: the elements of the template's own compound.
        n_members: known compounds of the template's prototype.
        weights: what counts how much.
        most: how many to return at most.
    """
    weights = weights or Weights()
    from_template = sorted(template.counts)
    into = sorted(counts)
    scale = sum(template.counts.values()) / sum(counts.values())
    share = np.array([template.counts[symbol] for symbol in from_template]) / template.n_atoms
    allowed = np.array([[abs(template.counts[a] - counts[b] * scale) < 1e-6 for b in into] for a in from_template])
    old = [template_ions[symbol] for symbol in from_template]
    new = [ions[symbol] for symbol in into]
    pair, log_ratio = _pairs(old, new, weights)
    ways = _ways(allowed, np.where(allowed, pair, -1e6))
    rows = np.arange(len(from_template))
    scored = []
    for way in ways:
        chosen = log_ratio[rows, way]
        spread = np.sqrt(share @ (chosen - share @ chosen) ** 2)
        score = float(pair[rows, way].mean() - weights.radius * spread + weights.members * np.log(n_members))
        scored.append((score, way))
    scored.sort(key=lambda entry: (-entry[0], entry[1]))
    return [
        Assignment(template, {a: into[column] for a, column in zip(from_template, way, strict=True)}, score)
        for score, way in scored[:most]
    ]


def _pairs(old: list[Ion], new: list[Ion], weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of single substitutions and logarithms of ratios of radii, both `(k, k)`."""
    score = np.zeros((len(old), len(new)))
    log_ratio = np.zeros_like(score)
    for i, a in enumerate(old):
        for j, b in enumerate(new):
            chi = ELECTRONEGATIVITY[[ATOMIC_NUMBER[a.symbol], ATOMIC_NUMBER[b.symbol]]]
            apart = 0.0 if np.isnan(chi).any() else abs(chi[0] - chi[1])
            charged = a.state is not None and b.state is not None
            states = abs(a.state - b.state) if charged else float(a.state != b.state)  # type: ignore[operator]
            score[i, j] = (
                weights.substitution * substitution(a, b) - weights.state * states - weights.electronegativity * apart
            )
            log_ratio[i, j] = np.log(b.radius / a.radius)
    return score, log_ratio


def _ways(allowed: NDArray[np.bool_], score: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """Allowed one-to-one maps of rows to columns: all of them for few elements, else the one of the best sum."""
    size = len(allowed)
    if size > _ALL_PERMUTATIONS:
        return [tuple(int(column) for column in linear_sum_assignment(-score)[1])]
    columns = [np.flatnonzero(row).tolist() for row in allowed]
    return [way for way in itertools.product(*columns) if len(set(way)) == size]
