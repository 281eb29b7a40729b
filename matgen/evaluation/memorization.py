"""Is the training data copied? By shares recovered of its two parts, and by rows that repeat it in its own order.

A model that has learned the distribution recovers held-out compositions as it recovers trained ones; one that recites
recovers the trained ones more often. A file that was pasted in shows as a long run of consecutive reference rows. A run
is followed by pairs: candidates `i` and `i + 1` are consecutive rows of the reference where the key of their pair is
among the keys of its consecutive pairs; in a reference of distinct rows such pairs chain to one run.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LONG_RUN = 10
"""Rows in a row from which on a run is called a copy. By chance, a row is followed by its neighbour in the reference
with a probability of about one in the reference's size."""


FEWEST = 10
"""Compositions of each part that must be found before an undecided ratio is read as no sign of copying."""


class PairKeys:
    """Keys of consecutive rows, pair by pair, over chunks."""

    def __init__(self) -> None:
        self._row, self._key = -2, np.zeros((1, 2), dtype=np.uint64)

    def add(self, rows: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take in the next rows, int64 `(m,)` and their keys, uint64 `(m, 2)`.

        Returns:
            The row of the first of each pair of rows that follow one another without a gap, ascending, and the pair's
            key, uint64 `(p, 2)`.
        """
        if not len(rows):
            return rows, keys
        rows, keys = np.concatenate([[self._row], rows]), np.concatenate([self._key, keys])
        self._row, self._key = int(rows[-1]), keys[-1:].copy()
        follows = np.flatnonzero(rows[1:] == rows[:-1] + 1)
        return rows[follows], pair_keys(keys[follows], keys[follows + 1])


def pair_keys(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One 128-bit key of an ordered pair of keys, each uint64 `(p, 2)`."""
    mixed = (one + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(29)
    mixed = (mixed + other) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(32)), dtype=np.uint64)


class LongestRun:
    """The longest run of rows whose pairs are all known, over chunks."""

    def __init__(self) -> None:
        self.rows = 0
        self._last, self._length = -2, 0

    def add(self, rows: np.ndarray) -> None:
        """Take in the first rows of the next known pairs, int64 `(p,)`, ascending over all calls."""
        if not len(rows):
            return
        starts = np.flatnonzero(np.concatenate([[True], np.diff(rows) != 1]))
        lengths = np.diff(np.append(starts, len(rows)))
        if rows[0] == self._last + 1:
            lengths[0] += self._length
        self._last, self._length = int(rows[-1]), int(lengths[-1])
        self.rows = max(self.rows, int(lengths.max()) + 1)


def ratio_interval(successes: tuple[int, int], of: tuple[int, int], z: float = 1.959963984540054) -> list[float] | None:
    """95 % interval of the ratio of two shares, on its logarithm (Katz et al., Biometrics 34, 469 (1978)).

    Args:
        successes: successes of the first share and of the second.
        of: trials of each.

    Returns:
        `[low, high]`, or None where either share is zero or without trials.
    """
    if min(*successes, *of) <= 0:
        return None
    ratio = (successes[0] / of[0]) / (successes[1] / of[1])
    spread = z * math.sqrt(max(1 / successes[0] - 1 / of[0] + 1 / successes[1] - 1 / of[1], 0.0))
    return [ratio * math.exp(-spread), ratio * math.exp(spread)]


def memorization(train: dict[str, Any], test: dict[str, Any], longest_run: int, reference: str) -> dict[str, Any]:
    """The entry `memorization` of a report.

    Args:
        train: what was found of the reference's train part, as `Tally.recovery` gives it.
        test: likewise of its test part.
        longest_run: rows in a row that repeat consecutive rows of the reference.
        reference: its name.
    """
    ratio = train["fraction"] / test["fraction"] if train["fraction"] is not None and test["fraction"] else None
    interval = ratio_interval((train["found"], test["found"]), (train["of"], test["of"]))
    return {
        "train_share": train["fraction"],
        "test_share": test["fraction"],
        "ratio": ratio,
        "ratio_interval": interval,
        "longest_run": longest_run,
        "verdict": _verdict(train, test, ratio, interval, longest_run, reference),
    }


def _verdict(
    train: dict[str, Any],
    test: dict[str, Any],
    ratio: float | None,
    interval: list[float] | None,
    longest_run: int,
    reference: str,
) -> str:
    if longest_run >= LONG_RUN:
        return f"{longest_run:,} rows in a row repeat consecutive rows of {reference}: copied (or both are sorted)"
    if not train["found"] and not test["found"]:
        return f"nothing of {reference} is repeated"
    undecided = interval is None or interval[0] <= 1 <= interval[1]
    if ratio is None or interval is None or (undecided and min(train["found"], test["found"]) < FEWEST):
        return (
            f"too few to tell: {train['found']:,} of {train['of']:,} train and {test['found']:,} of {test['of']:,} "
            f"held-out compositions of {reference} are repeated"
        )
    shares = f"{ratio:.2f} times as often as held-out ones ({interval[0]:.2f} to {interval[1]:.2f})"
    if interval[0] > 1:
        return f"train compositions of {reference} are repeated {shares}: more than a model that generalizes would"
    if interval[1] < 1:
        return f"train compositions of {reference} are repeated {shares}: less than held-out ones"
    return f"train compositions of {reference} are repeated {shares}: no sign of copying"
