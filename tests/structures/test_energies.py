from __future__ import annotations

import warnings

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.entries.compatibility import MaterialsProject2020Compatibility, MaterialsProjectCompatibility
from pymatgen.entries.computed_entries import ComputedEntry, ComputedStructureEntry
from pymatgen.io.vasp.sets import MPRelaxSet

from matgen.composition.batch import CompositionBatch
from matgen.composition.elements import SYMBOLS
from matgen.datasets import load_dataset
from matgen.datasets.labels import labeled_phases
from matgen.structures.energies import (
    anion_class,
    anion_mask,
    element_energies,
    formation_energies,
    hull_energies,
    missing_energies,
    mp2020_correction,
    mp2020_minus_legacy,
    mp2020_phases,
    oxide_type,
)

FAMILIES = {
    "oxides": "Li2O MgO CaTiO3 Al2O3 CaCO3 Na2SO4 KNO2 NaNO3 BaPbO3 CO2",
    "sulfides": "Na2S ZnS MoS2 FeS2 La2O2S CuInS2",
    "nitrides": "Li3N GaN Si3N4 TiN",
    "halides": "NaCl KBr CsI CaF2 CsPbI3 K2PtCl6 BiTeI SiCl4 PuF3",
    "hydrides": "NaH LiAlH4 MgH2 TiH2",
    "hydrogen, nitrogen and halogens as cations": "NaOH H2O HF HCl NH4Cl NCl3 ClF3 KClO4",
    "oxides and fluorides with +U": "Fe2O3 FeO LiCoO2 MnF2 FeF3 NiO BaFeO3 LiFePO4 Cr2O3 VO2 WO3 MoO3 MnOF MoOF4 FeHO2",
    "other anions": "CaSe ZnTe Mg2Si InSb BiOCl LaOF",
    "intermetallics": "NiAl Fe3Al CuZn Nb3Sn LaNi5 Fe",
}
NEW, OLD = MaterialsProject2020Compatibility(), MaterialsProjectCompatibility()


def entry(formula: str, energy: float) -> ComputedEntry:
    """What a calculation with the Materials Project's settings would have left."""
    composition = Composition(formula)
    elements = sorted(composition.elements, key=lambda element: element.X)
    settings = MPRelaxSet.CONFIG["INCAR"]["LDAUU"].get(elements[-1].symbol, {}) if len(elements) > 1 else {}
    hubbards = {e.symbol: settings[e.symbol] for e in elements if settings.get(e.symbol)}
    sulfate = "S" in composition and any(e.X > 3 for e in elements) and formula != "La2O2S"
    return ComputedEntry(
        composition,
        energy,
        parameters={
            "run_type": "GGA+U" if hubbards else "GGA",
            "hubbards": hubbards,
            "potcar_symbols": [f"PBE {MPRelaxSet.CONFIG['POTCAR'][e.symbol]}" for e in composition.elements],
        },
        data={"oxide_type": "oxide", "sulfide_type": "sulfate" if sulfate else "sulfide"},
    )


