"""What candidates are made of, against the reference: a mode that the model fell into, or a bias, shows here.

Counts are of distinct compositions (of their ions for oxidation states) in five respects. Two numbers compare them:

* the Jensen-Shannon distance (square root of the divergence, base 2: 0 for equal, 1 for disjoint distributions;
  Endres and Schindelin, IEEE Trans. Inf. Theory 49, 1858 (2003)), which sees shares that are off;
* coverage: the share of the reference's weight on categories that occur among the candidates at all, which sees what is
  missing.

Both depend on n, so each is shown beside its value for as many compositions drawn from the reference itself.

Memory: all categories of the reference are kept, and of the others the first `MOST_OTHERS` that occur. Beyond these
only their sum is known, and that is all the distance needs: outside the reference's categories the divergence gains
half of their weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.evaluation.labels import DISTRIBUTIONS
from matgen.evaluation.widths import narrowed
from matgen.validity import Ions

MOST_OTHERS = 200_000
"""Categories kept beyond those of the reference."""

LISTED = 100
"""Categories written out, the largest of each side; elements and numbers of elements are written out in full."""

_SUM_BY_SIZE = ("n_atoms", "anonymous_formulas", "oxidation_states")
_BY_SHARE = ("anonymous_formulas", "oxidation_states")
_STATE_OFFSET = 128


class Counts:
    """Weight of each category, by a 64-bit code.

    Attributes:
        codes: uint64 `(m,)`, ascending.
        weights: int64 `(m,)`.
        names: object `(m,)`.
        others: weight of categories that were not kept.
    """

    def __init__(self, known: Counts | None = None, most_others: int = MOST_OTHERS) -> None:
        """Start at zero, with the categories of `known`, which are always kept."""
        self.codes: np.ndarray = known.codes if known else np.zeros(0, dtype=np.uint64)
        self.names: np.ndarray = known.names if known else np.zeros(0, dtype=object)
        self.weights = np.zeros(len(self.codes), dtype=np.int64)
        self.others = 0
        self._room = most_others

    @property
    def total(self) -> int:
        """All weight, kept or not."""
        return int(self.weights.sum()) + self.others

    def add(self, codes: np.ndarray, name: Callable[[np.ndarray], np.ndarray]) -> None:
        """Count codes, uint64 `(n,)`, one each.

        Args:
            codes: of the categories.
            name: gives the names of the categories of some of these, by their places, int64 `(k,)`.
        """
        distinct, first, weight = np.unique(codes, return_index=True, return_counts=True)
        place = np.searchsorted(self.codes, distinct)
        held = place < len(self.codes)
        held[held] = self.codes[place[held]] == distinct[held]
        self.weights[place[held]] += weight[held]
        new = np.flatnonzero(~held)
        if not len(new):
            return
        new = new[np.argsort(first[new])]  # in order of appearance, so that slicing the input changes nothing
        self.others += int(weight[new[self._room :]].sum())
        new = np.sort(new[: self._room])
        self._room -= len(new)
        at = place[new]
        self.codes = np.insert(self.codes, at, distinct[new])
        self.weights = np.insert(self.weights, at, weight[new])
        if len(new):
            self.names = np.insert(self.names, at, name(first[new]))


class Census:
    """Counts of distinct compositions in every respect of `labels.DISTRIBUTIONS`.

    Attributes:
        counts: name of the distribution to `Counts`.
        n: compositions counted.
    """

    def __init__(self, known: Census | None = None, most_others: int | None = None) -> None:
        """Start at zero, with the categories of `known`, the reference's."""
        most = (MOST_OTHERS if most_others is None else most_others) if known else np.iinfo(np.int64).max
        self.counts: dict[str, Counts] = {
            name: Counts(known.counts[name] if known else None, int(most)) for name in DISTRIBUTIONS
        }
        self.n = 0

    def add(self, batch: CompositionBatch, ion_elements: np.ndarray, ion_states: np.ndarray) -> None:
        """Count compositions.

        Args:
            batch: distinct compositions that were not counted before.
            ion_elements: integers `(m,)`, atomic numbers of their ions, one entry a composition, element and state.
            ion_states: integers `(m,)`, the states of these.
        """
        self.n += len(batch)
        elements = batch.elements[batch.elements > 0]
        self.counts["elements"].add(elements.astype(np.uint64), lambda at: SYMBOLS[elements[at]])
        for name, number in (("n_elements", batch.n_elements), ("n_atoms", batch.n_atoms)):
            self.counts[name].add(number.astype(np.uint64), lambda at, number=number: _numerals(number[at]))  # type: ignore[misc]
        self.counts["anonymous_formulas"].add(
            stoichiometry_codes(batch), lambda at: narrowed(batch[at]).anonymous_formulas()
        )
        ions = ion_elements.astype(np.int64) * 256 + ion_states.astype(np.int64) + _STATE_OFFSET
        self.counts["oxidation_states"].add(ions.astype(np.uint64), lambda at: _ion_names(ions[at]))


