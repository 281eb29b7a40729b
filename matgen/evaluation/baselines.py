"""Random formulas to compare a model with: what share of them is valid by chance?

1. `uniform`: the number of elements is uniform on 2 to 8, the elements are distinct and uniform among H to Lr (all
   that SMACT knows), each count is uniform on 1 to 10 (published protocol: 1 to 30); a formula of more than 30 atoms is
   drawn anew as a whole (the published filter: 2 to 8 elements, at most 30 atoms), so that formulas of many elements
   are rarer.
2. `stoichiometry_uniform`: the counts of a uniformly drawn reference row, given to distinct elements drawn uniformly
   among those that occur in the reference.
3. `stoichiometry_frequency`: the same counts, with elements drawn one after another without replacement in proportion
   to the share of reference formulas that hold them, and given to the counts in random order.

Each has its own stream of random numbers, made from the seed and its name's place: none changes another.
"""

from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch, ParsedFormulas
from matgen.composition.keys import KeySet
from matgen.errors import DataError, OptionError
from matgen.evaluation import metrics
from matgen.evaluation.labels import BASELINES
from matgen.evaluation.protocol import PROTOCOLS, Protocol
from matgen.evaluation.tally import Tally
from matgen.runtime.progress import ProgressFactory, part_of, silent

FEWEST, MOST = 1_000, 10_000
"""Random formulas of each baseline: as many as there are candidates, within these bounds."""

COMPARED = ("charge_neutral", "electronegativity_balanced", "valid", "balanced_common", "valid_unique_novel")
"""Metrics that are compared with the baselines. Being unique or novel is easy for a random formula and says nothing."""

_LAST_ELEMENT = 103
_MIN_ELEMENTS, _MAX_ELEMENTS = 2, 8
_MAX_ATOMS = 30
_BLOCK = 50_000


def uniform(n: int, rng: np.random.Generator, most_of_one: int = 10) -> CompositionBatch:
    """`n` formulas with uniform elements and counts of 1 to `most_of_one` (baseline 1)."""
    counts = np.zeros((0, _MAX_ELEMENTS), dtype=np.int64)
    while len(counts) < n:
        drawn = rng.integers(1, most_of_one + 1, size=(max(64, 2 * (n - len(counts))), _MAX_ELEMENTS))
        n_elements = rng.integers(_MIN_ELEMENTS, _MAX_ELEMENTS + 1, size=len(drawn))
        drawn[np.arange(_MAX_ELEMENTS) >= n_elements[:, None]] = 0
        counts = np.concatenate([counts, drawn[drawn.sum(axis=1) <= _MAX_ATOMS]])
    weights = np.zeros(_LAST_ELEMENT + 1)
    weights[1:] = 1.0
    return _with_random_elements(counts[:n], weights, rng)


def stoichiometry_uniform(reference: CompositionBatch, n: int, rng: np.random.Generator) -> CompositionBatch:
    """`n` formulas with the reference's stoichiometries and uniform elements (baseline 2)."""
    return _with_random_elements(_stoichiometries(reference, n, rng), (element_shares(reference) > 0) * 1.0, rng)


def stoichiometry_frequency(reference: CompositionBatch, n: int, rng: np.random.Generator) -> CompositionBatch:
    """`n` formulas with the reference's stoichiometries and element frequencies (baseline 3)."""
    return _with_random_elements(_stoichiometries(reference, n, rng), element_shares(reference), rng)


def element_shares(reference: CompositionBatch) -> np.ndarray:
    """Share of the formulas that hold each element, float64 `(119,)` by atomic number, 0 for "no element"."""
    held = np.bincount(reference.elements.ravel(), minlength=119).astype(np.float64)
    held[0] = 0.0
    return held / max(len(reference), 1)


