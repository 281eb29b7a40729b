"""Copies of the training data: runs against a loop, and what the verdict says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from matgen.evaluation.memorization import LongestRun, PairKeys, memorization, pair_keys, ratio_interval


@given(st.lists(st.booleans(), max_size=60), st.lists(st.integers(1, 20), max_size=10))
def test_longest_run_over_chunks(known: list[bool], cuts: list[int]) -> None:
    """Row i and row i + 1 are a known pair where `known[i]`."""
    rows, run, at = np.flatnonzero(known), LongestRun(), 0
    for size in [*cuts, len(rows)]:
        run.add(rows[at : at + size])
        at += size
    longest = max((len(piece) for piece in "".join("x" if k else " " for k in known).split()), default=0)
    assert run.rows == (longest + 1 if longest else 0)


@given(st.lists(st.integers(0, 5), max_size=50), st.lists(st.integers(1, 9), max_size=10), st.integers(0, 3))
def test_pairs_over_chunks(gaps: list[int], cuts: list[int], lane: int) -> None:
    """Only rows without a gap between them pair, across chunks as inside."""
    rows = np.cumsum(np.array([gap // 2 + 1 for gap in gaps], dtype=np.int64))
    keys = np.stack([rows * 7 + lane, rows * 13], axis=1).astype(np.uint64)
    pairs, got_rows, got_keys, at = PairKeys(), [], [], 0
    for size in [*cuts, len(rows)]:
        firsts, found = pairs.add(rows[at : at + size], keys[at : at + size])
        got_rows += firsts.tolist()
        got_keys += found.tolist()
        at += size
    follows = [i for i in range(len(rows) - 1) if rows[i + 1] == rows[i] + 1]
    assert got_rows == [rows[i] for i in follows]
    assert got_keys == [pair_keys(keys[i : i + 1], keys[i + 1 : i + 2])[0].tolist() for i in follows]


def test_pair_keys_tell_order_and_partners_apart() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, size=(200, 2)).astype(np.uint64)
    one, other = (grid.ravel() for grid in np.meshgrid(np.arange(200), np.arange(200)))
    assert len(np.unique(pair_keys(keys[one], keys[other]), axis=0)) == 200 * 200


def test_ratio_interval_covers() -> None:
    """About 95 of 100 intervals hold the true ratio."""
    rng = np.random.default_rng(1)
    train, test = rng.binomial(20_000, 0.06, size=2_000), rng.binomial(1_000, 0.04, size=2_000)
    held = []
    for a, b in zip(train.tolist(), test.tolist(), strict=True):
        low, high = ratio_interval((a, b), (20_000, 1_000))
        held.append(low <= 1.5 <= high)
        assert low < (a / 20_000) / (b / 1_000) < high
    assert abs(np.mean(held) - 0.95) < norm.ppf(0.9999) * np.sqrt(0.95 * 0.05 / 2_000)
    assert ratio_interval((0, 3), (10, 10)) is ratio_interval((3, 0), (10, 10)) is None
    assert ratio_interval((3, 0), (10, 0)) is None


def part(found: int, of: int) -> dict:
    return {"found": found, "of": of, "fraction": found / of if of else None}


@pytest.mark.parametrize(
    ("train", "test", "run", "words"),
    [
        ((500, 1000), (500, 1000), 2, "no sign of copying"),
        ((900, 1000), (300, 1000), 2, "3.00 times as often as held-out ones (2.7"),
        ((900, 1000), (300, 1000), 2, "more than a model that generalizes would"),
        ((300, 1000), (900, 1000), 2, "less than held-out ones"),
        ((300, 1000), (300, 1000), 250, "250 rows in a row repeat consecutive rows of mine: copied"),
        ((0, 1000), (0, 10), 0, "nothing of mine is repeated"),
        ((1, 1000), (0, 10), 1, "too few to tell: 1 of 1,000 train and 0 of 10 held-out"),
        ((1, 1000), (0, 0), 1, "too few to tell"),
        ((60, 1000), (9, 100), 1, "too few to tell: 60 of 1,000 train and 9 of 100"),
        ((60, 1000), (10, 100), 1, "no sign of copying"),
        ((900, 1000), (3, 100), 1, "more than a model"),
    ],
)
def test_verdicts(train: tuple[int, int], test: tuple[int, int], run: int, words: str) -> None:
    entry = memorization(part(*train), part(*test), run, "mine")
    assert words in entry["verdict"]
    assert entry["longest_run"] == run
    assert (entry["ratio"] is None) == (not test[0])
