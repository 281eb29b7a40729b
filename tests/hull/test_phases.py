from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PhaseDiagram
from pymatgen.core import Composition, Element
from pymatgen.entries.computed_entries import ComputedEntry, ConstantEnergyAdjustment

from benchmarks.hull import by_pymatgen
from matgen.composition.batch import CompositionBatch
from matgen.datasets import load_dataset
from matgen.datasets.labels import SOURCES, labeled_phases, phases_of_table
from matgen.errors import DataError, MatgenWarning, OptionError
from matgen.hull import CompetingPhases
from matgen.runtime.unreadable import allowing_unreadable


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_agrees_with_phase_diagrams_of_known_compounds(source: str) -> None:
    phases = labeled_phases(source)
    dataset = load_dataset("hybrid")
    labeled = np.flatnonzero(np.isfinite(dataset.frame[SOURCES[source]]) & (dataset.batch.n_elements <= 5))
    chosen = dataset.batch[np.random.default_rng(0).choice(labeled, 60, replace=False)]
    found = phases.decompose(chosen)
    words = phases.in_words(found, len(chosen))
    for i, formula in enumerate(chosen.formulas()):
        energy, parts = by_pymatgen(formula, phases)
        assert found.energy[i] == pytest.approx(energy, abs=1e-6), formula
        mine = found.owner == i
        assert found.fraction[mine].sum() == pytest.approx(1)
        if len(parts) == mine.sum():  # ties may be mixed in many ways
            names = {Composition(part.split(" ")[1]).reduced_formula for part in words[i].split(" + ")}
            assert names == set(parts), formula


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_agrees_with_pymatgen_on_invented_systems(data: st.DataObject) -> None:
    elements = ["Li", "Fe", "O", "F"][: data.draw(st.integers(2, 4))]
    counts = st.lists(st.integers(0, 4), min_size=len(elements), max_size=len(elements)).filter(
        lambda row: sum(n > 0 for n in row) > 1
    )
    rows = data.draw(st.lists(counts, min_size=1, max_size=8))
    energies = data.draw(st.lists(st.floats(-3, 0.5), min_size=len(rows), max_size=len(rows)))
    formulas = ["".join(f"{e}{n}" for e, n in zip(elements, row, strict=True) if n) for row in rows]
    phases = CompetingPhases(CompositionBatch.from_formulas(formulas), np.array(energies), "invented")
    target = data.draw(counts)
    formula = "".join(f"{e}{n}" for e, n in zip(elements, target, strict=True) if n)
    found = phases.decompose(CompositionBatch.from_formulas([formula]))
    assert found.energy[0] == pytest.approx(by_pymatgen(formula, phases)[0], abs=1e-7)


def test_products_make_up_the_composition_and_its_energy() -> None:
    phases = labeled_phases("oqmd")
    batch = CompositionBatch.from_formulas(["LiFePO4", "Na2SO4", "SrTiO3", "CsPbI3", "NaCl"])
    found = phases.decompose(batch)
    for i in range(len(batch)):
        atoms = np.zeros(119)
        energy = 0.0
        for product, share in zip(found.product[found.owner == i], found.fraction[found.owner == i], strict=True):
            if product < 0:
                atoms[-product] += share
                continue
            z, n = phases.batch.elements[product], phases.batch.counts[product]
            np.add.at(atoms, z, share * n / n.sum())
            energy += share * phases.energy[product]
        expected = np.zeros(119)
        np.add.at(expected, batch.elements[i], batch.counts[i] / batch.counts[i].sum())
        assert atoms == pytest.approx(expected, abs=1e-7)
        assert energy == pytest.approx(found.energy[i], abs=1e-7)
        assert batch.formulas()[i] not in phases.in_words(found, len(batch))[i].split()


def test_nothing_competes_but_the_elements() -> None:
    phases = CompetingPhases(CompositionBatch.from_formulas(["NaCl"]), np.array([-2.0]), "one")
    batch = CompositionBatch.from_formulas(["NaCl", "KBr", "Na2Cl"])
    found = phases.decompose(batch)
    assert found.energy == pytest.approx([0.0, 0.0, -2.0 * 2 / 3])
    assert phases.in_words(found, 3)[1] in ("0.50 K + 0.50 Br", "0.50 Br + 0.50 K")
    empty = phases.decompose(batch[:0])
    assert len(empty.energy) == len(empty.owner) == 0


