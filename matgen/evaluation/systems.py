"""Which chemical systems candidates explore: how many, how many that no reference has, and the most frequent ones.

Memory does not grow with the number of candidates. How many systems there are, and how many are new, is counted by
`Membership` on disk. For the most frequent ones, rows are first counted in 2^21 buckets by the 64-bit hash of their
system; then only systems in the fullest buckets are counted by themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from matgen.composition.batch import CompositionBatch

FIELDS = ("n", "distinct", "novel", "valid")


class SystemSketch:
    """Rows in each bucket of chemical systems: the first look at the candidates.

    Args:
        bucket_bits: bits of a system's hash that choose its bucket.
        tracked: buckets at most whose systems are then counted by themselves.
    """

    def __init__(self, bucket_bits: int = 21, tracked: int = 1 << 17) -> None:
        self.buckets = np.zeros(1 << bucket_bits, dtype=np.int64)
        self._tracked = tracked

    def add(self, codes: np.ndarray) -> None:
        """Count rows by the codes of their systems, uint64 `(m,)`."""
        np.add.at(self.buckets, _bucket(codes, len(self.buckets)), 1)

    def fullest(self) -> np.ndarray:
        """Buckets to follow: all that hold a row, or the fullest of them; bool `(buckets,)`."""
        followed = self.buckets > 0
        if int(followed.sum()) > self._tracked:
            order = np.lexsort((np.arange(len(self.buckets)), -self.buckets))
            followed[:] = False
            followed[order[: self._tracked]] = True
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
        rows = np.flatnonzero(self._followed[_bucket(codes, len(self._followed))])
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

    def top(self, most: int = 50) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """The codes of the `most` frequent systems, uint64 `(t,)`, and an entry of the report for each.

        Ordered by rows and then by name.
        """
        order = np.lexsort((self.names.astype(str), -self.counts[:, 0]))[:most]
        entries = [
            {"chemical_system": str(self.names[i])}
            | {field: int(count) for field, count in zip(FIELDS, self.counts[i], strict=True)}
            for i in order
        ]
        return self.codes[order], entries


def _bucket(codes: np.ndarray, n_buckets: int) -> np.ndarray:
    """The leading bits of the codes; `n_buckets` is a power of two."""
    return codes >> np.uint64(64 - (n_buckets.bit_length() - 1))


def system_codes(batch: CompositionBatch) -> np.ndarray:
    """Lane 0 of `chemical_system_keys`, uint64 `(n,)`: among 10^7 systems the chance that any two share it is 10^-5."""
    return batch.chemical_system_keys()[:, 0]