def draw(name: str, reference: CompositionBatch, n: int, seed: int, most_of_one: int = 10) -> CompositionBatch:
    """`n` random formulas of the named baseline; `most_of_one` is `uniform`'s.

    Raises:
        DataError: the reference has no formulas.
        OptionError: the seed is negative.
    """
    if seed < 0:
        raise OptionError(f"seed {seed}: at least 0")
    if not len(reference):
        raise DataError("the reference has no formulas, so there are no stoichiometries to draw from")
    rng = np.random.default_rng([seed, list(BASELINES).index(name)])
    if name == "uniform":
        return uniform(n, rng, most_of_one)
    return (stoichiometry_uniform if name == "stoichiometry_uniform" else stoichiometry_frequency)(reference, n, rng)


def judge_baselines(
    reference: CompositionBatch,
    known: KeySet,
    n: int,
    seed: int,
    protocol: Protocol | None = None,
    *,
    progress: ProgressFactory = silent,
) -> dict[str, dict[str, float]]:
    """The fractions of `labels.METRICS` for `n` random formulas of each baseline, judged as candidates are.

    Args:
        reference: compositions that stoichiometries and frequencies are drawn from.
        known: what is not novel; those of the drawn compositions that a reference has are enough.
        n: how many of each.
        seed: of the draws.
        protocol: how validity is judged, and the counts of `uniform`; by default the default one.
        progress: counts the compositions judged.
    """
    judged = {}
    protocol = protocol or PROTOCOLS["default"]
    with progress(len(BASELINES) * n, "random baselines", "formulas") as count:
        for name in BASELINES:
            parsed = ParsedFormulas(draw(name, reference, n, seed, protocol.most_atoms_of_one), np.arange(n), [])
            tally = Tally(n)
            tally.add(metrics.judge_alone(n, parsed, known.contains, protocol.rules, progress=part_of(count)))
            judged[name] = {"n": n, **metrics.fractions(tally.count())}
    return judged


def strongest(baselines: dict[str, dict[str, float]]) -> dict[str, float]:
    """The highest value that any baseline reaches, for each metric of `COMPARED`."""
    return {metric: max(values[metric] for values in baselines.values()) for metric in COMPARED} if baselines else {}


def enrichment(fractions: dict[str, float], baseline: dict[str, float]) -> dict[str, float | None]:
    """How many times the strongest baseline a metric is; None where the baseline is 0."""
    return {metric: fractions[metric] / value if value else None for metric, value in baseline.items()}


def _stoichiometries(reference: CompositionBatch, n: int, rng: np.random.Generator) -> np.ndarray:
    """Count vectors of `n` reference rows drawn with replacement, int64 `(n, k)`, zero padded."""
    return reference.counts[rng.integers(0, len(reference), size=n)].astype(np.int64)


def _with_random_elements(counts: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> CompositionBatch:
    """Give each count a distinct element, drawn in proportion to `weights` `(z,)` without replacement.

    The largest values of log weight + Gumbel noise are such a draw (Kool, van Hoof and Welling, ICML 2019), in order of
    drawing; the order is then shuffled, lest frequent elements go to the first counts.
    """
    available = np.flatnonzero(weights)
    width = counts.shape[1]
    if (most := int(np.count_nonzero(counts, axis=1).max(initial=0))) > len(available):
        raise DataError(f"{len(available)} elements to draw from, {most} needed")  # a reference cannot cause this
    elements = np.zeros(counts.shape, dtype=np.int64)
    for start in range(0, len(counts), _BLOCK):
        block = slice(start, start + _BLOCK)
        present = counts[block] > 0
        scores = np.log(weights[available]) + rng.gumbel(size=(len(present), len(available)))
        order = available[np.argsort(-scores, axis=1)[:, :width]]
        drawn = np.zeros(present.shape, dtype=np.int64)
        drawn[:, : order.shape[1]] = order
        shuffled = np.argsort(np.where(present, rng.random(present.shape), 2.0), axis=1)
        elements[block] = np.where(present, np.take_along_axis(drawn, shuffled, axis=1), 0)
    return CompositionBatch.from_arrays(elements, counts)
