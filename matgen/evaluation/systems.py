"""Which chemical systems candidates explore: how many, how many that no reference has, and the most frequent ones.

Memory does not grow with the number of candidates. How many systems there are, and how many are new, is counted by
`Membership` on disk. For the most frequent ones, rows are first counted in 2^21 buckets by the 64-bit hash of their
system; then only systems in the fullest buckets are counted by themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch

TOP = 50
"""Chemical systems written out, by rows and then by name."""

_BUCKET_BITS = 21
_TRACKED = 1 << 17
"""Buckets whose systems are counted by themselves."""

FIELDS = ("n", "distinct", "novel", "valid")


class SystemSketch:
    """Rows in each bucket of chemical systems: the first look at the candidates."""

    def __init__(self) -> None:
        self.buckets = np.zeros(1 << _BUCKET_BITS, dtype=np.int64)

    def add(self, codes: np.ndarray) -> None:
        """Count rows by the codes of their systems, uint64 `(m,)`."""
        np.add.at(self.buckets, codes >> np.uint64(64 - _BUCKET_BITS), 1)

    def fullest(self) -> np.ndarray:
        """Buckets to follow: all that hold a row, or the fullest of them; bool `(2^21,)`."""
        followed = self.buckets > 0
        if int(followed.sum()) > _TRACKED:
            order = np.lexsort((np.arange(len(self.buckets)), -self.buckets))
            followed[:] = False
            followed[order[:_TRACKED]] = True
        return followed


class SystemCounts:
    """Rows, distinct, novel and valid compositions of each system in the followed buckets: the second look."""

    def __init__(self, followed: np.ndarray) -> None:
        """Count in buckets as `SystemSketch.fullest` gives them."""
        self._followed = followed
        self.codes = np.zeros(0, dtype=np.uint64)
        self.counts = np.zeros((0, len(FIELDS)), dtype=np.int64)
        self.names = np.zeros(0, dtype=object)

    def add(self, batch: CompositionBatch, codes: np.ndarray, is_field: np.ndarray) -> None:
        """Count compositions.

        Args:
            batch: `m` rows' compositions.
            codes: uint64 `(m,)`, of their systems.
            is_field: bool `(m, 4)`, what each row adds to `FIELDS`.
        """
        rows = np.flatnonzero(self._followed[codes >> np.uint64(64 - _BUCKET_BITS)])
        if not len(rows):
            return
        distinct, first, inverse = np.unique(codes[rows], return_index=True, return_inverse=True)
        place = np.searchsorted(self.codes, distinct)
        new = np.ones(len(distinct), dtype=bool)
        inside = place < len(self.codes)
        new[inside] = self.codes[place[inside]] != distinct[inside]
        if new.any():
            at = place[new]
            self.codes = np.insert(self.codes, at, distinct[new])
            self.counts = np.insert(self.counts, at, 0, axis=0)
            self.names = np.insert(self.names, at, batch[rows[first[new]]].chemical_systems())
            place = np.searchsorted(self.codes, distinct)
        for column in range(len(FIELDS)):
            self.counts[place, column] += np.bincount(
                inverse, weights=is_field[rows, column], minlength=len(distinct)
            ).astype(np.int64)

    def top(self) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """The codes of the most frequent systems, uint64 `(t,)`, and an entry of the report for each."""
        order = np.lexsort((self.names.astype(str), -self.counts[:, 0]))[:TOP]
        entries = [
            {"chemical_system": str(self.names[i])}
            | {field: int(count) for field, count in zip(FIELDS, self.counts[i], strict=True)}
            for i in order
        ]
        return self.codes[order], entries


def system_codes(batch: CompositionBatch) -> np.ndarray:
    """Lane 0 of `chemical_system_keys`, uint64 `(n,)`: among 10^7 systems the chance that any two share it is 10^-5."""
    return batch.chemical_system_keys()[:, 0]
