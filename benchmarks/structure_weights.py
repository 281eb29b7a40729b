"""Weights of `matgen.structures.reasons`: fitted to half of the bundled compounds, judged on the rest; then to all.

A compound is asked for with all of its own structures left out. It is answered when one of the first k distinct
occupations of prototypes, best first, is the compound's own: the same Pearson symbol and space group, and each element
on the same Wyckoff positions up to the choice of origin. Free coordinates are not compared here, as
`benchmarks.structures` does by StructureMatcher on the named list, whose compounds are in neither half.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from matgen.structures.assignment import ions_of
from matgen.structures.occupations import occupation
from matgen.structures.reasons import REASONS, IonTables, TemplateFacts
from matgen.structures.templates import Template, TemplateLibrary, ratio
from matgen.structures.volume import composition_volume

MOST_ELEMENTS = 6
"""Beyond these `assign` does not try every permutation, so that its score is not linear in the weights."""
PER_TEMPLATE = 2
"""Assignments of one template that `assign` keeps."""


def own_occupation(template: Template) -> str:
    """`occupation` of a compound's own structure."""
    return occupation(template.prototype, list(template.counts), {symbol: symbol for symbol in template.counts})


def ways_of(counts: Sequence[int]) -> list[tuple[int, ...]]:
    """Permutations of sorted counts that leave them as they are."""
    blocks = [list(places) for _, places in itertools.groupby(range(len(counts)), key=lambda place: counts[place])]
    return [tuple(itertools.chain(*parts)) for parts in itertools.product(*map(itertools.permutations, blocks))]


@dataclass(frozen=True)
class Candidates:
    """Every assignment of every compound asked for.

    Attributes:
        formulas: the compounds, `q` of them.
        features: float64 `(n, 2 r)`, whose product with the constant weights, in the order of `REASONS`, and the ionic
            ones is the score.
        query: which compound, int64 `(n,)`, ascending.
        key: number of the occupation, int64 `(n,)`.
        right: whether the occupation is the compound's own, `(n,)`.
        blocks: rows of the assignments of one template, `(m, p)` for each number `p` of them above `PER_TEMPLATE`.
    """

    formulas: list[str]
    features: np.ndarray
    query: np.ndarray
    key: np.ndarray
    right: np.ndarray
    blocks: list[np.ndarray]

    def of(self, chosen: np.ndarray) -> Candidates:
        """Those of some compounds, given as a mask."""
        kept = chosen[self.query]
        row = np.cumsum(kept) - 1
        return Candidates(
            [formula for formula, keep in zip(self.formulas, chosen, strict=True) if keep],
            self.features[kept], (np.cumsum(chosen) - 1)[self.query[kept]], self.key[kept], self.right[kept],
            [row[block[kept[block[:, 0]]]] for block in self.blocks],
        )  # fmt: skip


def candidates(library: TemplateLibrary, left_out: set[str], max_atoms: int = 40) -> Candidates:
    """All assignments to all bundled compounds whose occupation another compound's structure gives as well.

    Args:
        library: of templates.
        left_out: compounds not to ask for.
        max_atoms: of the templates.
    """
    by_ratio = _by_ratio(library, max_atoms)
    features = Features(library, sorted({one.formula for templates in by_ratio.values() for one in templates}))
    formulas: list[str] = []
    parts: dict[str, list[np.ndarray]] = defaultdict(list)
    blocks: dict[int, list[np.ndarray]] = defaultdict(list)
    keys: dict[str, int] = {}
    n_rows = 0
    for counts, templates in sorted(by_ratio.items()):
        ways = ways_of(counts)
        own = {template.formula: template.counts for template in templates}
        slots = {
            name: [symbol for _, symbol in sorted((n, symbol) for symbol, n in held.items())]
            for name, held in own.items()
        }
        for formula in sorted(own.keys() - left_out):
            others = [template for template in templates if template.formula != formula]
            truth = {own_occupation(template) for template in templates if template.formula == formula}
            results = [
                [occupation(template.prototype, slots[template.formula],
                            {old: slots[formula][way[i]] for i, old in enumerate(slots[template.formula])})
                 for way in ways]
                for template in others
            ]  # fmt: skip
            right = np.array([[occupied in truth for occupied in row] for row in results], dtype=bool).ravel()
            if not right.any():
                continue
            parts["features"].append(features.of(formula, others, slots, ways, np.array(counts) / sum(counts)))
            parts["query"].append(np.full(right.size, len(formulas)))
            parts["key"].append(np.array([keys.setdefault(name, len(keys)) for row in results for name in row]))
            parts["right"].append(right)
            if len(ways) > PER_TEMPLATE:
                blocks[len(ways)].append(n_rows + np.arange(right.size).reshape(-1, len(ways)))
            formulas.append(formula)
            n_rows += right.size
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return Candidates(formulas, **whole, blocks=[np.concatenate(rows) for rows in blocks.values()])