def stoichiometry_codes(batch: CompositionBatch) -> np.ndarray:
    """A 64-bit hash of each composition's counts without their elements, uint64 `(n,)`: equal for ABC3 and ABC3."""
    counts = np.sort(batch.counts, axis=1)[:, ::-1]  # zeros last
    code = np.zeros(len(batch), dtype=np.uint64)
    for slot in range(counts.shape[1]):
        present = counts[:, slot] > 0
        mixed = (code + counts[:, slot].astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        code = np.where(present, mixed, code)
    return code


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon distance, base 2, of two vectors of weights `(m,)`, which are scaled to a sum of 1 each."""
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    divergence = sum((w[w > 0] * np.log2(w[w > 0] / middle[w > 0])).sum() for w in (p, q)) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def compare(generated: Census, reference: Census, floor: Census) -> dict[str, dict[str, Any]]:
    """The entry `distributions` of a report.

    Args:
        generated: of the candidates; made with `Census(reference)`.
        reference: of the reference.
        floor: of compositions drawn from the reference, as many as there are candidates; made likewise.
    """
    entries = {}
    for name in DISTRIBUTIONS:
        ours, theirs, drawn = (census.counts[name] for census in (generated, reference, floor))
        distance, coverage = _compared(ours, theirs)
        distance_floor, coverage_floor = _compared(drawn, theirs)
        shares = [
            counts.weights / max(counts.total if name == "oxidation_states" else census.n, 1)
            for counts, census in ((ours, generated), (theirs, reference))
        ]
        of_theirs = np.zeros(len(ours.codes))
        of_theirs[np.searchsorted(ours.codes, theirs.codes)] = shares[1]
        listed = _listed(name, ours.codes, shares[0], of_theirs)
        entries[name] = {
            "jensen_shannon": distance,
            "jensen_shannon_floor": distance_floor,
            "coverage": coverage,
            "coverage_floor": coverage_floor,
            "generated": {str(ours.names[i]): float(shares[0][i]) for i in listed},
            "reference": {str(ours.names[i]): float(of_theirs[i]) for i in listed},
        }
    return entries


def _compared(ours: Counts, theirs: Counts) -> tuple[float | None, float | None]:
    """Distance and coverage; None where a side has no weight (no witness of any composition, say)."""
    if not ours.total or not theirs.total:
        return None, None
    reference = np.zeros(len(ours.codes) + 1)
    reference[np.searchsorted(ours.codes, theirs.codes)] = theirs.weights
    weights = np.append(ours.weights, ours.others)
    return jensen_shannon(weights, reference), float(reference[weights > 0].sum() / reference.sum())


def _listed(name: str, codes: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Places of the categories to write out: in order of their number, or the reference's most frequent first."""
    chosen = np.flatnonzero((ours > 0) | (theirs > 0))
    if name in _SUM_BY_SIZE:
        largest = [np.lexsort((codes, -share))[:LISTED] for share in (ours, theirs)]
        chosen = np.intersect1d(chosen, np.concatenate(largest))
    if name in _BY_SHARE:
        return chosen[np.lexsort((codes[chosen], -ours[chosen], -theirs[chosen]))]
    return chosen[np.argsort(codes[chosen])]


def _ion_names(ions: np.ndarray) -> np.ndarray:
    """`Fe3+`, `O2-`, `Na+` as the witnesses write them, object `(n,)`."""
    state = (ions % 256 - _STATE_OFFSET).astype(np.int8)
    return Ions(np.arange(len(ions)), (ions // 256).astype(np.uint8), state, np.ones(len(ions), dtype=np.int64)).texts()


def _numerals(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(str).astype(object)
