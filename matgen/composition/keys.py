"""Sets of known compositions: exact membership of whole batches by their 128-bit keys."""

from __future__ import annotations

import hashlib

import numpy as np

from matgen.composition.batch import sort_keys
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
        order, new = sort_keys(checked_keys(keys))
        self.keys = keys[order[new]]

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
        return find_keys(self.keys, checked_keys(keys)) >= 0

    def sha256(self) -> str:
        """Hash of the set as hexadecimal text: of its sorted distinct keys, little-endian, lane 0 before lane 1.

        It depends on the compositions alone, not on their order, their spelling or the kind of file they came from.
        """
        return hashlib.sha256(np.ascontiguousarray(self.keys, dtype="<u8").tobytes()).hexdigest()


def find_keys(ascending: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The place of each key among distinct ascending ones, int64 `(n,)`, -1 where it is not among them.

    Args:
        ascending: uint64 `(m, 2)` or wider, ascending by the first two columns, no key twice.
        keys: uint64 `(n, 2)` or wider, in any order (quickest when ascending too).
    """
    lane = np.ascontiguousarray(ascending[:, 0])
    place = np.searchsorted(lane, keys[:, 0])
    places = np.full(len(keys), -1, dtype=np.int64)
    pending = np.arange(len(keys))
    # One pass as a rule; a further one only for queries whose lane 0 meets several keys of the set.
    while len(pending):
        pending = pending[place[pending] < len(lane)]
        pending = pending[lane[place[pending]] == keys[pending, 0]]
        same = ascending[place[pending], 1] == keys[pending, 1]
        places[pending[same]] = place[pending[same]]
        pending = pending[~same]
        place[pending] += 1
    return places


def checked_keys(keys: np.ndarray) -> np.ndarray:
    """The keys themselves, once they are seen to be uint64 `(n, 2)`.

    Raises:
        DataError: the array has another shape or type.
    """
    if keys.ndim != 2 or keys.shape[1] != 2 or keys.dtype != np.uint64:
        raise DataError(f"keys must be uint64 of shape (n, 2), not {keys.dtype} of shape {keys.shape}")
    return keys
