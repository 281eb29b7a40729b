from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.composition.keys import KeySet
from matgen.sampling.block import SampleBlock
from matgen.sampling.collect import BUDGET, EXHAUSTED, REACHED, Collector

NAMES = ["NaCl", "KCl", "NaBr", "KBr", "LiF", "NaF", "KF", "LiCl", "MgO", "CaO"]
KEYS = CompositionBatch.from_formulas(NAMES).keys()


def block(number: int, places: list[int], drawn: int | None = None) -> SampleBlock:
    """A block of `NAMES` by place; -1 is an unfinished sequence."""
    finished = np.array([place >= 0 for place in places], dtype=bool)
    keys = np.where(finished[:, None], KEYS[places], np.uint64(0)) if places else np.zeros((0, 2), dtype=np.uint64)
    return SampleBlock(
        number,
        len(places) if drawn is None else drawn,
        int((~finished).sum()),
        np.array([NAMES[place] if place >= 0 else "Na …" for place in places], dtype=object),
        np.where(finished, -1.0, np.nan),
        finished,
        keys,
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(-1, 9), max_size=12), min_size=1, max_size=6),
    st.integers(1, 25),
    st.booleans(),
    st.sets(st.integers(0, 9), max_size=5),
)
def test_what_is_kept_is_what_a_loop_would_keep(blocks: list[list[int]], n: int, unique: bool, known: set[int]) -> None:
    novel_to = KeySet(KEYS[sorted(known)]) if known else None
    collector = Collector(n, unique=unique, novel_to=novel_to)
    kept = [f for i, places in enumerate(blocks) for f in collector.take(block(i, places)).formulas]

    expected: list[str] = []
    seen: set[int] = set()
    for place in (place for places in blocks for place in places):
        if place < 0:
            if not unique and not known:
                expected.append("Na …")
            continue
        if unique and place in seen:
            continue
        seen.add(place)
        if place not in known:
            expected.append(NAMES[place])
    assert kept == expected[:n]
    assert collector.tally.kept == len(kept)
    assert collector.tally.drawn == sum(map(len, blocks))
    assert (collector.stopped == REACHED) == (len(expected) >= n)


def test_why_drawing_stops() -> None:
    collector = Collector(5, unique=True, most_draws=6)
    collector.take(block(0, [0, 0, 1]))
    assert collector.stopped is None
    collector.take(block(1, [1, 1, 2]))
    assert collector.stopped == BUDGET
    exhausted = Collector(9, unique=True, novel_to=KeySet(KEYS[:1]), existing=3)
    exhausted.take(block(0, [0, 1, 0]))
    assert exhausted.stopped is None
    exhausted.take(block(1, [2, 2]))
    assert exhausted.stopped == EXHAUSTED
    assert exhausted.numbers() == {"drawn": 5, "unfinished": 0, "refused": 0, "repeated": 2, "known": 1, "kept": 2}


def test_what_the_filter_of_a_block_refused_is_counted() -> None:
    collector = Collector(100)
    collector.take(block(0, [0, 1, 2], drawn=10))
    assert collector.tally.refused == 7
