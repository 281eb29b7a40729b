"""The most frequent chemical systems where not all of them can be counted."""

from __future__ import annotations

from collections import Counter

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.evaluation.systems import FIELDS, SystemCounts, SystemSketch, system_codes

from .test_oracle import random_compositions


def test_the_fullest_buckets_hold_the_most_frequent_systems() -> None:
    """Followed: 60 buckets of 1,024, in which 500 rare systems and 40 frequent ones meet."""
    rare = CompositionBatch.from_formulas(random_compositions(900, 3))
    rng = np.random.default_rng(2)
    frequent = CompositionBatch.from_formulas(random_compositions(40, 4))
    drawn = frequent[rng.integers(0, 40, size=4_000)]
    batch = CompositionBatch.concatenate([rare, drawn])[rng.permutation(4_900)]
    codes = system_codes(batch)
    sketch = SystemSketch(bucket_bits=10, tracked=60)
    for start in range(0, len(batch), 777):
        sketch.add(codes[start : start + 777])
    assert sketch.buckets.sum() == len(batch)
    followed = sketch.fullest()
    assert followed.sum() == 60
    assert sketch.buckets[followed].min() >= sketch.buckets[~followed].max()
    counts = SystemCounts(followed)
    flags = rng.random((len(batch), 4)) < 0.5
    flags[:, 0] = True
    for start in range(0, len(batch), 333):
        rows = slice(start, start + 333)
        counts.add(batch[rows], codes[rows], flags[rows])
    names = batch.chemical_systems()
    of_rows = Counter(names)
    wanted = sorted(of_rows, key=lambda name: (-of_rows[name], name))[:30]
    top_codes, top = counts.top(30)
    assert [entry["chemical_system"] for entry in top] == wanted
    for code, entry in zip(top_codes, top, strict=True):
        of_system = names == entry["chemical_system"]
        assert (codes[of_system] == code).all()
        assert [entry[field] for field in FIELDS] == flags[of_system].sum(axis=0).tolist()


def test_few_systems_are_all_followed() -> None:
    sketch = SystemSketch(bucket_bits=10, tracked=60)
    codes = system_codes(CompositionBatch.from_formulas(["NaCl", "Na2Cl3", "KCl"]))
    sketch.add(codes)
    assert sketch.fullest().sum() == len(set(codes.tolist())) == 2
    assert SystemCounts(sketch.fullest()).top()[1] == []