def test_the_lowest_label_counts_and_sources_are_not_mixed() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "NaCl", "KCl", "Fe"])
    phases = CompetingPhases(batch, np.array([-1.0, -2.0, np.nan, -9.0]), "x")
    assert phases.batch.formulas().tolist() == ["NaCl"]
    assert phases.energy.tolist() == [-2.0]
    frame = load_dataset("hybrid").frame
    for source, column in SOURCES.items():
        assert len(labeled_phases(source)) <= frame[column].notna().sum()
        assert labeled_phases(source) is labeled_phases(source)
    with pytest.raises(OptionError, match="unknown source 'icsd'; known: oqmd, mp"):
        labeled_phases("icsd")


def test_entries_of_a_user(tmp_path: Path) -> None:
    entries = [
        ComputedEntry("Li", -1.9),
        ComputedEntry("Li", -1.8),
        ComputedEntry("O2", -9.8),
        ComputedEntry("Li2O", -14.3),
        ComputedEntry("Li4O2", -28.4),
    ]
    path = tmp_path / "entries.json"
    path.write_text(json.dumps([entry.as_dict() for entry in entries], default=str))
    phases = CompetingPhases.from_entries(path)
    assert phases.batch.formulas().tolist() == ["Li2O"]
    assert phases.energy[0] == pytest.approx((-14.3 + 2 * 1.9 + 4.9) / 3)
    diagram = PhaseDiagram([ComputedEntry(entry.composition, entry.energy) for entry in entries])
    stable = next(entry for entry in diagram.stable_entries if not entry.is_element)
    assert phases.energy[0] == pytest.approx(diagram.get_form_energy_per_atom(stable))
    assert Element("O") in diagram.elements
    path.write_text(json.dumps([entries[0].as_dict(), entries[3].as_dict()], default=str))
    with pytest.raises(DataError, match="has no entry of the element O: add one"):
        CompetingPhases.from_entries(path)
    some = [one.as_dict() for one in entries]
    path.write_text(json.dumps([*some, {"energy": 1.0}], default=str))
    with pytest.warns(MatgenWarning, match="1 of 6 rows of .* could not be read, the first: entry 6: no 'correction'"):
        assert CompetingPhases.from_entries(path).batch.formulas().tolist() == ["Li2O"]
    path.write_text(json.dumps([*some, 1, 2], default=str))
    with pytest.raises(DataError, match="2 of 7 rows"):
        CompetingPhases.from_entries(path)
    path.write_text("[1, 2]")
    with pytest.raises(DataError, match="not a JSON list of pymatgen ComputedEntry"):
        CompetingPhases.from_entries(path)


def entry(formula: str, energy: float, run_type: str | None, correction: float = 0.0) -> dict:
    parameters = {} if run_type is None else {"run_type": run_type}
    return ComputedEntry(formula, energy, correction=correction, parameters=parameters).as_dict()


LI_O = [entry("Li", -1.9, "GGA"), entry("O2", -9.8, "GGA"), entry("Li2O", -14.3, "GGA")]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([entry("Li2O2", -19.0, "R2SCAN")], r"mixes functionals \(entries: 3 of PBE, 1 of r2SCAN\).*split the file"),
        ([entry("Li2O2", -19.0, None)], "1 of 4 entries have no run_type in their parameters, as Li2O2"),
        (
            [entry("Fe", -8.3, "GGA"), entry("Fe2O3", -33.0, "GGA+U")],
            "1 entries with U have no correction, such as Fe2O3, .* MaterialsProject2020Compatibility",
        ),
    ],
)
def test_functionals_are_not_mixed(others: list[dict], message: str, tmp_path: Path) -> None:
    path = tmp_path / "entries.json"
    path.write_text(json.dumps(LI_O + others, default=str))
    with pytest.raises(DataError, match=message):
        CompetingPhases.from_entries(path)


