from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matgen.composition.batch import CompositionBatch
from matgen.hull.systems import ChemicalSystems, bits_of


@given(st.lists(st.sets(st.integers(1, 118), max_size=8), min_size=1, max_size=20))
def test_bits_are_the_elements(sets: list[set[int]]) -> None:
    elements = np.zeros((len(sets), 8), dtype=np.uint8)
    for row, members in enumerate(sets):
        elements[row, : len(members)] = list(members)
    for (low, high), members in zip(bits_of(elements).tolist(), sets, strict=True):
        assert low + (high << 64) == sum(1 << z for z in members)


def test_phases_lie_by_system_lowest_first() -> None:
    batch = CompositionBatch.from_formulas(["Li2O", "NaCl", "Li2O2", "LiFeO2", "FeO", "LiO3"])
    energy = np.array([-2.0, -1.5, -1.8, -1.2, -1.3, 0.4])
    systems = ChemicalSystems(batch.elements, energy)
    assert len(systems.sets) == 4
    names = batch.formulas()[systems.order]
    assert names[systems.within(np.array([3, 8]))].tolist() == ["Li2O", "Li2O2", "LiO3"]
    assert sorted(names[systems.within(np.array([26, 8, 3]))]) == ["FeO", "Li2O", "Li2O2", "LiFeO2", "LiO3"]
    assert systems.within(np.array([11])).tolist() == []
    place = next(s for s in range(4) if names[systems.starts[s]] == "Li2O")
    assert systems.stops[place] - systems.starts[place] == 3
    assert systems.bound[place] - systems.starts[place] == 2  # LiO3 lies above its elements
