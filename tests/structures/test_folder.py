from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.io import read
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Structure

from matgen.composition.elements import SYMBOLS
from matgen.errors import DataError, FormulaError
from matgen.io.files import write_json
from matgen.structures.folder import (
    is_structure_folder,
    read_plan,
    read_structures,
    safe_name,
    structure_id,
    with_present_names,
    write_crystals,
    write_table,
)
from tests.frames import listed
from tests.structures.conftest import CRYSTALS, salt, skewed

NAMES = {"0001-NaCl-1": salt(), "0002-SrTiO3-1": CRYSTALS["perovskite"], "0003-FeO-1": skewed()}


@given(
    st.dictionaries(st.sampled_from([str(s) for s in SYMBOLS[1:104]]), st.integers(1, 40), min_size=1, max_size=6),
    st.sampled_from(["{}", "({})3", "[{}]2", "{}·2H2O"]),
)
def test_names_are_letters_and_digits(counts: dict[str, int], written: str) -> None:
    text = written.format("".join(f"{symbol}{count}" for symbol, count in counts.items()))
    name = safe_name(text)
    assert name.isascii()
    assert name.isalnum()
    if "·" not in text:  # pymatgen reads no hydrates
        assert Composition(name).reduced_composition == Composition(text).reduced_composition


def test_names() -> None:
    assert safe_name("Ca(OH)2") == safe_name("Ca2O4H4")
    assert structure_id(3, "SrTiO3", 1) == "0003-SrTiO3-1"
    assert structure_id(12345, "Fe", 10) == "12345-Fe-10"
    # systems that ignore case take CO and Co for the same name: the rank tells them apart
    assert structure_id(1, "CO", 1).lower() != structure_id(2, "Co", 1).lower()
    with pytest.raises(FormulaError):
        safe_name("../../etc")


def test_energies_of_earlier_folders_are_read_under_their_present_name() -> None:
    former = pd.DataFrame({"energy_chgnet": [-3.4], "formation_energy_chgnet": [-2.0], "energy_mine": [1.0]})
    assert list(with_present_names(former)) == ["energy_per_atom_chgnet", "formation_energy_chgnet", "energy_mine"]
    assert list(with_present_names(with_present_names(former))) == list(with_present_names(former))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    crystals = []
    for place, (name, structure) in enumerate(NAMES.items()):
        moved = structure.copy()
        if place != 1:
            moved.add_site_property("magmom", [float(site) for site in range(len(structure))])
        crystals.append((name, moved, {"formula": name.split("-")[1], "energy_per_atom_chgnet": -1.5, "nothing": None}))
    write_crystals(tmp_path, crystals)
    frame = pd.DataFrame(
        {"structure_id": [*NAMES, "0004-KCl-1", None], "reason": ["", "", "", "atoms overlap", "none"]}
    )
    write_table(tmp_path, frame, {"potential": "chgnet"})
    return tmp_path


def test_read_back_as_written(folder: Path) -> None:
    assert is_structure_folder(folder)
    assert read_plan(folder)["potential"] == "chgnet"
    frame, structures = read_structures(folder)
    assert listed(frame["structure_id"]) == [*NAMES, "0004-KCl-1", None]
    assert list(structures) == list(NAMES)
    for place, (name, structure) in enumerate(NAMES.items()):
        found = structures[name]
        assert found.lattice.matrix == pytest.approx(structure.lattice.matrix, abs=1e-6)
        assert found.cart_coords == pytest.approx(structure.cart_coords, abs=1e-6)
        assert found.species == structure.species
        moments = None if place == 1 else [float(site) for site in range(len(structure))]
        assert found.site_properties.get("magmom") == moments
        assert set(found.site_properties) <= {"magmom"}
        cif = Structure.from_file(str(folder / "cif" / f"{name}.cif"))
        assert StructureMatcher(ltol=0.01, stol=0.01, angle_tol=0.1).fit(cif, structure)
    assert sorted(path.name for path in folder.iterdir()) == [
        "cif", "structures.extxyz", "structures.json", "structures.parquet"
    ]  # fmt: skip


def test_ase_reads_it(folder: Path) -> None:
    images = read(folder / "structures.extxyz", index=":")
    assert [atoms.info["structure_id"] for atoms in images] == list(NAMES)
    assert images[0].info["energy_per_atom_chgnet"] == -1.5
    assert images[0].arrays["magmoms_predicted"].tolist() == [0.0, 1.0]
    assert np.allclose(images[2].cell.array, skewed().lattice.matrix)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", ["structures.extxyz", "structures.parquet"])
@pytest.mark.parametrize("damage", [cut, lambda path: path.write_text("nonsense\nnonsense\n")])
def test_damaged(folder: Path, name: str, damage) -> None:
    damage(folder / name)
    with pytest.raises(DataError, match=name):
        read_structures(folder)


def test_crystals_that_are_not_there(folder: Path) -> None:
    lines = (folder / "structures.extxyz").read_text().splitlines(keepends=True)
    (folder / "structures.extxyz").write_text("".join(lines[:4]))  # the first of them, whole
    with pytest.raises(DataError, match="structures.extxyz is damaged or was changed"):
        read_structures(folder)
    write_json(folder / "structures.json", {"potential": "chgnet"})  # without sums
    with pytest.raises(DataError, match="structures.extxyz lacks 0002-SrTiO3-1, which structures.parquet has"):
        read_structures(folder)
    (folder / "structures.extxyz").write_text("".join(lines).replace("structure_id", "name"))
    with pytest.raises(DataError, match="cannot read .*structures.extxyz"):
        read_structures(folder)


def test_plans_that_are_damaged(folder: Path) -> None:
    (folder / "structures.json").write_text("[]")
    with pytest.raises(DataError, match="is not what matgen writes"):
        read_plan(folder)
    (folder / "structures.json").unlink()
    with pytest.raises(DataError, match="cannot read"):
        read_plan(folder)


def test_no_such_folder(tmp_path: Path) -> None:
    assert not is_structure_folder(tmp_path)
    with pytest.raises(DataError, match="holds no structures.parquet"):
        read_structures(tmp_path)