def _by_ratio(library: TemplateLibrary, max_atoms: int) -> dict[tuple[int, ...], list[Template]]:
    by_ratio: dict[tuple[int, ...], list[Template]] = defaultdict(list)
    for template in library.templates:
        if template.n_atoms <= max_atoms and 2 <= len(template.counts) <= MOST_ELEMENTS:
            by_ratio[ratio(template.counts.values())].append(template)
    return by_ratio


class Features:
    """What the score of an assignment is made of.

    Args:
        library: of templates.
        formulas: compounds whose elements stand for one another.
    """

    def __init__(self, library: TemplateLibrary, formulas: list[str]) -> None:
        self.facts = TemplateFacts(library, composition_volume)
        self.of_formula = dict(zip(formulas, ions_of(formulas), strict=True))
        ions = sorted({ion for described in self.of_formula.values() for ion in described.values()}, key=str)
        self.number = {ion: place for place, ion in enumerate(ions)}
        self.tables = IonTables.of(ions, ions)

    def of(
        self,
        formula: str,
        others: list[Template],
        slots: dict[str, list[str]],
        ways: list[tuple[int, ...]],
        share: np.ndarray,
    ) -> np.ndarray:
        """Features of every way to put a compound's elements into templates, float64 `(templates * ways, 2 r)`.

        Args:
            formula: the compound.
            others: templates of other compounds.
            slots: elements of each compound in the order of its counts.
            ways: permutations of the compound's elements.
            share: of atoms in each slot.
        """
        old = np.array([self._numbers(one.formula, slots[one.formula]) for one in others])[:, None, :]
        new = self._numbers(formula, slots[formula])[np.array(ways)][None, :, :]
        compared = self.tables.reasons(old, new, share)
        facts = np.array([self.facts.of(template, without=formula) for template in others])[:, None, :]
        facts = np.broadcast_to(facts, (*compared.shape[:2], facts.shape[2]))
        constant = np.concatenate([compared, facts], axis=2).reshape(-1, len(REASONS))
        ionic = np.ptp(self.tables.new[self._numbers(formula, slots[formula])])
        return np.concatenate([constant, ionic * constant], axis=1)

    def _numbers(self, formula: str, symbols: list[str]) -> np.ndarray:
        return np.array([self.number[self.of_formula[formula][symbol]] for symbol in symbols])


class Ranker:
    """Ranks of the compounds' own occupations under weights."""

    def __init__(self, asked: Candidates) -> None:
        self.asked = asked
        self._order = np.lexsort((asked.key, asked.query))
        query, key = asked.query[self._order], asked.key[self._order]
        self._starts = np.flatnonzero(np.r_[True, (np.diff(query) != 0) | (np.diff(key) != 0)])
        self._query = query[self._starts]
        self._right = np.logical_or.reduceat(asked.right[self._order], self._starts)
        self._first = np.flatnonzero(np.r_[True, np.diff(self._query) != 0])

    def ranks(self, weights: Sequence[float] | np.ndarray) -> np.ndarray:
        """Place of each compound's own occupation among the distinct ones; of equal scores the mean of the places."""
        score = self.asked.features @ np.asarray(weights, dtype=np.float64)
        for block in self.asked.blocks:
            of_each = score[block]
            least = np.partition(of_each, -PER_TEMPLATE, axis=1)[:, -PER_TEMPLATE]
            score[block] = np.where(of_each < least[:, None], -np.inf, of_each)
        best = np.logaddexp.reduceat(score[self._order], self._starts)
        own = np.maximum.reduceat(np.where(self._right, best, -np.inf), self._first)[self._query]
        before = np.where(self._right, 0.0, (best > own) + 0.5 * (best == own))
        ranks = 1 + np.add.reduceat(before, self._first)
        return np.where(np.isneginf(own[self._first]), np.inf, ranks)


def recall(ranks: np.ndarray, at: Sequence[int] = (1, 5)) -> dict[str, Any]:
    """Share of ranks within the first k, each with its standard error."""
    results: dict[str, Any] = {"n": len(ranks)}
    for k in at:
        share = float((ranks <= k).mean())
        error = float(np.sqrt(share * (1 - share) / len(ranks)))
        results[f"at_{k}"] = {"value": round(share, 4), "standard_error": round(error, 4)}
    return results


