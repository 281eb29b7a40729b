"""Sets of known compositions: exact membership of whole batches by their 128-bit keys."""

from __future__ import annotations

import hashlib

import numpy as np

from matgen.composition import CompositionBatch, first_occurrence
from matgen.errors import DataError


class KeySet:
    """A set of compositions, held as sorted distinct keys (16 bytes each).

    Both lanes of a key are compared, so that two compositions that share one lane by chance are still told apart.

    Attributes:
        keys: uint64 `(m, 2)`, the distinct keys, ascending by lane 0 and then by lane 1.
    """

    __slots__ = ("keys",)

    def __init__(self, keys: np.ndarray) -> None:
        """Build the set from keys in any order, repeated or not.

        Args:
            keys: uint64 `(n, 2)`, as `CompositionBatch.keys` gives them.

        Raises:
            DataError: the array has another shape or type.
        """
        keys = _checked(keys)
        distinct = keys[first_occurrence(keys) == np.arange(len(keys))]
        self.keys = distinct[np.lexsort((distinct[:, 1], distinct[:, 0]))]

    @classmethod
    def from_batch(cls, batch: CompositionBatch) -> KeySet:
        """The set of the compositions of a batch."""
        return cls(batch.keys())

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"KeySet({len(self):,} compositions, sha256 {self.sha256()[:12]})"

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """Which keys are in the set, bool `(n,)`.

        Args:
            keys: uint64 `(n, 2)`.

        Raises:
            DataError: the array has another shape or type.
        """
        keys = _checked(keys)
        found = np.zeros(len(keys), dtype=bool)
        place = np.searchsorted(self.keys[:, 0], keys[:, 0])
        pending = np.arange(len(keys))
        # One pass as a rule; a further one only for queries whose lane 0 meets several keys of the set.
        while len(pending):
            pending = pending[place[pending] < len(self.keys)]
            pending = pending[self.keys[place[pending], 0] == keys[pending, 0]]
            same = self.keys[place[pending], 1] == keys[pending, 1]
            found[pending[same]] = True
            pending = pending[~same]
            place[pending] += 1
        return found

    def sha256(self) -> str:
        """Hash of the set as hexadecimal text: of its sorted distinct keys, little-endian, lane 0 before lane 1.

        It depends on the compositions alone, not on their order, their spelling or the kind of file they came from.
        """
        return hashlib.sha256(np.ascontiguousarray(self.keys, dtype="<u8").tobytes()).hexdigest()


def _checked(keys: np.ndarray) -> np.ndarray:
    if keys.ndim != 2 or keys.shape[1] != 2 or keys.dtype != np.uint64:
        raise DataError(f"keys must be uint64 of shape (n, 2), not {keys.dtype} of shape {keys.shape}")
    return keys
