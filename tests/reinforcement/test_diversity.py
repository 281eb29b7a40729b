from __future__ import annotations

import numpy as np

from matgen.composition.batch import CompositionBatch
from matgen.reinforcement.diversity import WINDOW, Diversity


def test_repeats_and_crowded_systems_are_counted_over_the_window() -> None:
    batches = [["NaCl", "NaCl", "Na2Cl", "KF"], ["NaCl", "KF2", "LiF"], ["Na2Cl", "Na3Cl"]]
    diversity = Diversity(0.5)
    seen: list[tuple[str, frozenset[str]]] = []
    for formulas in batches:
        drawn = [(one, frozenset("".join(c for c in one if not c.isdigit()))) for one in formulas]
        seen += drawn
        expected = []
        for formula, system in drawn:
            repeats = sum(other == formula for other, _ in seen) - 1
            crowd = sum(other == system for _, other in seen) - repeats - 1
            expected.append((1 + 0.5 * repeats) * (1 + 0.5 * crowd) ** 0.5)
        np.testing.assert_allclose(diversity.divisor(CompositionBatch.from_formulas(formulas)), expected)


def test_what_is_remembered_comes_back_and_goes_after_the_window() -> None:
    one, other, off = Diversity(1.0), Diversity(1.0), Diversity(0.0)
    salt, empty = CompositionBatch.from_formulas(["NaCl"]), CompositionBatch.from_formulas(["NaCl"])[:0]
    other.restore(one.tensors())
    assert one.divisor(salt).tolist() == other.divisor(salt).tolist() == off.divisor(salt).tolist() == [1]
    assert one.divisor(empty).tolist() == []
    other = Diversity(1.0)
    other.restore(one.tensors())
    assert one.divisor(salt).tolist() == other.divisor(salt).tolist() == [2]
    assert off.divisor(salt).tolist() == [1]
    for _ in range(WINDOW):
        one.divisor(empty)
    assert one.divisor(salt).tolist() == [1]
