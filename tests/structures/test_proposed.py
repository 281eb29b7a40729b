from __future__ import annotations

from pathlib import Path

import pytest
from ase.io import write
from pymatgen.core import Lattice, Structure

from matgen.errors import DataError
from matgen.structures.propose import ProposalSettings, Proposer
from matgen.structures.proposed import digest_of_files, proposed_in
from tests.structures.conftest import salt, to_atoms


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "generated"
    (folder / "more").mkdir(parents=True)
    conventional = salt().get_reduced_structure().copy()
    conventional.make_supercell([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    conventional.to(str(folder / "salt.cif"))
    caesium = Structure(Lattice.cubic(3.5), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    caesium.to(str(folder / "more" / "POSCAR_1"), fmt="poscar")
    write(folder / "two.extxyz", [to_atoms(salt(6.3, ("K", "Cl"))), to_atoms(salt(5.9))], format="extxyz")
    disordered = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}, "Cl"], [[0, 0, 0], [0.5] * 3])
    disordered.to(str(folder / "disordered.cif"))
    (folder / "broken.cif").write_text("data_\nno crystal\n")
    Structure(Lattice.cubic(5), ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]).to(str(folder / "near.vasp"), fmt="poscar")
    (folder / "notes.txt").write_text("nothing\n")
    return folder


def test_files_of_other_programs(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    read, bad = proposed_in(folder, 40)
    assert {(one.name, one.formula, len(one.structure)) for one in read} == {
        ("salt.cif", "NaCl", 2),
        ("more/POSCAR_1", "NaCl", 2),
        ("two.extxyz:1", "KCl", 2),
        ("two.extxyz:2", "NaCl", 2),
    }
    assert len(bad) == 3
    assert any(line.startswith("broken.cif: ") for line in bad)
    assert "disordered.cif: some sites are partly occupied" in bad
    assert "near.vasp: atoms are closer than 0.5 angstrom" in bad
    assert all("\n" not in line for line in bad)
    assert "salt.cif: 2 atoms are more than the 1 a primitive cell may have" in proposed_in(folder, 1)[1]


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder of structures"):
        proposed_in(tmp_path / "missing", 40)
    with pytest.raises(DataError, match="no structure in .*: it holds no .cif, .* or POSCAR file"):
        proposed_in(tmp_path, 40)


def test_they_come_first_and_beyond_the_others(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    settings = ProposalSettings(per_formula=2, folder=str(folder))
    found = Proposer(settings).propose("NaCl")
    assert [one.template for one in found[:3]] == ["more/POSCAR_1", "salt.cif", "two.extxyz:2"]
    assert [one.origin for one in found] == ["proposed"] * 3 + ["template"] * 2
    assert found[1].structure.volume == pytest.approx(salt().volume)  # not scaled
    assert found[0].provenance()["template_score"] is None
    assert {one.origin for one in Proposer(settings).propose("MgO")} == {"template"}


def test_what_changes_in_the_folder_is_read_anew(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    before, digest = proposed_in(folder, 40)[0], digest_of_files(folder)
    salt(7.0).to(str(folder / "salt.cif"))
    after = proposed_in(folder, 40)[0]
    assert digest_of_files(folder) != digest
    volumes = [next(one.structure.volume for one in read if one.name == "salt.cif") for read in (before, after)]
    assert volumes == pytest.approx([salt().volume, salt(7.0).volume], rel=1e-4)