def by_pymatgen(formula: str) -> float:
    """New formation energy minus old one: the scheme of 2020 corrects compounds, the first one some elements too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new, old = (scheme.process_entry(entry(formula, -10.0)).correction for scheme in (NEW, OLD))
        composition = Composition(formula)
        for element, count in composition.items():
            pair = entry(f"{element.symbol}2", 2 * element_energies().get(element.symbol, -1.0))
            old -= count * OLD.process_entry(pair, inplace=False).correction / 2
            assert NEW.process_entry(pair, inplace=False).correction == 0
    return (new - old) / composition.num_atoms


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shift_of_labels_is_the_difference_of_the_schemes(family: str) -> None:
    formulas = FAMILIES[family].split()
    found = mp2020_minus_legacy(CompositionBatch.from_formulas(formulas))
    expected = [0.0 if len(Composition(formula)) == 1 else by_pymatgen(formula) for formula in formulas]
    assert found == pytest.approx(expected, abs=1e-4)
    if family == "intermetallics":
        assert (found == 0).all()
    else:
        assert (found != 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_corrections_of_2020(family: str) -> None:
    formulas = FAMILIES[family].split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [NEW.process_entry(entry(text, -10.0)).correction / Composition(text).num_atoms for text in formulas]
    assert mp2020_correction(CompositionBatch.from_formulas(formulas)) == pytest.approx(expected, abs=1e-4)


def test_nearly_all_known_compounds_are_shifted_as_by_pymatgen() -> None:
    # where they differ, its guess of oxidation states fails and it corrects the most electronegative element alone
    dataset = load_dataset("hybrid")
    labeled = np.flatnonzero(
        np.isfinite(dataset.frame["formation_energy_mp_min"])
        & (dataset.batch.n_elements > 1)
        & (dataset.batch.n_atoms <= 20)
        & ~(dataset.batch.elements == 16).any(axis=1)  # sulfides are told from sulfates by their structure
    )
    batch = dataset.batch[np.random.default_rng(0).choice(labeled, 150, replace=False)]
    found = mp2020_minus_legacy(batch)
    expected = np.array([by_pymatgen(formula) for formula in batch.formulas()])
    assert (np.abs(found - expected) < 1e-4).mean() > 0.94


def test_peroxides_are_taken_as_oxides() -> None:
    (found,) = mp2020_minus_legacy(CompositionBatch.from_formulas(["Li2O2"]))
    peroxide = entry("Li2O2", -10.0)
    peroxide.data["oxide_type"] = "peroxide"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new, old = (scheme.process_entry(peroxide, inplace=False).correction for scheme in (NEW, OLD))
    assert abs(found - (new - old) / 4) < 0.01


def dumbbells(metal: str, a: float, c: float, z: float) -> Structure:
    """The tetragonal structure of BaO2 and KO2, with pairs of oxygen atoms along c."""
    return Structure.from_spacegroup("I4/mmm", Lattice.tetragonal(a, c), [metal, "O"], [[0, 0, 0], [0, 0, z]])


CRYSTALS = {
    "superoxide": dumbbells("K", 4.03, 6.70, 0.095),
    "peroxide": dumbbells("Ba", 3.81, 6.84, 0.109),
    "oxide": Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.74, 3.19), ["Sn", "O"], [[0, 0, 0], [0.306, 0.306, 0]]
    ),
    "peroxide of zinc": Structure.from_spacegroup("Pa-3", Lattice.cubic(4.87), ["Zn", "O"], [[0, 0, 0], [0.413] * 3]),
}


@pytest.mark.parametrize("kind", CRYSTALS)
def test_oxygen_is_corrected_as_the_structure_has_it(kind: str) -> None:
    structure = CRYSTALS[kind]
    assert oxide_type(structure) == kind.split()[0]
    batch = CompositionBatch.from_formulas([structure.composition.reduced_formula])
    parameters = entry(str(batch.formulas()[0]), -10.0).parameters
    of_pymatgen = ComputedStructureEntry(structure, -10.0, parameters=parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = NEW.process_entry(of_pymatgen).correction / len(structure)
    assert mp2020_correction(batch, [oxide_type(structure)])[0] == pytest.approx(expected, abs=1e-4)
    if kind != "peroxide of zinc":  # which no formula says
        assert mp2020_correction(batch)[0] == pytest.approx(expected, abs=1e-4)


def test_why_energies_are_missing() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "XeF2", "AtCl", "FmO"])
    reasons = missing_energies(batch)
    assert reasons[0] == ""
    assert reasons[1] == "no compound of Xe is on the hull (mp2020)"
    assert reasons[3] == "the Materials Project's energy of Fm is not known"
    energy = formation_energies(batch, np.full(4, -3.0)) - hull_energies(batch)
    assert [bool(np.isnan(value)) for value in energy] == [bool(reason) for reason in reasons]


def test_formation_energy_by_hand() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "Na2Cl2", "Fe2O3"])
    energy = np.array([-3.4, -3.4, -6.7])
    sodium, chlorine, iron, oxygen = -1.3225, -1.8485, -8.4700, -4.9480  # the Materials Project's, eV/atom
    salt = -3.4 - (sodium + chlorine) / 2
    assert formation_energies(batch, energy) == pytest.approx(
        [salt, salt, -6.7 - (2 * iron + 3 * oxygen) / 5], abs=1e-3
    )
    assert np.isnan(formation_energies(CompositionBatch.from_formulas(["FmO"]), np.array([-1.0]))[0])


def test_chgnets_elements_have_energies() -> None:
    from matgen.structures.potentials.chgnet import BatchedCHGNet

    lacking = BatchedCHGNet.elements - set(element_energies())
    assert lacking <= {"Po", "At", "Rn", "Fr", "Ra", "Yb"}  # the Materials Project withdrew its Yb


def test_phases_carry_the_shift() -> None:
    old, new = labeled_phases("mp"), mp2020_phases()
    assert new.source == "mp2020"
    assert len(new) == len(old)
    shift = mp2020_minus_legacy(old.batch)
    before = dict(zip(old.batch.formulas().tolist(), old.energy, strict=True))
    after = dict(zip(new.batch.formulas().tolist(), new.energy, strict=True))
    rows = np.random.default_rng(0).choice(len(old), 200, replace=False)
    for row in rows:
        formula = old.batch[[row]].formulas()[0]
        assert after[formula] == pytest.approx(before[formula] + shift[row])
    # the corrections of 2020 are known to lift sulfides and to lower bromides
    assert after["ZnS"] > before["ZnS"]
    assert after["KBr"] < before["KBr"]


def test_anions() -> None:
    batch = CompositionBatch.from_formulas(["NaCl", "LiFePO4", "LaOF", "NH4Cl", "BaTiS3", "NiAl", "Fe"])
    found = [set(SYMBOLS[row[mask]]) for row, mask in zip(batch.elements, anion_mask(batch), strict=True)]
    assert found[:5] == [{"Cl"}, {"O"}, {"O", "F"}, {"N", "Cl"}, {"S"}]
    assert anion_class(batch).tolist() == ["Cl", "O", "F", "Cl", "S", "none", "none"]


def test_a_known_composition_is_set_against_its_own_label_too() -> None:
    phases = mp2020_phases()
    batch = CompositionBatch.from_formulas(["NaCl", "MgO", "Li2KNaO2", "NaCl3"])
    known = [phases.energy[phases.batch.formulas() == formula] for formula in batch.formulas()]
    found, without = hull_energies(batch), phases.decompose(batch).energy
    assert len(known[2]) == 0 and found[2] == without[2]
    for row in (0, 1):  # stable: the hull is their own label
        assert found[row] == known[row][0] < without[row]
    assert found[3] == min([without[3], *known[3]])
