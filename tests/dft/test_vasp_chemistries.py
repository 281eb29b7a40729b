"""Inputs of VASP for many chemistries, read back by pymatgen: what belongs to which atom and to which species."""

from __future__ import annotations

import warnings
from pathlib import Path
from random import Random

import numpy as np
import pymatgen.core
import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.io.vasp import Incar, Kpoints, Poscar
from pymatgen.io.vasp.sets import MatPESRelaxSet, MatPESStaticSet, MPRelaxSet, MPStaticSet

from matgen.dft import vasp
from matgen.dft.settings import DFTSettings, Job

CHEMISTRIES: dict[str, dict[str, float]] = {
    # oxides with U, of one metal, of several, mixed-valent, and with other anions
    "Fe2O3": {"Fe": 5.3}, "NiO": {"Ni": 6.2}, "V2O5": {"V": 3.25}, "CrO2": {"Cr": 3.7}, "WO3": {"W": 6.2},
    "LiCoO2": {"Co": 3.32}, "SrMoO3": {"Mo": 4.38}, "LaMnO3": {"Mn": 3.9}, "GdFeO3": {"Fe": 5.3},
    "NiFe2O4": {"Ni": 6.2, "Fe": 5.3}, "Fe3O4": {"Fe": 5.3}, "Mn3O4": {"Mn": 3.9}, "CsW2O6": {"W": 6.2},
    "LiFePO4": {"Fe": 5.3}, "FeSO4": {"Fe": 5.3}, "La2Fe2Se2O3": {"Fe": 5.3}, "Co(OH)2": {"Co": 3.32},
    # fluorides with U, and an oxyfluoride
    "FeF3": {"Fe": 5.3}, "K2NiF4": {"Ni": 6.2}, "Rb2CoF4": {"Co": 3.32}, "CsMnF3": {"Mn": 3.9}, "MnOF": {"Mn": 3.9},
    # oxides and fluorides of metals without U; peroxide, superoxide
    "TiO2": {}, "CuO": {}, "BaBiO3": {}, "CeO2": {}, "Nd2O3": {}, "EuO": {}, "Yb2O3": {}, "YbF3": {}, "Na2O2": {},
    "KO2": {}, "XeF2": {},
    # other anions: no U
    "FeS2": {}, "NiS": {}, "MoS2": {}, "WS2": {}, "MnTe": {}, "CrN": {}, "FeCl2": {}, "CrBr3": {}, "Fe3C": {},
    # hydrides, elements, intermetallics of magnetic elements
    "NaAlH4": {}, "PdH": {}, "W": {}, "Cr": {}, "SmCo5": {}, "Fe3Al": {}, "MnBi": {}, "FeRh": {}, "YbNi2": {},
}  # fmt: skip
"""Formula to the U (eV) in the Materials Project's calculations (A. Jain et al., Phys. Rev. B 84, 045115, 2011)."""

MP_POTCARS = """
H Li_sv Na_pv K_sv Rb_sv Cs_sv Sr_sv Ba_sv Ti_pv V_pv Cr_pv Mn_pv Fe_pv Co Ni_pv Cu_pv Mo_pv W_pv Rh_pv Pd Al C N P Bi
O S Se Te F Cl Br Xe La Ce Nd_3 Sm_3 Eu Gd Yb_2
"""
MATPES_POTCARS = {"Ba": "Ba_sv_GW", "W": "W_sv", "Xe": "Xe_GW", "Nd": "Nd_h", "Sm": "Sm_h", "Yb": "Yb_h"}
"""Where MatPES (A. Kaplan et al., arXiv:2503.04070, 2025; PBE_64) chooses others."""

OWN_SETS = {("mp", "relax"): MPRelaxSet, ("mp", "static"): MPStaticSet, ("matpes", "relax"): MatPESRelaxSet,
            ("matpes", "static"): MatPESStaticSet}  # fmt: skip


@pytest.fixture(autouse=True)
def no_potcars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", None)


