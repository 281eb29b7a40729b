"""How new a composition is: the share of its atoms by which it differs from the nearest known one.

The distance of two compositions is half the sum of the absolute differences of their atomic fractions (total
variation): the share of atoms that would have to be replaced. NaCl and KCl are 0.5 apart, SrTiO3 and BaTiO3 0.2.
"""

from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import N_ELEMENTS


class NearestKnown:
    """Known compositions, listed by their elements.

    Args:
        known: `m` compositions.
    """

    def __init__(self, known: CompositionBatch) -> None:
        self.known = known
        row, slot = np.nonzero(known.elements)
        order = np.argsort(known.elements[row, slot], kind="stable")
        self._row = row[order]
        totals = known.counts.sum(axis=1)
        self._fraction = (known.counts[row, slot] / totals[row])[order]
        self._start = np.searchsorted(known.elements[row, slot][order], np.arange(N_ELEMENTS + 2))

    def of(self, batch: CompositionBatch) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the nearest known composition, float64 `(n,)`, 0 to 1, and its row, int64 `(n,)`.

        The row is -1 where no known composition shares an element; of several as near, it is the first.
        """
        distance, nearest = np.ones(len(batch)), np.full(len(batch), -1, dtype=np.int64)
        fractions = batch.counts / np.maximum(batch.counts.sum(axis=1, keepdims=True), 1)
        for i in range(len(batch)):
            rows, common = [], []
            for z, share in zip(batch.elements[i], fractions[i], strict=True):
                if z:
                    listed = slice(self._start[z], self._start[z + 1])
                    rows.append(self._row[listed])
                    common.append(np.minimum(self._fraction[listed], share))
            shared = np.bincount(np.concatenate(rows), np.concatenate(common), len(self.known))
            best = int(shared.argmax())
            if shared[best] > 0:
                distance[i], nearest[i] = max(0.0, 1.0 - shared[best]), best
        return distance, nearest
