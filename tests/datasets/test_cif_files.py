"""Formulas of CIFs, against what pymatgen's whole structures say, and of files as databases write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.io.cif import CifWriter

from matgen.datasets.cif_files import CifEntry, cif_paths, entries_of_cif
from matgen.errors import DataError

SITES = """_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""
FULL = f"{SITES}Na1 Na+ 0 0 0 1\nCl1 Cl- 0.5 0.5 0.5 1.0\n"
MIXED = f"{SITES}Ca1 Ca2+ 0 0 0 0.5(1)\nSr1 Sr2+ 0 0 0 0.5(1)\nO1 O2- 0.5 0.5 0.5 1\n"


def read(tmp_path: Path, text: str) -> list[CifEntry]:
    path = tmp_path / "a.cif"
    path.write_text(text, encoding="utf-8")
    return [*entries_of_cif(path, "a.cif")]


@pytest.mark.parametrize(
    ("written", "formula"),
    [
        ("_chemical_formula_sum 'Sr1 Ti1 O3'", "Sr1 Ti1 O3"),
        ('_chemical_formula_sum   "O3 Sr Ti"', "O3 Sr Ti"),
        ("_chemical_formula_sum\n;\nSr Ti\nO3\n;", "Sr Ti O3"),
        ("_chemical_formula_sum\n'Sr Ti O3'", "Sr Ti O3"),
        ("_chemical_formula_sum NaCl", "NaCl"),
        ("_Chemical_Formula_Sum NaCl\n_chemical_formula_weight 58", "NaCl"),
        ("  _chemical_formula_sum 'Na Cl' # as found", "Na Cl"),
    ],
)
def test_sums_as_they_are_written(tmp_path: Path, written: str, formula: str) -> None:
    assert read(tmp_path, f"data_1\n_cell_length_a 4\n{written}\n_x y\n") == [CifEntry("a.cif", formula, partial=False)]


@pytest.mark.parametrize("unknown", ["?", ".", "''", "'?'"])
def test_a_sum_that_is_not_stated_is_that_of_the_sites(tmp_path: Path, unknown: str) -> None:
    (entry,) = read(tmp_path, f"data_x\n_chemical_formula_sum {unknown}\n{FULL}")
    assert Composition(entry.formula) == Composition("NaCl") and entry.partial is False
    (entry,) = read(tmp_path, f"data_x\n{MIXED}")
    assert Composition(entry.formula) == Composition("Ca0.5Sr0.5O") and entry.partial is True


def test_decimals_are_told_from_partial_occupation(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, f"data_x\n_chemical_formula_sum 'Ca0.5 Sr0.5 O1'\n{MIXED}")
    assert (entry.formula, entry.partial) == ("Ca0.5 Sr0.5 O1", True)
    (entry,) = read(tmp_path, f"data_x\n_chemical_formula_sum 'Na0.5 Cl0.5'\n{FULL}")
    assert entry.partial is False
    (entry,) = read(tmp_path, "data_x\n_chemical_formula_sum 'Na0.5 Cl0.5'\n")
    assert entry.partial is None
    (entry,) = read(tmp_path, "data_x\n_chemical_formula_sum 'Na0.5 Cl0.5'\nloop_\n_a\n_b\n1\n")  # a damaged loop
    assert (entry.formula, entry.partial) == ("Na0.5 Cl0.5", None)


def test_several_entries_of_a_file(tmp_path: Path) -> None:
    publication = "data_global\n_journal_name 'Acta'\n_publ_section_title\n;\nOn data_x\n;\n"
    entries = read(tmp_path, f"{publication}\ndata_1-ICSD\n_chemical_formula_sum NaCl\n#\ndata_2-ICSD\n{MIXED}")
    assert [entry.source for entry in entries] == ["a.cif:1-ICSD", "a.cif:2-ICSD"]
    assert entries[0].formula == "NaCl" and entries[1].partial


def test_what_pymatgen_writes_is_what_its_structures_hold(tmp_path: Path) -> None:
    for species in (["Na", "Cl"], [{"Ca": 0.25, "Sr": 0.75}, "O"], ["Fe", "S"]):
        structure = Structure(Lattice.cubic(4.2), species, [[0, 0, 0], [0.5, 0.5, 0.5]])
        (entry,) = read(tmp_path, str(CifWriter(structure)))
        assert Composition(entry.formula).almost_equals(structure.composition)
        assert entry.partial is (not structure.is_ordered)


def test_files_that_are_none(tmp_path: Path) -> None:
    assert [entry.reason for entry in read(tmp_path, "")] == ["no CIF: no data block"]
    assert [entry.reason for entry in read(tmp_path, "data_x\n_a b\n")] == ["no chemical formula and no sites"]
    (entry,) = read(tmp_path, "data_x\nloop_\n_atom_site_fract_x\n_atom_site_fract_y\n0.5\n")
    assert entry.reason.startswith("no chemical formula, and its sites cannot be read") and "\n" not in entry.reason
    (tmp_path / "a.cif").write_bytes(b"data_x\n_chemical_formula_sum NaCl\n_journal_name \xe9\xff\x00\n")
    assert [entry.formula for entry in entries_of_cif(tmp_path / "a.cif", "a")] == ["NaCl"]
    assert "cannot be read" in next(entries_of_cif(tmp_path / "none.cif", "none")).reason


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in ("1/00/1000000.cif", "b.CIF", "._b.cif", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("data_x")
    assert [str(path.relative_to(tmp_path)) for path in cif_paths(tmp_path)] == ["1/00/1000000.cif", "b.CIF"]
    with pytest.raises(DataError, match="is not a folder"):
        cif_paths(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no file that ends in .cif"):
        cif_paths(tmp_path / "empty")
