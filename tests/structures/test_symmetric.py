from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from matgen.errors import StructureError
from matgen.structures.symmetric import space_group_frequencies, symmetric_structures
from matgen.structures.volume import composition_volume


def test_frequencies() -> None:
    frequencies = space_group_frequencies()
    assert frequencies.shape == (230,)
    assert frequencies.sum() == pytest.approx(1)
    assert (frequencies >= 0).all()
    common = np.argsort(-frequencies)[:12] + 1
    assert {14, 62, 225} <= set(common.tolist())  # P2_1/c, Pnma and Fm-3m are common everywhere


SYSTEMS = ["triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"]


def crystal_system(group: int) -> str:
    return SYSTEMS[int(np.searchsorted([2, 15, 74, 142, 167, 194, 230], group))]


HIGHER = {system: SYSTEMS[place:] for place, system in enumerate(SYSTEMS)} | {
    "tetragonal": ["tetragonal", "cubic"],
    "trigonal": ["trigonal", "hexagonal", "cubic"],
}
"""What else a random structure may turn out to be."""


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["Na", "Fe", "Ti", "O", "Cl"]), st.integers(1, 3), min_size=1, max_size=3),
    st.integers(0, 5),
)
def test_compositions_and_volumes(counts: dict[str, int], seed: int) -> None:
    made = symmetric_structures(counts, 2, max_atoms=24, seed=seed)
    assert 1 <= len(made) <= 2
    for structure, group in made:
        assert structure.composition.reduced_composition == Composition(counts).reduced_composition
        assert len(structure) <= 24
        units = len(structure) / sum(counts.values())
        assert structure.volume == pytest.approx(units * composition_volume(counts), rel=1e-6)
        assert 1 <= group <= 230
        assert SpacegroupAnalyzer(structure, symprec=0.01).get_crystal_system() in HIGHER[crystal_system(group)]


def test_the_same_seed_gives_the_same() -> None:
    def made(seed: int, counts: dict[str, int]) -> list[dict]:
        np.random.seed(seed * 7 + 1)  # noqa: NPY002 (whatever the global generator holds)
        return [structure.as_dict() for structure, _ in symmetric_structures(counts, 3, max_atoms=30, seed=seed)]

    assert made(0, {"Na": 1, "Cl": 1}) == made(0, {"Na": 1, "Cl": 1})
    assert made(0, {"Na": 1, "Cl": 1}) != made(1, {"Na": 1, "Cl": 1})
    assert made(0, {"K": 1, "Br": 1})[0]["lattice"] != made(0, {"Na": 1, "Cl": 1})[0]["lattice"]


def test_too_many_atoms() -> None:
    with pytest.raises(StructureError, match="its 41 atoms are more than the 40 a random structure may have"):
        symmetric_structures({"Na": 41}, 1, max_atoms=40)
