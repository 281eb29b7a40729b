"""Weights of the reasons in `matgen.structures.assignment`: found on half of the bundled compounds, judged on the rest.

A compound is asked for with all of its own structures left out. It is answered when one of the first k distinct
occupations of prototypes, best first, is the compound's own: the same Pearson symbol and space group, and each element
on the same Wyckoff positions up to the choice of origin. Free coordinates are not compared here, as
`benchmarks.structures` does by StructureMatcher on the named list, whose compounds are in neither half.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from pymatgen.analysis.prototypes import canonicalize_element_wyckoffs

from matgen.structures.assignment import Weights, _pairs, ions_of
from matgen.structures.templates import Template, TemplateLibrary, ratio

REASONS = tuple(field.name for field in fields(Weights))
MOST_ELEMENTS = 6
"""Beyond these `assign` does not try every permutation, so that its score is not linear in the weights."""
PER_TEMPLATE = 2
"""Assignments of one template that `assign` keeps."""


@lru_cache(maxsize=1_000_000)
def _canonical(letters: str, space_group: str) -> str:
    return canonicalize_element_wyckoffs(re.sub(r"(?<![0-9])([a-zA])", r"1\1", letters), space_group)


def occupation(prototype: str, old: Sequence[str], mapping: dict[str, str]) -> str:
    """Pearson symbol, space group and the Wyckoff letters of each new element, alphabetically.

    Args:
        prototype: AFLOW's label.
        old: the elements that the label is of.
        mapping: old to new element.
    """
    _, pearson, space_group, *letters = prototype.split("_")
    of_new = {mapping[symbol]: part for symbol, part in zip(sorted(old), letters, strict=True)}
    return f"{pearson}_{space_group}_{_canonical('_'.join(of_new[new] for new in sorted(of_new)), space_group)}"


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
        features: float64 `(n, 5)`, whose product with the weights, in the order of `REASONS`, is the score.
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
        slots = {name: sorted(held, key=lambda symbol, held=held: (held[symbol], symbol)) for name, held in own.items()}
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
        self.members: dict[str, set[str]] = defaultdict(set)
        for template in library.templates:
            self.members[template.prototype].add(template.formula)
        self.of_formula = dict(zip(formulas, ions_of(formulas), strict=True))
        ions = sorted({ion for described in self.of_formula.values() for ion in described.values()}, key=str)
        self.number = {ion: place for place, ion in enumerate(ions)}
        self.tables = [_pairs(ions, ions, Weights(*row))[0] for row in np.eye(len(REASONS))]
        self.log_ratio = _pairs(ions, ions, Weights())[1]

    def of(
        self,
        formula: str,
        others: list[Template],
        slots: dict[str, list[str]],
        ways: list[tuple[int, ...]],
        share: np.ndarray,
    ) -> np.ndarray:
        """Features of every way to put a compound's elements into templates, float64 `(templates * ways, 5)`.

        Args:
            formula: the compound.
            others: templates of other compounds.
            slots: elements of each compound in the order of its counts.
            ways: permutations of the compound's elements.
            share: of atoms in each slot.
        """
        old = np.array([self._numbers(one.formula, slots[one.formula]) for one in others])[:, None, :]
        new = self._numbers(formula, slots[formula])[np.array(ways)][None, :, :]
        chosen = self.log_ratio[old, new]
        spread = np.sqrt(((chosen - (chosen @ share)[..., None]) ** 2) @ share)
        of_each = {name: table[old, new].mean(axis=2) for name, table in zip(REASONS, self.tables, strict=True)}
        held = [len(self.members[template.prototype] - {formula}) for template in others]
        of_each |= {"radius": -spread, "members": np.repeat(np.log(held)[:, None], len(ways), axis=1)}
        return np.stack([of_each[name].ravel() for name in REASONS], axis=1)

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

    def ranks(self, weights: Sequence[float]) -> np.ndarray:
        """Place of each compound's own occupation among the distinct ones; of equal scores the mean of the places."""
        score = self.asked.features @ np.asarray(weights, dtype=np.float64)
        for block in self.asked.blocks:
            of_each = score[block]
            least = np.partition(of_each, -PER_TEMPLATE, axis=1)[:, -PER_TEMPLATE]
            score[block] = np.where(of_each < least[:, None], -np.inf, of_each)
        best = np.maximum.reduceat(score[self._order], self._starts)
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


def search(ranker: Ranker, begin: Sequence[float], *, trials: int, seed: int) -> tuple[float, ...]:
    """Weights of the best share within the first five, ties by the mean reciprocal rank.

    Random ones first, log-uniform around sensible sizes, then each weight in turn by ever smaller factors.
    """

    def worth(weights: Sequence[float]) -> tuple[float, float]:
        ranks = ranker.ranks(weights)
        return float((ranks <= 5).mean()), float((1 / ranks).mean())

    rng = np.random.default_rng(seed)
    low, high = np.array([0.1, 0.5, 0.05, 0.05, 0.02]), np.array([5.0, 50.0, 20.0, 20.0, 5.0])
    tried = [tuple(begin)] + [tuple(np.exp(rng.uniform(np.log(low), np.log(high)))) for _ in range(trials)]
    best = max(tried, key=worth)
    value = worth(best)
    for factor in (2.0, 1.5, 1.2):
        improved = True
        while improved:
            improved = False
            for place, times in itertools.product(range(len(REASONS)), (factor, 1 / factor)):
                other = tuple(weight * times if i == place else weight for i, weight in enumerate(best))
                other_value = worth(other)
                if other_value > value:
                    best, value, improved = other, other_value, True
    return best


def weights_result(library: TemplateLibrary, left_out: set[str], *, trials: int = 300, seed: int = 0) -> dict[str, Any]:
    """Recall on the judged half: of the present weights, of those found on the other half, of simpler ones."""
    asked = candidates(library, left_out)
    fitted_on = np.random.default_rng(seed).permutation(len(asked.formulas)) % 2 == 0
    fit, judge = Ranker(asked.of(fitted_on)), Ranker(asked.of(~fitted_on))
    present = tuple(getattr(Weights(), name) for name in REASONS)
    results = search(fit, present, trials=trials, seed=seed)
    spread = asked.features.std(axis=0)
    variants = {
        "present": present,
        "found": results,
        "equal": (1.0,) * len(REASONS),
        "equal in standard deviations": tuple((1 / spread).tolist()),
    }
    for place, name in enumerate(REASONS):
        variants[f"{name} alone"] = tuple(float(i == place) for i in range(len(REASONS)))
        variants[f"without {name}"] = tuple(0.0 if i == place else weight for i, weight in enumerate(results))
    rows = {}
    for name, weights in variants.items():
        rows[name] = {
            "weights": dict(zip(REASONS, (float(f"{weight:.3g}") for weight in weights), strict=True)),
            "fitted_half": recall(fit.ranks(weights)),
            "judged_half": recall(judge.ranks(weights)),
        }
        print(name, rows[name], flush=True)
    gained = (judge.ranks(results) <= 5).astype(float) - (judge.ranks(present) <= 5)
    return {
        "seed": seed,
        "trials": trials,
        "assignments": len(asked.query),
        "left_out_of_both": len(left_out),
        "variants": rows,
        "found_over_present_at_5": {
            "value": round(float(gained.mean()), 4),
            "standard_error": round(float(gained.std(ddof=1) / np.sqrt(len(gained))), 4),
        },
    }