class Likelihood:
    """Mean logarithm of the probability of the compounds' own occupations: a conditional logit model.

    An occupation's utility is the logarithm of the sum of exponentials of its assignments' scores; features are divided
    by their standard deviations.

    Args:
        asked: the compounds with their assignments.
        penalty: of the squared weights.
    """

    def __init__(self, asked: Candidates, penalty: float = 1e-3) -> None:
        order = np.lexsort((asked.key, asked.query))
        query, key = asked.query[order], asked.key[order]
        spread = asked.features.std(axis=0)
        self.scale = np.where(spread > 1e-9, spread, 1.0)
        self._features = asked.features[order] / self.scale
        self._starts = np.flatnonzero(np.r_[True, (np.diff(query) != 0) | (np.diff(key) != 0)])
        self._group = np.repeat(np.arange(len(self._starts)), np.diff(np.r_[self._starts, len(query)]))
        self._right = np.logical_or.reduceat(asked.right[order], self._starts)
        self._query = query[self._starts]
        self._first = np.flatnonzero(np.r_[True, np.diff(self._query) != 0])
        self._penalty = penalty

    def loss(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the mean logarithm plus the penalty, and its gradient, `(2 r,)`."""
        score = self._features @ weights
        utility = np.logaddexp.reduceat(score, self._starts)
        of_one = np.exp(score - utility[self._group])
        every, share = self._softmax(utility)
        own, own_share = self._softmax(np.where(self._right, utility, -1e9))
        pull = (share - own_share) / len(self._first)
        loss = float((every - own).mean() + self._penalty * weights @ weights)
        return loss, (pull[self._group] * of_one) @ self._features + 2 * self._penalty * weights

    def _softmax(self, utility: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithm of the sum of exponentials of each compound, and shares of it."""
        largest = np.maximum.reduceat(utility, self._first)
        shifted = np.exp(utility - largest[self._query])
        total = np.add.reduceat(shifted, self._first)
        return largest + np.log(total), shifted / total[self._query]


EARLIER = {"substitution": 2.0, "state": -0.3, "electronegativity": -2.0, "radius": -8.0, "members": 0.25}
"""The weights of matgen 0.2, set by hand."""


def fitted(asked: Candidates, reasons: Sequence[str] = REASONS, *, ionic: bool = True) -> np.ndarray:
    """Weights of the largest likelihood, those of other reasons than some zero, `(2 r,)`."""
    likelihood = Likelihood(asked)
    free = np.array([name in reasons for name in REASONS], dtype=float)
    free = np.r_[free, free * ionic]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood.loss(weights * free)
        return value, gradient * free

    found = minimize(loss, np.zeros(len(free)), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x * free / likelihood.scale)


def weights_result(library: TemplateLibrary, left_out: set[str], *, seed: int = 0) -> dict[str, Any]:
    """Recall on the judged half of weights fitted on the other, and of simpler ones; weights fitted on both."""
    asked = candidates(library, left_out)
    fitted_on = np.random.default_rng(seed).permutation(len(asked.formulas)) % 2 == 0
    half = asked.of(fitted_on)
    fit, judge = Ranker(half), Ranker(asked.of(~fitted_on))
    earlier = np.array([EARLIER.get(name, 0.0) for name in (*REASONS, *REASONS)]) * (
        np.arange(2 * len(REASONS)) < len(REASONS)
    )
    found = fitted(half)
    variants = {
        "fitted": found,
        "fitted, the same for all compounds": fitted(half, ionic=False),
        "fitted, reasons of 0.2 alone": fitted(half, list(EARLIER), ionic=False),
        "0.2": earlier,
    }
    for name in ("substitution", "members"):
        variants[f"{name} alone"] = np.array([float(place == REASONS.index(name)) for place in range(2 * len(REASONS))])
    rows = {}
    for name, weights in variants.items():
        rows[name] = {
            "weights": named_weights(weights),
            "fitted_half": recall(fit.ranks(weights), (1, 3, 5)),
            "judged_half": recall(judge.ranks(weights), (1, 3, 5)),
        }
        print(name, rows[name], flush=True)
    gained = (judge.ranks(found) <= 5).astype(float) - (judge.ranks(earlier) <= 5)
    return {
        "seed": seed,
        "assignments": len(asked.query),
        "left_out_of_both": len(left_out),
        "weights": named_weights(fitted(asked)),
        "variants": rows,
        "fitted_over_0.2_at_5": {
            "value": round(float(gained.mean()), 4),
            "standard_error": round(float(gained.std(ddof=1) / np.sqrt(len(gained))), 4),
        },
    }


def named_weights(weights: np.ndarray) -> dict[str, dict[str, float]]:
    """The constant and the ionic weights by name, three digits of each."""
    parts = {"constant": weights[: len(REASONS)], "ionic": weights[len(REASONS) :]}
    return {
        part: {name: float(f"{value:.3g}") for name, value in zip(REASONS, values.tolist(), strict=True)}
        for part, values in parts.items()
    }
