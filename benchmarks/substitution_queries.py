"""Held-out compounds as questions: in this known compound, what could stand in the place of this element?

A held-out compound that differs from a training compound by one element (same counts, the other element nowhere else in
it) is the answer to a query made of that training compound and the element replaced. Parents are found by a key of each
composition with one place left open: compounds that share such a key are substitutions of one another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS
from matgen.composition.keys import find_keys

OPEN = 255
"""Stands for the open place in a key; no atomic number."""


@dataclass(frozen=True)
class Queries:
    """`q` questions.

    Attributes:
        parents: the `q` known compounds.
        slot: int64 `(q,)`, the place in `parents.elements` of the element that is replaced.
        answer: uint8 `(q,)`, the element in the held-out compound.
        candidates: bool `(q, 119)`, elements that may be ranked: they occur in the data, are not in the parent, and
            lead to a compound that is not in training.
    """

    parents: CompositionBatch
    slot: np.ndarray
    answer: np.ndarray
    candidates: np.ndarray

    def __len__(self) -> int:
        return len(self.slot)

    def __getitem__(self, rows: np.ndarray) -> Queries:
        return Queries(self.parents[rows], self.slot[rows], self.answer[rows], self.candidates[rows])

    @property
    def replaced(self) -> np.ndarray:
        """Element that is replaced, uint8 `(q,)`."""
        return self.parents.elements[np.arange(len(self)), self.slot]

    @property
    def count(self) -> np.ndarray:
        """Atoms at the open place, int32 `(q,)`."""
        return self.parents.counts[np.arange(len(self)), self.slot]


@dataclass(frozen=True)
class Sites:
    """Every element of every compound as a place that could be left open, grouped by what stays.

    Attributes:
        row: int64 `(m,)`, the compound, in order of the groups and in the compounds' order within a group.
        slot: int64 `(m,)`, the place of the element in it.
        element: uint8 `(m,)`.
        keys: uint64 `(g, 2)`, ascending, of the groups.
        start: int64 `(g + 1,)`, where each group begins and the last one ends.
    """

    row: np.ndarray
    slot: np.ndarray
    element: np.ndarray
    keys: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, batch: CompositionBatch) -> Sites:
        row, slot = np.nonzero(batch.elements)
        keys = open_keys(batch)
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
        start = np.append(np.flatnonzero(new), len(order))
        return cls(row[order], slot[order], batch.elements[row, slot][order], ordered[new], start)

    @property
    def group(self) -> np.ndarray:
        """The group of each place, int64 `(m,)`."""
        return np.repeat(np.arange(len(self.keys)), np.diff(self.start))


def open_keys(batch: CompositionBatch) -> np.ndarray:
    """Keys of the compositions with one place open, uint64 `(m, 2)`, for all elements of all rows in turn.

    Two are equal where the compositions are the same but for one element, which has the same number of atoms.
    """
    keys = np.empty((*batch.elements.shape, 2), dtype=np.uint64)
    for slot in range(batch.elements.shape[1]):
        elements, counts = np.pad(batch.elements, ((0, 0), (0, 1))), np.pad(batch.counts, ((0, 0), (0, 1)))
        elements[:, slot], elements[:, -1], counts[:, -1] = 0, OPEN, counts[:, slot]
        keys[:, slot] = CompositionBatch(elements, counts).keys()
    return keys[batch.elements > 0]


def find_queries(train: CompositionBatch, held_out: CompositionBatch, *, seed: int) -> Queries:
    """One question for each held-out compound with a parent, the parent drawn from all of them; in random order.

    Args:
        train: the known compounds, distinct.
        held_out: compounds none of which is in `train`.
        seed: of the parents and the order.
    """
    rng = np.random.default_rng(seed)
    sites = Sites.of(train)
    row, slot = np.nonzero(held_out.elements)
    group = find_keys(sites.keys, open_keys(held_out))
    n_parents = np.where(group >= 0, np.diff(sites.start)[group], 0)
    ends = np.cumsum(n_parents)
    # Of each held-out compound, the pairs of a place and a parent lie between two ends.
    last = np.flatnonzero(np.append(np.diff(row) > 0, True))
    above = ends[last]
    below = np.concatenate([[0], above[:-1]])
    asked = rng.permutation(np.flatnonzero(above > below))
    pair = rng.integers(below[asked], above[asked])
    chosen = np.searchsorted(ends, pair, side="right")
    place = sites.start[group[chosen]] + pair - (ends[chosen] - n_parents[chosen])
    queries = Queries(
        train[sites.row[place]],
        sites.slot[place],
        held_out.elements[row[chosen], slot[chosen]],
        np.zeros((len(asked), N_ELEMENTS + 1), dtype=bool),
    )
    elements = np.unique(np.concatenate([train.elements.ravel(), held_out.elements.ravel()]))
    return replace(queries, candidates=_candidates(queries, elements[elements > 0], sites, group[chosen]))


def _candidates(queries: Queries, elements: np.ndarray, sites: Sites, group: np.ndarray) -> np.ndarray:
    candidates = np.zeros_like(queries.candidates)
    candidates[:, elements] = True
    rows = np.arange(len(queries))
    candidates[rows[:, None], queries.parents.elements] = False
    size = np.diff(sites.start)[group]
    member = np.repeat(sites.start[group] - np.cumsum(size) + size, size) + np.arange(size.sum())
    candidates[np.repeat(rows, size), sites.element[member]] = False
    return candidates
