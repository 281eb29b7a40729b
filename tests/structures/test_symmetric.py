from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from matgen.errors import StructureError
from matgen.structures.symmetric import ClosingsOfFormula, symmetric_structures
from matgen.structures.volume import composition_volume

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
    for one in made:
        structure, group = one.structure, int(one.closing.split()[2].rstrip(","))
        assert 0 < one.probability <= 1
        assert structure.composition.reduced_composition == Composition(counts).reduced_composition
        assert len(structure) <= 24
        units = len(structure) / sum(counts.values())
        assert structure.volume == pytest.approx(units * composition_volume(counts), rel=1e-6)
        assert 1 <= group <= 230
        assert SpacegroupAnalyzer(structure, symprec=0.01).get_crystal_system() in HIGHER[crystal_system(group)]


def test_the_same_seed_gives_the_same() -> None:
    def made(seed: int, counts: dict[str, int]) -> list[dict]:
        np.random.seed(seed * 7 + 1)  # noqa: NPY002 (whatever the global generator holds)
        return [one.structure.as_dict() for one in symmetric_structures(counts, 3, max_atoms=30, seed=seed)]

    assert made(0, {"Na": 1, "Cl": 1}) == made(0, {"Na": 1, "Cl": 1})
    assert made(0, {"Na": 1, "Cl": 1}) != made(1, {"Na": 1, "Cl": 1})
    assert made(0, {"K": 1, "Br": 1})[0]["lattice"] != made(0, {"Na": 1, "Cl": 1})[0]["lattice"]


def test_too_many_atoms() -> None:
    with pytest.raises(StructureError, match="its 41 atoms are more than the 40 a primitive cell may have"):
        symmetric_structures({"Na": 41}, 1, max_atoms=40)


def test_chosen_space_groups() -> None:
    made = symmetric_structures({"Na": 1, "Cl": 1}, 3, max_atoms=16, space_groups=(225, 221))
    assert made
    assert {one.closing.split(",")[0] for one in made} <= {"space group 225", "space group 221"}
    with pytest.raises(StructureError, match="no space group asked for can hold its 7 atoms in at most 8"):
        symmetric_structures({"Na": 3, "Cl": 4}, 1, max_atoms=8, space_groups=(230,))


def test_probabilities_of_all_closings_sum_to_one() -> None:
    closings = ClosingsOfFormula((1, 1), (0, 1), 2, (221, 225))
    generator = np.random.default_rng(0)
    drawn = {(placement, of_cell.group.number): p for of_cell, placement, p in
             (closings.sample(generator) for _ in range(400))}  # fmt: skip
    assert sum(drawn.values()) == pytest.approx(1)
    assert len(drawn) == 4  # sodium on a or b of either group


@pytest.mark.parametrize("formula", ["Sr2CaNdTiNbO9", "LiNaKRbCsFO2"])
def test_five_to_seven_elements(formula: str) -> None:
    counts = {symbol: int(n) for symbol, n in Composition(formula).as_dict().items()}
    (one,) = symmetric_structures(counts, 1, max_atoms=40)
    assert one.structure.composition.reduced_composition == Composition(formula).reduced_composition
    assert one.structure.is_valid(tol=1.0)