def test_corrected_entries_of_two_run_types_share_a_hull(tmp_path: Path) -> None:
    path = tmp_path / "entries.json"
    mixed = [entry("Fe", -8.3, "GGA"), entry("Fe2O3", -33.0, "GGA+U", correction=-4.5)]
    path.write_text(json.dumps(LI_O + mixed, default=str))
    assert len(CompetingPhases.from_entries(path)) == 2
    scheme = ComputedEntry(
        "Li2O2",
        -19.0,
        parameters={"run_type": "R2SCAN"},
        energy_adjustments=[ConstantEnergyAdjustment(0.5, name="MP GGA(+U)/r2SCAN mixing adjustment")],
    )
    path.write_text(json.dumps([*LI_O, scheme.as_dict()], default=str))
    assert CompetingPhases.from_entries(path).batch.formulas().tolist() == ["Li2O", "Li2O2"]


def test_no_distance_to_a_hull_without_an_element(tmp_path: Path) -> None:
    """NaCl does not lie 2 eV/atom below a Li-O hull: its competitors are missing."""
    path = tmp_path / "entries.json"
    path.write_text(json.dumps(LI_O, default=str))
    phases = CompetingPhases.from_entries(path)
    batch = CompositionBatch.from_formulas(["NaCl", "Li2O2", "LiCl"])
    decomposition = phases.decompose(batch)
    assert np.isnan(decomposition.energy).tolist() == [True, False, True]
    assert decomposition.lacking == {0: "Na, Cl", 2: "Cl"}
    texts = phases.in_words(decomposition, 3)
    assert texts[0] == f"not known: {path} has no energy of Na, Cl"
    assert texts[1] == "0.75 Li2O + 0.25 O"
    alone = phases.decompose(batch[:1])
    assert np.isnan(alone.energy).all() and not len(alone.owner)


def test_bundled_labels_know_no_radium_compounds() -> None:
    phases = labeled_phases("mp")
    decomposition = phases.decompose(CompositionBatch.from_formulas(["RaO", "XeF2", "BaO"]))
    assert np.isnan(decomposition.energy).tolist() == [True, True, False]


def test_formation_energies_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("formula,formation_energy\nNaCl,-2.0\nNa2Cl2,-2.1\nKCl,\nnonsense,1\n")
    with pytest.raises(DataError, match="1 of 4 rows of .* could not be read"):
        phases_of_table(path)
    with allowing_unreadable(), pytest.warns(MatgenWarning, match="1 of 4 rows"):
        phases = phases_of_table(path)
    assert phases.batch.formulas().tolist() == ["NaCl"]
    assert phases.energy.tolist() == [-2.1]  # the lowest of the same composition
    assert phases.source == str(path)
    with pytest.raises(OptionError, match="no column 'energy'"):
        phases_of_table(path, "energy")
    path.write_text("formula,formation_energy\nNaCl,\n")
    with pytest.raises((DataError, OptionError), match="number|text"):
        phases_of_table(path)
    with pytest.raises(DataError, match="matgen data build materials-project"):
        phases_of_table("materials-project")


def test_a_composition_of_very_many_elements_is_done_too() -> None:
    """It has more subsets than there are chemical systems; what is found must be the same by either way."""
    phases = labeled_phases("oqmd")
    few = (3, 8, 15, 26)
    by_subsets = phases.phases_within(few)
    every = tuple(range(1, 60))
    mask = (phases.batch.elements <= 59).all(axis=1)
    assert sorted(phases.phases_within(every)) == np.flatnonzero(mask).tolist()
    inside = np.isin(phases.batch.elements, [0, *few]).all(axis=1)
    assert sorted(by_subsets) == np.flatnonzero(inside).tolist()
    formula = "".join(str(Element.from_Z(z)) for z in range(3, 53) if Element.from_Z(z).symbol not in ("Ne", "Ar"))
    found = phases.decompose(CompositionBatch.from_formulas([formula]))
    assert found.energy[0] < 0
    assert found.fraction.sum() == pytest.approx(1)


def test_energies_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("formula,formation_energy\nNaCl,-2\nMgO,\nTiO2,unknown\nSiO2,-3\n")
    with pytest.raises(DataError, match="mine.csv, row 3: 'unknown' in formation_energy is not a number"):
        phases_of_table(table)
    table.write_text("formula,energy\nNaCl,-2\n")
    with pytest.raises(OptionError, match="mine.csv has no column 'formation_energy'; its columns: formula, energy"):
        phases_of_table(table)
