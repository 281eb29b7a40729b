"""Chemical systems as sets of elements, each a few bits of two words, with the phases of each side by side."""

from __future__ import annotations

import numpy as np


class ChemicalSystems:
    """Phases by their chemical systems.

    Attributes:
        order: int64 `(m,)`, the phases system by system, in each by ascending energy.
        sets: uint64 `(s, 2)`, elements of each system as bits: element z is bit z of the first word up to 63, bit
            z - 64 of the second above.
        starts: int64 `(s,)`, where the phases of each begin in `order`.
        stops: int64 `(s,)`, where they end.
        bound: int64 `(s,)`, where those below 0 eV/atom end: one above its elements takes part in no best mixture.
    """

    def __init__(self, elements: np.ndarray, energy: np.ndarray) -> None:
        """Sort phases by system.

        Args:
            elements: uint8 `(m, k)`, atomic numbers, zero padded.
            energy: float64 `(m,)`, eV/atom.
        """
        own = bits_of(elements)
        self.order = np.lexsort((energy, own[:, 1], own[:, 0]))
        own = own[self.order]
        new = np.ones(len(own), dtype=bool)
        new[1:] = (own[1:] != own[:-1]).any(axis=1)
        self.starts = np.flatnonzero(new)
        self.stops = np.append(self.starts[1:], len(own)).astype(np.int64)
        self.sets = np.ascontiguousarray(own[self.starts])
        below = np.concatenate([[0], np.cumsum(energy[self.order] < 0)])
        self.bound = self.starts + below[self.stops] - below[self.starts]

    def within(self, elements: np.ndarray) -> np.ndarray:
        """Places in `order` of all phases of these elements and no others, int64 `(p,)`.

        Args:
            elements: atomic numbers, `(k,)`.
        """
        other = ~bits_of(np.asarray(elements, dtype=np.uint8)[None])[0]
        inside = np.flatnonzero(((self.sets & other) == 0).all(axis=1))
        ranges = [np.arange(self.starts[s], self.stops[s]) for s in inside]
        return np.concatenate(ranges) if ranges else np.zeros(0, dtype=np.int64)


def bits_of(elements: np.ndarray) -> np.ndarray:
    """Sets of elements as bits of two words, uint64 `(n, 2)`.

    Args:
        elements: uint8 `(n, k)`, atomic numbers, zero padded.
    """
    sets = np.zeros((len(elements), 2), dtype=np.uint64)
    for column in elements.T:
        bit = np.left_shift(np.uint64(1), column.astype(np.uint64) & np.uint64(63))
        for word in (0, 1):
            sets[:, word] |= np.where((column > 0) & (column // 64 == word), bit, np.uint64(0))
    return sets
