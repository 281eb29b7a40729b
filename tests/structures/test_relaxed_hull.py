from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from matgen.composition.batch import CompositionBatch
from matgen.hull import CompetingPhases
from matgen.structures.energies import hull_energies, mp2020_phases
from matgen.structures.relaxed_hull import RelaxedHull

NAMES = ["Li2O", "LiFeO2", "Fe2O3", "FeO", "Fe3O4", "Li5FeO4", "LiFe5O8", "LiO2", "FeO2", "LiFe", "Li3FeO3"]
ELEMENTS = ["Li", "Fe", "O"]
AT = ["Li2FeO3", "LiFe2O4", "Fe4O5", "LiFeO2", "Li3O", "LiFeO"]


def phases(energy: np.ndarray) -> CompetingPhases:
    return CompetingPhases(CompositionBatch.from_formulas(NAMES), energy, "made up")


def by_pymatgen(energies: dict[str, float], formula: str, own: bool) -> float:
    """Hull energy at a formula, formation energies against the given elements' zero."""
    taken = {name: e for name, e in energies.items() if own or name != formula}
    diagram = PhaseDiagram([PDEntry(Composition(n), e * Composition(n).num_atoms) for n, e in taken.items()])
    return float(diagram.get_hull_energy_per_atom(Composition(formula)))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-2, 0.1), min_size=len(NAMES), max_size=len(NAMES)),
    st.lists(st.floats(-0.049, 0.049), min_size=len(NAMES) + 3, max_size=len(NAMES) + 3),
    st.booleans(),
)
def test_as_if_all_phases_had_been_relaxed(labels: list[float], errors: list[float], own: bool) -> None:
    """Errors below the window: what is far from the plane cannot come under it, so that relaxing it changes nothing."""
    label = np.array(labels)
    said = dict(zip(ELEMENTS + NAMES, np.concatenate([np.zeros(3), label]) + np.array(errors), strict=True))
    asked: list[str] = []

    def energies_of(names: Sequence[str]) -> np.ndarray:
        asked.extend(names)
        return np.array([said[name] for name in names])

    hull = RelaxedHull(phases(label), energies_of, said)
    below = hull.below(CompositionBatch.from_formulas(AT), own=own)
    assert len(asked) == len(set(asked))
    expected = [by_pymatgen(said, formula, own) for formula in AT]
    assert below.decomposition.energy == pytest.approx(expected, abs=1e-6)
    assert (below.relaxed == below.phases).all() and (below.phases >= 1).all()


def test_without_structures_it_is_the_hull_of_labels() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "LiFePO4", "Li2KNaO2", "AlNi"])
    hull = RelaxedHull(mp2020_phases(), lambda names: np.full(len(names), np.nan), ())
    assert hull.below(batch).decomposition.energy == pytest.approx(hull_energies(batch), abs=1e-7)
    others = mp2020_phases().decompose(batch)
    below = hull.below(batch, own=False)
    assert below.decomposition.energy == pytest.approx(others.energy, abs=1e-7)
    assert (below.relaxed == 0).all()
    assert below.phases.tolist() == [int((others.owner == i).sum()) for i in range(len(batch))]


def test_labels_stay_where_there_is_no_energy() -> None:
    label = np.full(len(NAMES), 0.5)
    label[NAMES.index("Li2O")], label[NAMES.index("Fe2O3")] = -1.0, -0.8
    said = {"Li2O": -0.9, "Fe2O3": np.nan}
    hull = RelaxedHull(phases(label), lambda names: np.array([said[name] for name in names]), said)
    below = hull.below(CompositionBatch.from_formulas(["LiFeO2"]), own=False)
    # 0.5 Li2O + 0.5 Fe2O3, 1.5 and 2.5 atoms of 4
    assert below.decomposition.energy == pytest.approx([(1.5 * -0.9 + 2.5 * -0.8) / 4])
    assert (below.phases.tolist(), below.relaxed.tolist()) == ([2], [1])
    assert hull.phases.in_words(below.decomposition, 1) == ["0.62 Fe2O3 + 0.38 Li2O"]


def test_only_what_may_lie_below_is_relaxed() -> None:
    label = np.full(len(NAMES), 0.5)
    label[NAMES.index("Li2O")], label[NAMES.index("LiO2")], label[NAMES.index("Fe2O3")] = -1.0, -0.4, -0.8
    asked: list[str] = []

    def energies_of(names: Sequence[str]) -> np.ndarray:
        asked.extend(names)
        return np.array([label[NAMES.index(name)] for name in names])

    RelaxedHull(phases(label), energies_of, NAMES).below(CompositionBatch.from_formulas(["Li3O"]))
    assert asked == ["Li2O"]  # Fe2O3 is of another chemical system, LiO2 0.27 above the line from Li2O to O


def test_what_relaxing_brings_near_is_relaxed_too() -> None:
    label = np.full(len(NAMES), 0.5)
    label[NAMES.index("Li2O")], label[NAMES.index("LiO2")] = -1.0, -0.4
    said = {"Li2O": -0.5, "LiO2": -0.6}
    hull = RelaxedHull(phases(label), lambda names: np.array([said[name] for name in names]), said)
    below = hull.below(CompositionBatch.from_formulas(["LiO"]), own=False)
    expected = by_pymatgen({"Li": 0.0, "Fe": 0.0, "O": 0.0, **said}, "LiO", False)
    assert below.decomposition.energy == pytest.approx([expected])
    assert below.relaxed.tolist() == [2]


def test_elements_without_a_hull_have_no_distance() -> None:
    hull = RelaxedHull(mp2020_phases(), lambda names: np.zeros(len(names)), ())
    below = hull.below(CompositionBatch.from_formulas(["XeF2", "NaCl"]))
    assert np.isnan(below.decomposition.energy[0]) and below.phases.tolist() == [0, 1]
    assert "Xe" in below.decomposition.lacking[0]