def atoms_of(formula: str) -> Structure:
    """Atoms of two formula units in an order that mixes elements, with a moment of its own for each atom."""
    symbols = [element.symbol for element, n in Composition(formula).items() for _ in range(2 * int(n))]
    Random(formula).shuffle(symbols)
    side = int(np.ceil(len(symbols) ** (1 / 3)))
    places = [(i // side**2, i // side % side, i % side) for i in range(len(symbols))]
    structure = Structure(Lattice.orthorhombic(2.5 * side, 2.6 * side, 2.7 * side), symbols, np.array(places) / side)
    moments = [round((-1) ** i * (0.5 + 0.25 * i), 2) for i in range(len(symbols))]
    structure.add_site_property("magmom", moments)
    return structure


def potcar(symbol: str, input_set: str) -> str:
    by_symbol = {name.split("_")[0]: name for name in MP_POTCARS.split()}
    return MATPES_POTCARS.get(symbol, by_symbol[symbol]) if input_set == "matpes" else by_symbol[symbol]


@pytest.mark.parametrize("formula", CHEMISTRIES)
@pytest.mark.parametrize("input_set", ["mp", "matpes"])
def test_each_atom_and_species_has_its_own(formula: str, input_set: str) -> None:
    for calculation in ("static", "relax"):
        structure, folder = atoms_of(formula), Path(calculation)
        remarks = vasp.write(Job("a", structure, "candidate"), folder, DFTSettings(calculation, input_set=input_set))
        incar = Incar.from_file(folder / "INCAR")
        poscar = Poscar.from_file(folder / "POSCAR", check_for_potcar=False)
        assert len(set(poscar.site_symbols)) == len(poscar.site_symbols)  # each element once, in one block
        assert poscar.structure.composition == structure.composition

        assert len(incar["MAGMOM"]) == len(structure) and incar["ISPIN"] == 2
        for site, moment in zip(poscar.structure, incar["MAGMOM"], strict=True):
            (own,) = [other for other in structure if other.distance(site) < 0.01]
            assert own.specie == site.specie and own.properties["magmom"] == pytest.approx(moment, abs=1e-6)

        values = CHEMISTRIES[formula] if input_set == "mp" else {}
        if values:
            assert incar["LDAUU"] == [values.get(symbol, 0) for symbol in poscar.site_symbols]
            assert incar["LDAUL"] == [2 if symbol in values else 0 for symbol in poscar.site_symbols]
            assert incar["LDAUJ"] == [0] * len(poscar.site_symbols) and incar["LDAUTYPE"] == 2 and incar["LDAU"]
        else:
            assert not [key for key in incar if key.startswith("LDAU")]

        names = (folder / "POTCAR.spec").read_text().split()
        assert names == [potcar(symbol, input_set) for symbol in poscar.site_symbols]
        assert (names.count("Yb_2") > 0) == any(remark.startswith("Yb_2") for remark in remarks)
        assert (names.count("W_pv") > 0) == any(remark.startswith("W_pv") for remark in remarks)

        assert incar["ENCUT"] == (520 if input_set == "mp" else 680)
        assert (incar["NSW"] > 0) == (calculation == "relax")
        if input_set == "mp":
            mesh = Kpoints.from_file(folder / "KPOINTS").kpts[0]
            density = np.prod(mesh) / structure.lattice.reciprocal_lattice.volume
            assert density > 0.5 * (64 if calculation == "relax" else 100)  # of which the set names a grid density
            assert incar["ISMEAR"] != -5 or np.prod(mesh) >= 4  # tetrahedra need as many
        else:
            assert incar["KSPACING"] == 0.22 and not (folder / "KPOINTS").exists()


@pytest.mark.parametrize("formula", list(CHEMISTRIES)[::3])
@pytest.mark.parametrize(("input_set", "calculation"), OWN_SETS)
def test_files_are_those_of_pymatgens_own_set(formula: str, input_set: str, calculation: str) -> None:
    structure = atoms_of(formula)
    for moments in (True, False):
        if not moments:  # the set's own
            structure.remove_site_property("magmom")
        settings = DFTSettings(calculation, input_set=input_set)
        vasp.write(Job("a", structure, "candidate"), Path("a"), settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = OWN_SETS[input_set, calculation](structure).get_input_set(potcar_spec=True)
        incar = Incar.from_file("a/INCAR")
        assert incar == Incar.from_str(str(own["INCAR"]))
        assert len(incar["MAGMOM"]) == len(structure)
        assert Path("a/POSCAR").read_text() == str(own["POSCAR"])
        assert Path("a/POTCAR.spec").read_text().split() == own["POTCAR.spec"].split()
        if own["KPOINTS"] is not None:
            assert Path("a/KPOINTS").read_text() == str(own["KPOINTS"])


@pytest.mark.parametrize("formula", ["Fe2O3", "La2Fe2Se2O3", "MnBi"])
def test_what_is_magnetic_starts_with_the_moments_of_the_set(formula: str) -> None:
    structure = atoms_of(formula)
    structure.remove_site_property("magmom")
    vasp.write(Job("a", structure, "candidate"), Path("a"), DFTSettings())
    symbols = [site.specie.symbol for site in Poscar.from_file("a/POSCAR", check_for_potcar=False).structure]
    moments = Incar.from_file("a/INCAR")["MAGMOM"]
    assert moments == [5.0 if symbol in ("Fe", "Mn") else 0.6 for symbol in symbols]
