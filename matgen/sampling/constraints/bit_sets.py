"""Sets of small non-negative integers as rows of 64-bit words, many at a time."""

from __future__ import annotations

import numpy as np


def words_for(largest: int) -> int:
    """64-bit words that hold the integers 0 to `largest`."""
    return largest // 64 + 1


def raised(sets: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Each set with `by` added to its members; those that leave the words are dropped.

    Args:
        sets: uint64 `(..., words)`.
        by: int64 `(...)`, at least 0; it broadcasts against the sets.
    """
    words, bits = _words_and_bits(by, sets.shape[-1])
    # The words below fill in from the right, in two shifts: one by 64, where `bits` is 0, is undefined in C.
    return (_moved(sets, -words) << bits) | ((_moved(sets, -words - 1) >> np.uint64(1)) >> (np.uint64(63) - bits))


def lowered(sets: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Each set with `by` taken from its members; those below 0 are dropped. Arguments as of `raised`."""
    words, bits = _words_and_bits(by, sets.shape[-1])
    return (_moved(sets, words) >> bits) | ((_moved(sets, words + 1) << np.uint64(1)) << (np.uint64(63) - bits))


def _words_and_bits(by: np.ndarray, words: int) -> tuple[np.ndarray, np.ndarray]:
    by = np.asarray(by, dtype=np.int64)[..., None]
    return np.minimum(by >> 6, words), (by & 63).astype(np.uint64)


def _moved(sets: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Word `w + offset` of each set in place of word `w`, 0 where there is none."""
    words = sets.shape[-1]
    source = np.arange(words) + offset
    if words == 1:
        return np.where(source == 0, sets, np.uint64(0))
    n_axes = max(sets.ndim, source.ndim)
    sets = sets.reshape((1,) * (n_axes - sets.ndim) + sets.shape)
    source = source.reshape((1,) * (n_axes - source.ndim) + source.shape)
    moved = np.take_along_axis(sets, np.clip(source, 0, words - 1), axis=-1)
    return np.where((source >= 0) & (source < words), moved, np.uint64(0))
